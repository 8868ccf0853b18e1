"""YAML files that people write: safe, plain, without what hides something."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

from groundprep.errors import UsageError, shown

MAX_YAML_BYTES = 1_000_000


def read_yaml(path: str, *, what: str, unreadable: str, invalid: str) -> Any:
    """Return the value of a YAML file.

    Args:
        path: the file, at most 1,000,000 bytes of UTF-8.
        what: what it is, in words.
        unreadable: the code of the UsageError where it cannot be read.
        invalid: the code of the UsageError where it is no plain YAML.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_YAML_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"the {what} cannot be read", code=unreadable, source=path, found=reason) from error
    if len(data) > MAX_YAML_BYTES:
        raise UsageError(
            f"the {what} is too long", code=invalid, source=path, expected=f"at most {MAX_YAML_BYTES} bytes"
        )
    return parse_yaml(text, source=path, invalid=invalid)


def parse_yaml(text: str, *, source: str, invalid: str) -> Any:
    """Return the value of safe YAML without aliases and duplicate keys; raises UsageError with the code `invalid`."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Safe YAML that refuses what hides something."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    "aliases are not allowed",
                    self.peek_event().start_mark,  # type: ignore[no-untyped-call]
                )
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 (PyYAML's own)
            keys = [key.value for key, _ in node.value]
            twice = next((key for number, key in enumerate(keys) if key in keys[:number]), None)
            if twice is not None:
                raise yaml.constructor.ConstructorError(None, None, f"the key {twice} comes twice", node.start_mark)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader)  # noqa: S506 (a subclass of SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else shown(" ".join(str(error).split()))
        raise UsageError(
            f"the YAML is refused: {reason}", code=invalid, source=source, expected="plain YAML"
        ) from error
