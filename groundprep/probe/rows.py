"""Reads a data set with the trainer's own dataset class, in the trainer's own Python, and says which column fails first.

This file is handed to another interpreter as text: it imports nothing of groundprep, and the trainer's packages only inside
functions. Request (stdin) and answer (stdout) are one JSON object each; whatever the trainer prints goes to stderr. Errors of
the trainer's code are what is asked for, so they are caught whatever they are.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import platform
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Any

PACKAGES = ("verl", "trl", "torch", "transformers", "datasets", "pyarrow", "pillow", "qwen-vl-utils", "numpy")

RLHF_CLASSES = {
    # Source: specs/rexthinker.md §3.3 and §4.2; (module, class) at the profiles' revisions.
    "easyr1": ("verl.utils.dataset", "RLHFDataset"),
    "rexthinker": ("rexthinker.verl.utils.dataset", "RLHFDataset"),
}

Rows = tuple[str, int, Callable[[int], Any]]
"""The name of what reads, the number of rows, and the function that reads one."""


class ProbeError(Exception):
    """What failed: `import`, `load` (the file cannot be opened) or `row`; with the row (0-based) and column, if known."""

    def __init__(self, stage: str, error: Exception, row: int | None = None, column: str | None = None) -> None:
        super().__init__(stage)
        text = " ".join(str(error).split())
        self.data = {"stage": stage, "row": row, "column": column, "error": f"{type(error).__name__}: {text[:300]}"}


class WatchedRow(dict[str, Any]):
    """A row that remembers which column was asked for last: that is the one at which reading failed."""

    last: str | None = None

    def __getitem__(self, key: str) -> Any:
        """Return a column."""
        self.last = key
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a column, if it is there."""
        return self[key] if key in self else default  # noqa: SIM401 (the subscript is what remembers)

    def pop(self, key: str, *default: Any) -> Any:
        """Remove a column and return it."""
        self.last = key
        return super().pop(key, *default)


