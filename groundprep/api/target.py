"""Which container, dialect, frame and profile a conversion writes: what is asked for, what DST says, what the trainer reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from groundprep.api.convert_config import ConvertConfig
from groundprep.api.destination_name import require_name
from groundprep.api.dialect_options import with_options
from groundprep.api.image_edits import image_edit, require_place
from groundprep.api.sources import CONVERTER_SUFFIX, SourceConfig, Sources
from groundprep.api.units import header_of
from groundprep.containers import CONTAINERS, STDIN, Writer
from groundprep.containers import container_of_name as container_of
from groundprep.corpora import CORPORA, get_row_dialect, writer_of
from groundprep.dialects import DIALECTS, Dialect, get_dialect
from groundprep.errors import UsageError
from groundprep.geometry.frames import FRAMES, Space
from groundprep.profile import Profile, RowFrame, Unit
from groundprep.stages.transcode import ImageEdit
from groundprep.trainers import get_profile


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows go: container, dialect, frame, and the profile if it is for a trainer.

    `inherited` is the metadata of the source, for rows that stay in the frame of a trainer without naming one.
    """

    container: str
    dialect: Dialect
    row_frame: RowFrame
    profile: Profile | None
    inherited: Mapping[str, Any] | None = None
    edit: ImageEdit | None = None

    @property
    def writer_type(self) -> type[Writer]:
        """The writer of the container or corpus."""
        return writer_of(self.container)

    @property
    def unit(self) -> Unit | None:
        """What one row is; None: an expression or an image, as the source has it.

        A corpus has each image once. A dialect of expressions holds nothing else. One of images can hold a row for each
        expression, too: there the profile decides.
        """
        if self.container in CORPORA:
            return "image"
        if self.dialect.unit != "image":
            return self.dialect.unit
        return None if self.profile is None else self.profile.unit

    @property
    def style(self) -> str:
        """The style of answers that the trainer reads, where the dialect knows several."""
        return "" if self.profile is None else self.profile.style

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What the file must say about its frame: that of its numbers, which a dialect may fix."""
        if self.profile is None:
            return None if self.inherited is None else dict(self.inherited)
        return self.profile.as_metadata() | {"frame": self.row_frame.frame.name}


def resolve_profile(config: ConvertConfig) -> Profile | None:
    """Return the profile to write for, limits and frame applied; `--to parquet` alone means easyr1."""
    name = config.profile
    wants_parquet = config.to == "parquet" or (config.to is None and container_of(config.dst) == "parquet")
    if name is None and config.dialect is None and wants_parquet:
        name = "easyr1"
    if name is None:
        if config.min_pixels is not None or config.max_pixels is not None:
            raise UsageError("--min-pixels and --max-pixels override a trainer's limits", expected="--for PROFILE")
        return None
    profile = get_profile(name)
    if config.frame == "converter":
        profile = profile.as_converter()
    profile = profile.with_limits(config.min_pixels, config.max_pixels)
    low, high = profile.chain.limits
    if low is not None and high is not None and low > high:
        raise UsageError(
            "the pixel limits contradict each other",
            found=f"at least {low}, at most {high}",
            expected="min_pixels <= max_pixels",
            fix="pass both --min-pixels and --max-pixels",
        )
    return profile


def resolve_target(config: ConvertConfig, sources: Sources, profile: Profile | None) -> Target:
    """Decide container, dialect and frame of the output; raises UsageError where they do not go together."""
    if config.to not in (None, *CONTAINERS, *DIALECTS, *CORPORA):
        raise UsageError(
            "no such container, dialect or corpus",
            found=config.to,
            expected=", ".join((*CONTAINERS, *DIALECTS, *CORPORA)),
        )
    named = config.dialect or (config.to if config.to in DIALECTS else None)
    container = _target_container(config, sources.dialects[0], profile, named)
    dialect = _target_dialect(container, sources.dialects[0], profile, named)
    if container not in dialect.containers:
        raise UsageError(
            f"the dialect {dialect.name} cannot live in {container}",
            found=f"--to {container}" if config.to == container else config.dst,
            expected=" or ".join(dialect.containers),
            fix="choose another --to, --dialect or --for"
            if config.to == container
            else "choose another name, --to, --dialect or --for",
        )
    require_name(config.dst, container, is_named=config.to == container)
    inherited = _source_metadata(config.sources, sources) if dialect.frame.space is Space.SEEN else None
    edit = image_edit(config.resize, config.exif, profile, frame=config.frame)
    if edit is not None:
        edit = replace(edit, ignores_masks=not {"answers.mask", "regions.mask"} & dialect.holds)
    dialect = with_options(dialect, config, header_of(sources), profile)
    row_frame = _target_frame(dialect, sources, profile)
    if profile is not None:
        _require_frame_of(profile, dialect, row_frame, is_resized=config.resize == "fixed-point")
    target = Target(container, dialect, row_frame, profile, inherited, edit)
    roots = image_roots(config.sources)
    require_place(
        edit,
        embeds_images=target.writer_type.embeds_images,
        image_out=config.image_out,
        image_roots=[roots] if isinstance(roots, str) else roots,
    )
    return target


def _target_container(config: ConvertConfig, source: Dialect, profile: Profile | None, named: str | None) -> str:
    """Return the container or corpus to write: what is asked for, what DST's name says, what the trainer reads."""
    if config.to in CONTAINERS or config.to in CORPORA:
        return str(config.to)
    container = container_of(config.dst) or (profile.container if profile else None)
    keeps_document = source.name in CORPORA and CORPORA[source.name].writer is not None
    if container == "json" and keeps_document and named is None and profile is None:
        return source.name  # a document stays a document, as rows stay rows
    if container is not None:
        return container
    return "jsonl" if config.dst == STDIN or named is None else get_dialect(named).containers[0]


