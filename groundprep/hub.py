"""Models by name: a local directory, or the id of a hub repository. Nothing is fetched for a name that looks like a path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from groundprep.errors import GroundprepError, HubUnavailableError, UsageError, shown

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def model_directory(name: str, *, files: Sequence[str], flag: str) -> Path:
    """Return the directory of a model, fetched first if the name is a hub id.

    Args:
        name: a directory, or `owner/name`; a name whose first part is a directory here is a path, never an id.
        files: glob patterns of the files to fetch.
        flag: the command line's flag, for messages.

    Raises:
        UsageError: (`no-model`) the name is neither.
        HubUnavailableError: the hub cannot be reached or does not have it; exit 4.
    """
    path = Path(name)
    if path.is_dir():
        return path
    if path.exists() or not HUB_ID.fullmatch(name) or Path(name.split("/", maxsplit=1)[0]).exists():
        raise no_model(name, flag)
    return _fetch(name, files, flag)


def no_model(name: str, flag: str) -> GroundprepError:
    """Return the error for a name that is neither a directory nor a hub id."""
    return UsageError(
        "the model is neither a directory nor a hub id",
        code="no-model",
        found=name,
        expected="a directory in transformers format, or an id such as owner/name",
        fix=f"correct {flag}",
    )


def _fetch(repository: str, files: Sequence[str], flag: str) -> Path:
    """Return the directory of a hub repository's current revision, from the cache if the hub cannot be reached."""
    import huggingface_hub
    from huggingface_hub import errors

    huggingface_hub.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        return Path(huggingface_hub.snapshot_download(repository, allow_patterns=list(files)))
    except errors.HFValidationError as error:
        raise no_model(repository, flag) from error
    except (OSError, errors.HfHubHTTPError) as error:
        raise HubUnavailableError(
            "the model cannot be fetched from the hub",
            source=repository,
            found=shown(" ".join(str(error).split())),
            fix=f"check the id and the network, or pass a local directory with {flag}",
        ) from error
