"""All checks, and all codes that `validate` may report: what `--select` and `--ignore` know."""

from __future__ import annotations

from groundprep.checks import (
    attainability,
    boxes,
    budget,
    candidates,
    columns,
    easydistill_rows,
    files,
    frames,
    identity,
    images,
    labels,
    layouts,
    leaks,
    loader_files,
    masks,
    messages,
    positions,
    qwen_rows,
    refcoco_rows,
    rejections,
    repeats,
    rexomni_loader,
    rexomni_rows,
    rounding,
    seg_rows,
    shapes,
    sizes,
    split_names,
    text,
    training_rows,
    uniformity,
    vlmr1_answers,
    vlmr1_rows,
)
from groundprep.checks.alignment import AlignmentWatch
from groundprep.checks.base import Check, Rule, of_dialects
from groundprep.checks.box_batch import FrameWatch, absence_screen, geometry_screen, shape_screen
from groundprep.checks.ceilings import CeilingWatch
from groundprep.checks.choice_table import candidate_screen
from groundprep.dialects.trl import SCORED_ROWS
from groundprep.finding import Severity
from groundprep.profile import Profile

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING

ROWS = (
    Rule(
        "answer-not-candidate",
        _ERROR,
        "an answer is none of the row's candidates, and the target names answers by candidate",
    ),
    Rule("bad-answer", _ERROR, "the answer of a training row cannot be read"),
    Rule("bad-hint", _ERROR, "the hint of a training row cannot be read"),
    Rule("bad-json", _ERROR, "the row is not JSON"),
    Rule("bad-utf8", _ERROR, "the row is not UTF-8"),
    Rule("box-shape", _ERROR, "a box is not four numbers"),
    Rule("citation-lost", _ERROR, "the reasoning cites a candidate that is no longer there"),
    Rule(
        "citation-unclear", _ERROR, "candidates would move, and the text cites them in a form that cannot be rewritten"
    ),
    Rule("frame-fixed", _ERROR, "free text holds coordinates, which cannot follow into another frame"),
    Rule("gt-shape", _ERROR, "an entry of gt has no known shape"),
    Rule("image-needed", _ERROR, "the row has no image, or not the number of images that it needs"),
    easydistill_rows.LABEL_NEEDED,
    Rule("line-index", _ERROR, "a byte offset of a TSV does not lead to the start of a line"),
    Rule("lone-surrogate", _ERROR, "a string holds half of a surrogate pair"),
    Rule("mask-broken", _ERROR, "a mask cannot be decoded"),
    Rule("mask-iou-unknown", _ERROR, "a shape does not say how well it draws its mask, and a limit was given"),
    masks.MASK_SIZE,
    masks.MASK_EMPTY,
    Rule("missing-key", _ERROR, "a key that the dialect needs is missing"),
    Rule("negative-not-held", _ERROR, "the target's answers cannot say that nothing is there"),
    Rule("no-box", _ERROR, "an answer has no box, and the target holds boxes only"),
    Rule("no-expression", _ERROR, "the row has no expression to ask for"),
    Rule("no-mask", _ERROR, "an answer has neither mask nor polygon, and the target holds shapes"),
    Rule("no-phrase", _ERROR, "the row has no phrase to ask for"),
    Rule("not-finite", _ERROR, "NaN, Infinity, or a number too large to hold"),
    Rule("not-json", _ERROR, "the row cannot be written as JSON"),
    Rule("number-range", _ERROR, "a coordinate is far beyond every image"),
    Rule("one-answer-needed", _ERROR, "the row has several answers or none, and the trainer scores exactly one"),
    Rule("phrase-not-in-caption", _ERROR, "a phrase is not in the row's caption"),
    Rule("point-shape", _ERROR, "a point is not two numbers"),
    Rule("polygon-shape", _ERROR, "a polygon has fewer than three points"),
    Rule("prompt-shape", _ERROR, "a GRPO prompt has not exactly one user message"),
    Rule("record", _ERROR, "the row cannot be carried"),
    Rule("region-index", _ERROR, "a region_map names a box that is not there"),
    Rule("reserved-text", _ERROR, "a text holds what the trainer takes for a mark of its own", (text.TEXT_MARK.code,)),
    Rule("row-not-object", _ERROR, "the row is not a JSON object"),
    Rule("row-too-long", _ERROR, "the row is longer than the cap"),
    Rule("schema", _ERROR, "the row's columns are not those of the format"),
    Rule("too-deep", _ERROR, "the JSON is nested too deeply"),
    Rule("tsv-fields", _ERROR, "a line of a TSV has another number of fields"),
    Rule("wrong-type", _ERROR, "a value has another type than the dialect needs"),
)
"""What makes one row undeliverable: readers and dialects find it, in every command."""

