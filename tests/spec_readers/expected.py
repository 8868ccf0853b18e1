"""What cannot be carried, combination by combination: rows that are dropped, rows that a trainer skips, files that it refuses.

Every combination that is not listed carries every row. A profile without its revision is the newest one.
"""

from __future__ import annotations

from groundprep.trainers import get_profile

_DROPS = """
rexthinker | qwen2-vl | negative-not-held 16
rexthinker | vlmr1 vlmr1-internvl easydistill-single | one-answer-needed 27
rexthinker | vlmr1-seg | no-mask 57, one-answer-needed 27
rexthinker | easydistill | label-needed 28
rexthinker without candidates | qwen2-vl | negative-not-held 4
rexthinker without candidates | vlmr1 vlmr1-internvl easydistill-single | one-answer-needed 4
rexthinker without candidates | vlmr1-seg | no-mask 8, one-answer-needed 4
rexthinker without candidates | easydistill | label-needed 4
rexthinker photos | qwen2-vl | negative-not-held 2
rexthinker photos | vlmr1 vlmr1-internvl easydistill-single | one-answer-needed 4
rexthinker photos | vlmr1-seg | no-mask 8, one-answer-needed 4
rexthinker photos | easydistill | label-needed 3
rexomni tsv | qwen2-vl | negative-not-held 16
rexomni tsv | vlmr1 vlmr1-internvl easydistill-single | one-answer-needed 27
rexomni tsv | vlmr1-seg | no-mask 57, one-answer-needed 27
rexomni tsv | easydistill | label-needed 84
rexomni | rexthinker easyr1 trl vlmr1-ovd | no-box 2
rexomni | trl-sft qwen2.5-vl qwen3-vl | no-box 1
rexomni | qwen2-vl | negative-not-held 2, no-box 2
rexomni | vlmr1 vlmr1-internvl easydistill-single | one-answer-needed 3, no-box 2
rexomni | vlmr1-seg | no-mask 4, one-answer-needed 3
rexomni | easydistill | label-needed 4
rexomni toy | qwen2-vl | negative-not-held 4
rexomni toy | vlmr1 vlmr1-internvl easydistill-single | one-answer-needed 4
rexomni toy | vlmr1-seg | no-mask 8, one-answer-needed 4
rexomni toy | easydistill | label-needed 12
easyr1 | qwen2-vl | negative-not-held 16
easyr1 | vlmr1 vlmr1-internvl easydistill-single | one-answer-needed 27
easyr1 | vlmr1-seg | no-mask 57, one-answer-needed 27
easyr1 | easydistill | label-needed 28
rexthinker-parquet | qwen2-vl | negative-not-held 1
rexthinker-parquet | vlmr1 vlmr1-internvl easydistill-single | one-answer-needed 1
rexthinker-parquet | vlmr1-seg | no-mask 1, one-answer-needed 1
rexthinker-parquet | easydistill | label-needed 1
humanref-cot | qwen2-vl | negative-not-held 1
humanref-cot | vlmr1 vlmr1-internvl easydistill-single | one-answer-needed 1
humanref-cot | vlmr1-seg | no-mask 1, one-answer-needed 1
humanref-cot | easydistill | label-needed 2
rexomni-engine | vlmr1 vlmr1-internvl easydistill-single | one-answer-needed 1
rexomni-engine | vlmr1-seg | no-mask 1, one-answer-needed 1
rexomni-engine | easydistill | label-needed 1
rexomni-eval | rexthinker easyr1 trl trl-sft qwen2.5-vl qwen3-vl vlmr1-ovd | no-box 2
rexomni-eval | qwen2-vl | no-box 2, negative-not-held 1
rexomni-eval | vlmr1 vlmr1-internvl easydistill-single | no-box 2, one-answer-needed 1
rexomni-eval | vlmr1-seg | no-mask 2, one-answer-needed 1
rexomni-eval | easydistill | label-needed 4
trl | trl-sft qwen2-vl qwen2.5-vl qwen3-vl vlmr1 vlmr1-internvl vlmr1-ovd | no-expression 1
trl | vlmr1-seg | no-expression 1, no-mask 1
trl | easydistill | label-needed 1, no-phrase 1
trl | easydistill-single | one-answer-needed 1
trl-sft | rexthinker easyr1 trl vlmr1 vlmr1-internvl easydistill-single | no-phrase 1
trl-sft | vlmr1-seg | no-mask 1, no-phrase 1
trl-sft | easydistill | label-needed 1, no-phrase 1
qwen-vl | rexthinker easyr1 trl qwen2-vl vlmr1 vlmr1-internvl vlmr1-ovd easydistill-single | no-box 1
qwen-vl | vlmr1-seg | no-mask 3
qwen-vl | easydistill | label-needed 1
vlmr1 | rexthinker rexomni-sft@478e44f rexomni-sft@8c474a3 rexomni-grpo easydistill-single | image-needed 1
vlmr1 | easydistill | image-needed 1, label-needed 1
vlmr1-ovd | qwen2-vl | negative-not-held 2
vlmr1-ovd | vlmr1 vlmr1-internvl easydistill-single | one-answer-needed 2
vlmr1-ovd | vlmr1-seg | no-mask 2, one-answer-needed 2
vlmr1-ovd | easydistill | label-needed 2
vlmr1-refcoco | vlmr1-seg | no-mask 1
vlmr1-refcoco | easydistill | label-needed 1
vlmr1-seg | rexthinker easyr1 trl trl-sft qwen2-vl qwen2.5-vl qwen3-vl | no-box 2
vlmr1-seg | vlmr1 vlmr1-internvl vlmr1-ovd easydistill-single | no-box 2
vlmr1-seg | easydistill | label-needed 2
easydistill | vlmr1 vlmr1-internvl easydistill-single | one-answer-needed 7
easydistill | vlmr1-seg | one-answer-needed 7, no-mask 1
easydistill-single | rexomni-sft@478e44f rexomni-sft@8c474a3 rexomni-grpo | no-phrase 1
easydistill-single | qwen2-vl vlmr1-ovd | no-phrase 2
easydistill-single | vlmr1-seg | no-mask 2
easydistill-single | easydistill | label-needed 2
easydistill-sft | vlmr1 vlmr1-internvl vlmr1-seg easydistill-single | one-answer-needed 4
coco | rexthinker easyr1 trl trl-sft qwen2-vl qwen2.5-vl qwen3-vl vlmr1 vlmr1-internvl easydistill-single | no-phrase 1
coco | vlmr1-ovd | no-expression 1
coco | vlmr1-seg | no-mask 1, no-phrase 1
lvis | qwen2-vl | negative-not-held 2
lvis | vlmr1 vlmr1-internvl vlmr1-seg easydistill-single | one-answer-needed 2
"""
"""case | profiles | code and number of dropped rows."""

