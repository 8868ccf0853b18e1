"""`groundprep add-candidates`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from groundprep.cli.options import Globals

NAME = "add-candidates"
HELP = "Let a detector propose boxes for every row's category, and make the answer exactly one of them."
EPILOG = "Example: groundprep add-candidates boxes.jsonl out/candidates.jsonl --image-root images --for easyr1"


class PolicyChoice(StrEnum):
    """What the answer becomes."""

    SNAP_ANSWER = "snap-answer"
    SNAP_CANDIDATE = "snap-candidate"
    APPEND = "append"
    LEGACY = "legacy"


class OrderChoice(StrEnum):
    """The order of candidates."""

    SHUFFLE = "shuffle"
    POSITION = "position"
    SCORE = "score"
    DETECTOR = "detector"


class DeviceChoice(StrEnum):
    """Where the detector runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class DTypeChoice(StrEnum):
    """The precision of its weights."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


def run(
    source: Annotated[str, typer.Argument(metavar="SRC", help="The rows.")],
    dst: Annotated[str, typer.Argument(metavar="DST", help="Where rows with candidates go; the ledger lies beside.")],
    image_root: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where image names start.", show_default="SRC's directory")
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="ID|DIR",
            help="A hub id or a directory in transformers format.",
            show_default="IDEA-Research/grounding-dino-tiny",
        ),
    ] = None,
    box_threshold: Annotated[float, typer.Option(help="Keep boxes with a score above this.")] = 0.25,
    text_threshold: Annotated[
        float, typer.Option(help="Words that a box is said to be; changes no box and no score.")
    ] = 0.25,
    match_iou: Annotated[float, typer.Option(help="Least overlap of an answer and its candidate.")] = 0.5,
    answer_policy: Annotated[
        PolicyChoice,
        typer.Option(
            help="snap-answer: the answer becomes its best candidate. snap-candidate: the candidate becomes the answer. "
            "append: an answer that no candidate equals is added. legacy: as Rex-Thinker's script."
        ),
    ] = PolicyChoice.SNAP_ANSWER,
    order: Annotated[
        OrderChoice | None, typer.Option(help="Order of candidates.", show_default="shuffle; legacy: detector")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the shuffle.")] = 0,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images in a forward.", show_default="4")] = None,
    device: Annotated[DeviceChoice, typer.Option(help="Where the detector runs.")] = DeviceChoice.AUTO,
    dtype: Annotated[DTypeChoice, typer.Option(help="Precision of the detector; auto is float32.")] = DTypeChoice.AUTO,
    profile: Annotated[
        str | None,
        typer.Option("--for", metavar="PROFILE", help="The trainer in whose pixels no two candidates may be equal."),
    ] = None,
    min_pixels: Annotated[int | None, typer.Option(min=1, help="Override the profile's lower limit.")] = None,
    max_pixels: Annotated[int | None, typer.Option(min=1, help="Override the profile's upper limit.")] = None,
    from_name: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="Container or dialect of SRC.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="NAME", help="Container or dialect to write.")] = None,
    keep_existing: Annotated[
        bool, typer.Option("--keep-existing", help="Rows that have candidates keep them and are not detected.")
    ] = False,
    *,
    options: Globals,
) -> int:
    """Detect, write, print what was found and what became of the answers."""
    from groundprep.api.add_candidates import AddCandidatesConfig, add_candidates
    from groundprep.api.sources import SourceConfig
    from groundprep.cli.out import Out
    from groundprep.cli.progress import Progress
    from groundprep.detect import DEFAULT_DETECTOR, DetectorOptions
    from groundprep.detect.batches import BATCH_SIZE
    from groundprep.errors import ExitCode
    from groundprep.stages.candidates import CandidateSettings

    config = AddCandidatesConfig(
        SourceConfig((source,), from_name, image_root),
        dst,
        DetectorOptions(detector or DEFAULT_DETECTOR, box_threshold, text_threshold, device.value, dtype.value),
        CandidateSettings(
            answer_policy.value, match_iou, chosen_order(answer_policy, order).value, seed, keep_existing=keep_existing
        ),
        batch_size or BATCH_SIZE,
        profile,
        to,
        min_pixels,
        max_pixels,
        on_error=options.on_error.value,
        limit=options.limit,
        overwrite=options.overwrite,
        fresh=options.fresh,
        workers=options.workers,
    )
    with Progress(options, bad_word="error" if options.on_error.value == "fail" else "dropped") as progress:
        result = add_candidates(config, listener=progress)
    out = Out(options)
    out.warnings(result.warnings)
    report(out, result)
    return int(ExitCode.DROPPED if result.counts["dropped"] else ExitCode.OK)


def chosen_order(policy: PolicyChoice, order: OrderChoice | None) -> OrderChoice:
    """Return the order; `legacy` is the reference script's, which has one only; raises UsageError."""
    from groundprep.errors import UsageError

    if policy is not PolicyChoice.LEGACY:
        return order or OrderChoice.SHUFFLE
    if order not in (None, OrderChoice.DETECTOR):
        raise UsageError(
            "--answer-policy legacy keeps the detector's order", found=f"--order {order}", fix="drop one of the two"
        )
    return OrderChoice.DETECTOR


def report(out: Any, result: Any) -> None:
    """Print the files, the counts, the detections and the answers."""
    import dataclasses

    out.json(dataclasses.asdict(result))
    verb = "unchanged" if result.unchanged else "wrote"
    out.line(
        f"{verb} {result.counts['written']} rows ({result.container}, {result.dialect}): " + ", ".join(result.outputs)
    )
    detections, answers = result.detections, result.answers
    out.line(
        f"{detections['boxes']} boxes for {detections['pairs']} image-category pairs of {detections['images']} images: "
        f"{detections['forwards']} detected now, {detections['reused']} known before, by {result.detector}"
    )
    if answers:
        out.line(
            f"answers: {answers['matched']} were a candidate, {answers['appended']} were added; "
            f"{answers['candidates']} candidates, {answers['merged_candidates']} merged"
        )
    if result.dropped_file:
        out.hint(f"{result.counts['dropped']} rows dropped; rows and reasons: {result.dropped_file}")
    out.losses(result.losses)