CONTAINERS = (
    Rule("blank-line", _WARNING, "a blank line among the rows"),
    Rule("bom", _WARNING, "the file starts with a byte order mark"),
    Rule("crlf", _WARNING, "lines end with CRLF"),
    Rule("misnamed", _WARNING, "the extension says another container than the content"),
    Rule("no-line-end", _WARNING, "the last line of a TSV has no line end: the file may be cut off"),
    Rule("no-lineidx", _WARNING, "a TSV without its line index"),
)
"""Oddities that readers accept."""

IMAGES = (
    Rule("image-base64", _ERROR, "an image payload is not base64"),
    Rule("image-broken", _ERROR, "an image cannot be opened or decoded"),
    Rule("image-missing", _ERROR, "an image file cannot be read"),
    Rule("image-name", _ERROR, "an image name is empty or leaves the image root"),
    Rule("image-too-large", _ERROR, "an image is above the caps on bytes or pixels"),
    Rule("image-url", _ERROR, "an image is a URL"),
    *images.RULES,
)


def _is_training(profile: Profile) -> bool:
    return profile.dialect in SCORED_ROWS


def _has_reward(profile: Profile) -> bool:
    return bool(profile.reward)


def _any_trainer(profile: Profile) -> bool:
    del profile
    return True


def _is_rexomni(profile: Profile) -> bool:
    return profile.dialect == "rexomni"


def _holds_no_absence(profile: Profile) -> bool:
    return not profile.holds_absent