def _target_dialect(container: str, source: Dialect, profile: Profile | None, named: str | None) -> Dialect:
    """Return the dialect to write: what is asked for, the trainer's, the source's if it can live there."""
    if container in CORPORA:
        name = named or container
    elif named is not None:
        name = named
    elif profile is not None:
        name = profile.dialect
    elif container == "tsv":
        name = "rexomni"
    elif container in source.containers:
        return source
    else:
        name = "rexomni" if source.name in CORPORA and source.unit == "image" else "rexthinker"
    return get_row_dialect(name)


def _source_metadata(config: SourceConfig, sources: Sources) -> Mapping[str, Any] | None:
    """Return what says in which trainer's frame the first source is, if it is in one."""
    name = config.source_frame
    if name is None:
        return sources.readers[0].header.profile
    if name in FRAMES:
        return None
    profile = get_profile(name.removesuffix(CONVERTER_SUFFIX))
    return (profile.as_converter() if name.endswith(CONVERTER_SUFFIX) else profile).as_metadata()


def _target_frame(dialect: Dialect, sources: Sources, profile: Profile | None) -> RowFrame:
    if profile is not None and profile.dialect == dialect.name:
        return RowFrame.of_profile(profile)
    if dialect.frame.space is not Space.SEEN:
        return RowFrame(dialect.frame)
    if profile is not None:
        return RowFrame.of_profile(profile)
    source = sources.contexts[0].row_frame
    if dialect.may_be_in(source.frame):
        return source
    raise UsageError(f"rows of {dialect.name} are in a trainer's frame", expected="--for PROFILE, such as --for easyr1")


def _require_frame_of(profile: Profile, dialect: Dialect, row_frame: RowFrame, *, is_resized: bool) -> None:
    """Raise UsageError (`frame-not-held`) for rows that would not be in the frame of the trainer that they are written for.

    A dialect of another trainer is fine where its numbers are the profile's, or become them: pixels of stored images are
    those that the model sees once the images are resized to a fixed point.
    """
    space, wanted = row_frame.frame.space, profile.frame.space
    becomes_seen = (space, wanted) == (Space.STORED, Space.SEEN)
    if space is wanted or (is_resized and becomes_seen):
        return
    numbers = "pixels of the stored image" if space is Space.STORED else f"numbers in the frame {row_frame.frame.name}"
    resize = "; with --resize fixed-point both frames are one" if becomes_seen else ""
    raise UsageError(
        f"rows of {dialect.name} hold {numbers}, which {profile.full_name} is not given",
        code="frame-not-held",
        found=f"{dialect.name} for {profile.full_name}",
        expected=f"rows that can be in the frame {profile.frame.name}",
        fix=f"drop --for, or write the trainer's own rows: --dialect {profile.dialect}{resize}",
    )


def image_roots(sources: SourceConfig) -> str | list[str]:
    """Return where image names start: `--image-root`, else the directory of each source."""
    return sources.image_root or [str(Path(path).parent) for path in sources.paths]