class WatchedTable:
    """A `datasets` table that hands out watched rows, read one column at a time."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.row = WatchedRow()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.table)

    def __getitem__(self, index: int) -> WatchedRow:
        """Return a row."""
        self.row = WatchedRow()
        for column in self.table.column_names:
            self.row.last = column
            self.row[column] = self.table.select_columns([column])[index][column]
        self.row.last = None
        return self.row

    def __getattr__(self, name: str) -> Any:
        """Be the table in every other respect."""
        return getattr(self.table, name)


class StandInTokenizer:
    """Stands in for the model's tokenizer and processor where no model is named: one token a word; lengths mean nothing."""

    pad_token_id = 0
    eos_token_id = 1
    image_processor = None

    def apply_chat_template(self, messages: list[dict[str, Any]], **_: Any) -> str:
        """Return the texts of all messages."""
        texts: list[str] = []
        for message in messages:
            parts = message["content"]
            texts += [parts] if isinstance(parts, str) else [part.get("text") or "<image>" for part in parts]
        return " ".join(texts)

    def encode(self, text: str, **_: Any) -> list[int]:
        """Return a number for every word."""
        return [2 + len(word) for word in text.split()]

    def __call__(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        """Return `input_ids` and `attention_mask` of the first text."""
        import torch

        given = named.get("text", arguments[-1] if arguments else "")
        text = given[0] if isinstance(given, list) else given
        ids = torch.tensor([self.encode(str(text))])
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def versions() -> dict[str, str]:
    """Return the versions of the packages that decide how rows are read."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def tokenizer_and_processor(model: str | None) -> tuple[Any, Any]:
    """Return the model's own, or a stand-in."""
    if model is None:
        return StandInTokenizer(), StandInTokenizer()
    import transformers

    known: Any = transformers
    return known.AutoTokenizer.from_pretrained(model), known.AutoProcessor.from_pretrained(model)


def rlhf_rows(request: dict[str, Any]) -> Rows:
    """Return what reads the rows for EasyR1 and Rex-Thinker: their dataset class."""
    module_name, class_name = RLHF_CLASSES[request["profile"]]
    try:
        loader = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ProbeError("import", error) from error
    try:
        tokenizer, processor = tokenizer_and_processor(request["model"])
        known = {
            "data_path": request["data"],
            "tokenizer": tokenizer,
            "processor": processor,
            "prompt_key": "problem",
            "answer_key": "answer",
            "image_key": "images",
            "image_dir": request["image_root"],
            "max_prompt_length": 1 << 20,
            "truncation": "right",
            "min_pixels": request["min_pixels"],
            "max_pixels": request["max_pixels"],
            "filter_overlong_prompts": False,
        }
        taken = inspect.signature(loader).parameters
        rows = loader(**{name: value for name, value in known.items() if name in taken})
        table = rows.dataset = WatchedTable(rows.dataset)
    except Exception as error:
        raise ProbeError("load", error) from error

    def read(index: int) -> None:
        table.row = WatchedRow()
        try:
            rows[index]
        except Exception as error:
            raise ProbeError("row", error, index, table.row.last) from error

    return f"{module_name}.{class_name}", len(rows), read


def trl_rows(request: dict[str, Any]) -> Rows:
    """Return the same for TRL, whose trainers take a `datasets` table and build each prompt with `data_utils`."""
    try:
        from trl import data_utils
    except ImportError as error:
        raise ProbeError("import", error) from error
    try:
        table = trl_table(request["data"])
        _, processor = tokenizer_and_processor(request["model"])
    except Exception as error:
        raise ProbeError("load", error) from error

    def chat_in(row: WatchedRow, column: str) -> Any:
        if not data_utils.is_conversational({column: row[column]}):
            raise TypeError("the value is not a list of messages")
        return row[column]

    def read(index: int) -> None:
        try:
            row = table[index]
            images = row["images"] if "images" in row else [row["image"]] if "image" in row else []
            chat = chat_in(row, "prompt" if "prompt" in row else "messages")
            processor.apply_chat_template(data_utils.prepare_multimodal_messages(chat, images), tokenize=False)
            if "completion" in row:
                chat_in(row, "completion")
        except Exception as error:
            raise ProbeError("row", error, index, table.row.last) from error

    return "trl.data_utils.prepare_multimodal_messages", len(table), read


def trl_table(path: str) -> WatchedTable:
    """Return the rows, their images decoded when a row is read: TRL wants images, not bytes (docs/trainers/trl.md)."""
    from datasets import Image, List, load_dataset

    rows = load_dataset("parquet" if path.endswith(".parquet") else "json", data_files=path, split="train")
    if "images" in rows.column_names:
        rows = rows.cast_column("images", List(Image()))
    return WatchedTable(rows)


READERS = {"easyr1": rlhf_rows, "rexthinker": rlhf_rows, "trl": trl_rows, "trl-sft": trl_rows}


def probe(request: dict[str, Any]) -> dict[str, Any]:
    """Return what reading the rows gave.

    Args:
        request: profile, data, image_root, model, min_pixels, max_pixels, limit; all but the first two may be None.
    """
    answer: dict[str, Any] = {
        "python": platform.python_version(),
        "packages": versions(),
        "loader": None,
        "rows": None,
        "rows_read": 0,
        "stand_in_tokenizer": request["model"] is None,
        "failure": None,
    }
    try:
        answer["loader"], answer["rows"], read = READERS[request["profile"]](request)
        limit = request["limit"]
        for index in range(answer["rows"] if limit is None else min(limit, answer["rows"])):
            read(index)
            answer["rows_read"] += 1
    except ProbeError as failure:
        answer["failure"] = failure.data
    return answer


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as result:
        os.dup2(2, 1)  # what the trainer prints must not mix with the answer
        result.write(json.dumps(probe(json.load(sys.stdin))) + "\n")