_SKIPPED = """
rexomni tsv | rexomni-sft@478e44f | 16
rexomni | rexomni-sft@478e44f | 1
rexomni toy | rexomni-sft@478e44f | 4
humanref-cot | rexomni-sft@478e44f | 1
rexomni-eval | rexomni-sft@478e44f | 2
rexomni-eval | rexomni-sft@8c474a3 | 2
vlmr1-ovd | rexomni-sft@478e44f | 1
vlmr1-seg | rexomni-sft@478e44f rexomni-sft@8c474a3 | 2
coco | rexomni-sft@478e44f rexomni-sft@8c474a3 | 1
"""
"""case | profiles | number of rows without a box: Rex-Omni prints a message and trains the next row twice; `validate` warns."""

_REFUSED = """
trl-sft | vlmr1-ovd | a ground truth without a fence | answer-not-fenced
vlmr1 | vlmr1 vlmr1-ovd vlmr1-seg | number_of_image_grids | one-image-needed
vlmr1 | vlmr1-internvl | the REC reward indexes a bare list | answer-not-box
"""
"""case | profiles | the rule that a row breaks | what `validate` calls it. A conversation without boxes, or with several images,
is carried as it stands, because other rewards of the same trainer read it; the profile's own reward does not."""


def _rows(table: str) -> list[list[str]]:
    return [[field.strip() for field in line.split("|")] for line in table.strip().splitlines()]


def _pairs(case: str, profiles: str) -> list[tuple[str, str]]:
    return [(case, get_profile(name).full_name) for name in profiles.split()]


DROPS: dict[tuple[str, str], dict[str, int]] = {
    pair: {code: int(count) for code, count in (item.split() for item in drops.split(", "))}
    for case, profiles, drops in _rows(_DROPS)
    for pair in _pairs(case, profiles)
}
SKIPPED: dict[tuple[str, str], int] = {
    pair: int(count) for case, profiles, count in _rows(_SKIPPED) for pair in _pairs(case, profiles)
}
REFUSED: dict[tuple[str, str], tuple[str, str]] = {
    pair: (rule, code) for case, profiles, rule, code in _rows(_REFUSED) for pair in _pairs(case, profiles)
}
