"""Atomic output: files appear under their final names complete or not at all.

Everything of ours lies in `<DST>.groundprep/`, never beside the data:
    state.json     the configuration of the run that is under way; locked while it runs
    partial/       the files being written
    dropped.jsonl  rows that could not be carried
    changes.jsonl  what `validate --fix` changed; labels.json, rexomni_config.py, …: what a trainer's user needs (SIDE_FILES)
    run.json       times, host, workers
    manifest.json  written last: its presence means complete
A killed run leaves state.json; the same command then starts over (or resumes its ledger) and ends with the same bytes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from groundprep import manifest as manifests
from groundprep.errors import FormatError, UsageError
from groundprep.manifest import Manifest, OutputFile, RunConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDECAR_SUFFIX = ".groundprep"
DROPPED = "dropped.jsonl"
CHANGES = "changes.jsonl"
SIDE_FILES = (DROPPED, CHANGES, "labels.json", "extra_categories.json", "rexomni_config.py")
"""What a run may leave in the sidecar for people; what it does not write is removed, so that none is of an earlier run."""

DATA_DIRECTORY = "data"
"""Under `partial/`: a destination may well be named dropped.jsonl or manifest.json, as our own files are."""


@contextmanager
def writing(where: Path | str) -> Iterator[None]:
    """Turn an operating system's refusal to write into a FormatError (`write-failed`)."""
    try:
        yield
    except OSError as error:
        raise FormatError(
            "the output cannot be written",
            code="write-failed",
            source=str(error.filename or where),
            found=error.strerror or str(error),
            fix="check the path, its permissions and the free space",
        ) from error


class Output:
    """One run's output under a destination name.

    Args:
        dst: the destination as the user named it.
        suffixes: what each file's name adds to it.
        config: what decides the bytes.
    """

    def __init__(self, dst: str, suffixes: Sequence[str], config: RunConfig) -> None:
        self.dst = dst
        self.config = config
        self.finals = [Path(dst + suffix) for suffix in suffixes]
        self.sidecar = Path(dst + SIDECAR_SUFFIX)
        self.partial = self.sidecar / "partial"
        self.manifest_path = self.sidecar / "manifest.json"
        self.state_path = self.sidecar / "state.json"
        self._lock: IO[bytes] | None = None

    @property
    def partial_paths(self) -> list[Path]:
        """Where the files are written before they are renamed."""
        return [self.partial / DATA_DIRECTORY / final.name for final in self.finals]

    def completed(self, *, overwrite: bool, fresh: bool) -> Manifest | None:
        """Return the manifest if this very output is there already; raises UsageError if something else is."""
        if overwrite:
            return None
        done = manifests.read_manifest(self.manifest_path)
        if done is not None and all(final.exists() for final in self.finals):
            reason = manifests.difference(done.config, self.config)
            if reason is None:
                return done
            raise UsageError(
                f"the destination was written by another run: {reason}",
                code="output-differs",
                source=self.dst,
                fix="pass --overwrite to replace it, or choose another destination",
            )
        begun = manifests.read_config(self.state_path)
        if begun is not None and not fresh:
            reason = manifests.difference(begun, self.config)
            if reason is not None:
                raise UsageError(
                    f"an unfinished run of another configuration is there: {reason}",
                    code="output-unfinished",
                    source=self.dst,
                    fix="pass --fresh to discard it, or choose another destination",
                )
        if begun is None and done is None:
            self._require_free()
        return None

    def _require_free(self) -> None:
        for final in self.finals:
            if final.exists():
                raise UsageError(
                    "the destination exists and was not written by groundprep",
                    code="output-exists",
                    source=str(final),
                    fix="pass --overwrite to replace it, or choose another destination",
                )

    def begin(self) -> None:
        """Create the sidecar, take the lock and note the configuration; raises FormatError, UsageError."""
        with writing(self.dst):
            self.sidecar.mkdir(parents=True, exist_ok=True)
            self._lock = self._locked()
            self._lock.truncate(0)
            self._lock.write(manifests.encode(self.config))
            self._lock.flush()
            os.fsync(self._lock.fileno())
            shutil.rmtree(self.partial, ignore_errors=True)
            (self.partial / DATA_DIRECTORY).mkdir(parents=True)

    def _locked(self) -> IO[bytes]:
        """Return the state file, locked; raises UsageError (`output-busy`)."""
        while True:
            file = self.state_path.open("ab")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file.fileno()).st_ino == self.state_path.stat().st_ino:
                    return file
            except BlockingIOError as error:
                file.close()
                raise UsageError(
                    "another run is writing this destination", code="output-busy", source=self.dst, fix="wait for it"
                ) from error
            except FileNotFoundError:
                pass
            file.close()  # the run that held the lock finished and removed the file meanwhile

    def commit(self, manifest: Manifest, run_info: dict[str, Any]) -> Manifest:
        """Rename the files into place, write the manifest last and clean up; returns the manifest as written."""
        with writing(self.dst):
            outputs = tuple(OutputFile(p.name, _bytes_of(p)) for p in self.partial_paths)
            self.manifest_path.unlink(missing_ok=True)
            for partial, final in zip(self.partial_paths, self.finals, strict=True):
                partial.replace(final)
            self._write(self.sidecar / "run.json", manifests.encode(run_info))
            for name in SIDE_FILES:
                if (self.partial / name).exists():
                    (self.partial / name).replace(self.sidecar / name)
                else:
                    (self.sidecar / name).unlink(missing_ok=True)
            finished = msgspec.structs.replace(manifest, outputs=outputs)
            self._write(self.manifest_path, manifests.encode(finished))
            self._release(keep_state=False)
            shutil.rmtree(self.partial)
        return finished

    def abort(self, *, keep_state: bool = False) -> None:
        """Remove what was half-written; with `keep_state`, leave what a later run resumes from."""
        with suppress(OSError):
            shutil.rmtree(self.partial, ignore_errors=True)
            self._release(keep_state=keep_state)
            if not any(self.sidecar.iterdir()):
                self.sidecar.rmdir()

    def _release(self, *, keep_state: bool) -> None:
        if self._lock is None:
            return
        if not keep_state:
            self.state_path.unlink(missing_ok=True)
        self._lock.close()
        self._lock = None

    def _write(self, path: Path, data: bytes) -> None:
        temporary = self.partial / path.name
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


def _bytes_of(path: Path) -> int:
    """Return the size of a file, or of all files in a directory (a checkpoint)."""
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())
