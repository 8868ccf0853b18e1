"""Mixtures as a destination: EasyDistill's and VLM-R1's YAML (`DST.yaml`), and VLM-R1's `a.jsonl:b.jsonl`.

Which rows a trainer reads through which of them: EasyDistill's loader and VLM-R1's `sft.py` read the YAML; VLM-R1's
`grpo_jsonl.py` reads files between colons, with one image folder each, and no YAML.
Source: specs/vlmr1_easydistill.md §1.1, §1.2, §3.1, §3.2 (om-ai-lab/VLM-R1 @90052f4, modelscope/easydistill @acbe49b).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from groundprep.api.convert_config import ConvertConfig
from groundprep.api.mixture import SEPARATOR, SUFFIXES
from groundprep.api.target import resolve_profile
from groundprep.containers import CONTAINERS, STDIN
from groundprep.dialects import DIALECTS, get_dialect
from groundprep.errors import UsageError

YAML_DIALECTS = ("easydistill", "easydistill-single", "vlmr1-refcoco")
FILES_DIALECTS = ("vlmr1", "vlmr1-ovd", "vlmr1-seg")

EASYDISTILL_SUFFIX = ".yaml"
"""`dataset.labeled_path` must end so (§3.1)."""


@dataclass(frozen=True, slots=True)
class MixtureTarget:
    """A mixture that shall be written.

    Args:
        config: with container and dialect decided; its `dst` is as the user named it.
        files: the files of `a.jsonl:b.jsonl`; empty for a YAML file.
        image_outs: `--image-out` for each of them.
    """

    config: ConvertConfig
    files: tuple[str, ...] = ()
    image_outs: tuple[str | None, ...] = ()

    @property
    def applies_sampling(self) -> bool:
        """Say whether rows are chosen now; otherwise the trainer's file says which ones it shall choose."""
        return self.config.sampling == "apply" or bool(self.files)

    @property
    def extension(self) -> str:
        """What the names of a YAML's files end in."""
        return CONTAINERS[str(self.config.to)].extensions[0]


def mixture_target(config: ConvertConfig) -> MixtureTarget | None:
    """Return the mixture that `config.dst` means, or None if it means one file; raises UsageError."""
    files = _files_of(config.dst)
    is_yaml = config.dst.lower().endswith(SUFFIXES)
    if not (files or is_yaml):
        if config.sampling is not None:
            raise UsageError(
                "the rows of one file are chosen by its sources",
                found=f"--sampling {config.sampling}",
                expected="DST.yaml",
            )
        return None
    _require_whole(config)
    dialect = _dialect_of(config, is_yaml=is_yaml)
    container = config.to if config.to in CONTAINERS else get_dialect(dialect).containers[0]
    if files:
        _require_jsonl(config, container)
        return MixtureTarget(replace(config, dialect=dialect, to=container), files, _image_outs(config, len(files)))
    if dialect.startswith("easydistill") and not config.dst.endswith(EASYDISTILL_SUFFIX):
        raise UsageError(
            "EasyDistill refuses a list of data sets of another name",
            code="bad-mixture",
            found=config.dst,
            expected="DST.yaml",
        )
    return MixtureTarget(replace(config, dialect=dialect, to=container))


def _files_of(dst: str) -> tuple[str, ...]:
    """Return the files of `a.jsonl:b.jsonl`; a name with a colon that is no such list is one file."""
    names = tuple(dst.split(SEPARATOR))
    are_files = len(names) > 1 and all(name.endswith((".jsonl", ".json")) for name in names)
    return names if are_files and not Path(dst).exists() else ()


def _dialect_of(config: ConvertConfig, *, is_yaml: bool) -> str:
    named = config.dialect or (config.to if config.to in DIALECTS else None)
    profile = resolve_profile(config)
    dialect = named or (None if profile is None else profile.dialect)
    if is_yaml and named is None and profile is not None and profile.name == "vlmr1":
        dialect = "vlmr1-refcoco"  # what the trainers that read VLM-R1's YAML read in it
    known = YAML_DIALECTS if is_yaml else FILES_DIALECTS
    if dialect not in known:
        raise UsageError(
            "no trainer reads these rows through a YAML file"
            if is_yaml
            else "no trainer reads these rows from several files",
            code="bad-mixture",
            source=config.dst,
            found=dialect or "no --for",
            expected=" or ".join(known),
            fix="name VLM-R1's files between colons: a.jsonl:b.jsonl"
            if dialect in FILES_DIALECTS
            else "see docs/mixtures.md",
        )
    return str(dialect)


def _require_whole(config: ConvertConfig) -> None:
    """Raise UsageError for flags that look at all sources as one."""
    if STDIN in config.sources.paths:
        raise UsageError(
            "a mixture is written from files", code="stdin-twice", found="-", fix="write it to a file first"
        )
    flags = {"--negatives": config.negatives or None, "--limit": config.limit}
    given = [f"{flag} {value}" for flag, value in flags.items() if value is not None]
    if given:
        raise UsageError(
            "every source of a mixture is written by itself",
            found=" ".join(given),
            fix="write part of a source, FILE#500, or convert the sources one by one",
        )


def _require_jsonl(config: ConvertConfig, container: str | None) -> None:
    if container != "jsonl" or not all(name.endswith(".jsonl") for name in config.dst.split(SEPARATOR)):
        raise UsageError(
            "VLM-R1 reads JSON Lines here", code="bad-mixture", found=config.dst, expected="a.jsonl:b.jsonl"
        )
    if config.sampling == "keep":
        raise UsageError(
            "a list of files says nothing of sampling",
            found="--sampling keep",
            expected="--sampling apply, or DST.yaml",
        )


def _image_outs(config: ConvertConfig, count: int) -> tuple[str | None, ...]:
    """Return a directory for each file: one for all, or as many as files, between colons."""
    if config.image_out is None or SEPARATOR not in config.image_out:
        return (config.image_out,) * count
    directories = tuple(config.image_out.split(SEPARATOR))
    if len(directories) != count or not all(directories):
        raise UsageError(
            "there must be one image directory for each file",
            code="bad-mixture",
            found=f"--image-out {config.image_out} for {count} files",
            expected=f"{count} directories, or one for all",
        )
    return directories