CHECKS: tuple[Check, ...] = (
    Check("rows", ROWS),
    Check("containers", CONTAINERS),
    Check("ids", (identity.REPEATED_ID,), watch=identity.IdentityWatch),
    Check("images", IMAGES, images.image_findings, screen=images.image_screen),
    Check("boxes", boxes.RULES, boxes.geometry_findings, screen=geometry_screen),
    Check("frames", (frames.FRAME_CONTRADICTED,), watch=FrameWatch),
    Check("profile", files.RULES),
    Check("layout", (layouts.LAYOUT_DIFFERS,)),
    Check("masks", masks.RULES, masks.mask_findings, screen=shape_screen, also=(*ROWS, *IMAGES)),
    Check("text", text.RULES, text.text_findings, screen=text.text_screen),
    Check("labels", (labels.LABELS_DIFFER,), watch=labels.LabelWatch),
    Check(
        "contradictions",
        (repeats.PHRASE_CONTRADICTED,),
        repeats.contradiction_findings,
        screen=absence_screen,
    ),
    Check("conflicts", repeats.WATCHED, watch=repeats.ConflictWatch),
    Check("uniformity", uniformity.RULES, watch=uniformity.UniformityWatch),
    Check("loader files", loader_files.RULES, watch=loader_files.LoaderWatch),
    Check("leaks", leaks.RULES),  # run with an index of the evaluation data, if there is any
    Check("shapes as read", (), shapes.shape_as_read_findings, screen=of_dialects(masks.DRAWN_BY)),
    Check("sizes", (sizes.SIZE_REFUSED,), sizes.size_findings, screen=sizes.size_screen),
    Check("training rows", training_rows.RULES, training_rows.training_row_findings, _is_training, needs_sizes=False),
    Check("rejections", rejections.RULES, rejections.rejection_findings, _is_training, needs_sizes=False),
    Check("candidates", candidates.RULES, candidates.candidate_findings, screen=candidate_screen),
    Check("answer positions", (positions.ANSWER_POSITION,), watch=positions.PositionWatch),
    Check(
        "columns",
        (columns.COLUMN_RESERVED,),
        applies=columns.reserves_columns,
        watch=columns.ColumnWatch,
        needs_sizes=False,
    ),
    Check(
        "split names",
        (split_names.SPLIT_IN_PATH,),
        applies=split_names.cuts_at_split,
        watch=split_names.SplitNameWatch,
        needs_sizes=False,
    ),
    Check(
        "messages",
        messages.RULES,
        messages.message_findings,
        messages.reads_messages,
        needs_sizes=False,
        also=(training_rows.IMAGE_MARK_COUNT,),
    ),
    Check("budget", budget.RULES, budget.budget_findings, budget.has_limits),
    Check("batch", (budget.ROWS_FEW,), applies=budget.has_batch, watch=budget.RowsWatch, needs_sizes=False),
    Check("attainability", attainability.RULES, attainability.attainability_findings, _has_reward),
    Check("ceilings", (), applies=_has_reward, watch=CeilingWatch),  # measured whatever codes are wanted
    Check("alignment", (), applies=_any_trainer, watch=AlignmentWatch),
    Check(
        "rounding",
        (rounding.BOX_INDISTINCT,),
        rounding.rounding_findings,
        rounding.rounds,
        also=(training_rows.BOX_COLLAPSED,),
    ),
    Check(
        "shapes",
        shapes.RULES,
        shapes.shape_findings,
        shapes.draws_shapes,
        needs_sizes=False,
        also=(masks.MASK_SIZE,),
    ),
    Check("phrases", (rexomni_rows.PHRASE_NOT_NORMAL,), rexomni_rows.phrase_findings, _is_rexomni, needs_sizes=False),
    Check("phrase tokens", (rexomni_rows.PHRASE_IS_BIN,), rexomni_rows.token_findings, _is_rexomni, needs_sizes=False),
    Check(
        "absences",
        (rexomni_rows.ABSENT_NOT_HELD,),
        rexomni_rows.absent_findings,
        _holds_no_absence,
        needs_sizes=False,
    ),
    Check(
        "keys",
        (rexomni_rows.KEYS_DIFFER,),
        applies=lambda profile: profile.name == rexomni_rows.GRPO,
        watch=rexomni_rows.KeysWatch,
        needs_sizes=False,
    ),
    Check("lists", rexomni_loader.RULES, rexomni_loader.loader_findings, _is_rexomni, needs_sizes=False),
    Check(
        "skipped rows",
        (),
        applies=rexomni_loader.skips_rows,
        watch=rexomni_loader.LoaderWatch,
        needs_sizes=False,
    ),
    Check(
        "conversations",
        vlmr1_rows.RULES,
        vlmr1_rows.conversation_findings,
        vlmr1_rows.is_vlmr1,
        needs_sizes=False,
        also=(images.SIDE_SHORT,),
    ),
    Check("one box", vlmr1_answers.REC_RULES, vlmr1_answers.rec_findings, vlmr1_answers.is_rec, needs_sizes=False),
    Check(
        "labelled boxes", vlmr1_answers.OVD_RULES, vlmr1_answers.ovd_findings, vlmr1_answers.is_ovd, needs_sizes=False
    ),
    Check("answers as shapes", seg_rows.RULES, seg_rows.answer_findings, shapes.draws_shapes, needs_sizes=False),
    Check("RefCOCO rows", refcoco_rows.RULES, refcoco_rows.refcoco_findings, screen=of_dialects(refcoco_rows.DIALECT)),
    Check(
        "EasyDistill rows",
        easydistill_rows.RULES,
        easydistill_rows.easydistill_findings,
        easydistill_rows.is_easydistill,
        needs_sizes=False,
        also=(easydistill_rows.LABEL_NEEDED, messages.MARK_AS_WORDS),
    ),
    Check("EasyDistill SFT rows", (), easydistill_rows.sft_findings, screen=of_dialects(easydistill_rows.SFT)),
    Check(
        "Qwen rows",
        qwen_rows.RULES,
        qwen_rows.qwen_findings,
        qwen_rows.is_qwen_trainer,
        needs_sizes=False,
        also=(training_rows.IMAGE_MARK_COUNT, easydistill_rows.BOX_NOT_INTEGER),
    ),
)

RULES: dict[str, Rule] = {rule.code: rule for check in CHECKS for rule in check.rules}
