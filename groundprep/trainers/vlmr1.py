"""VLM-R1, its InternVL module and its Chebyshev fork."""

from __future__ import annotations

from groundprep.geometry.frames import FRAMES, PIXELS
from groundprep.geometry.resize import ResizeChain, SmartResize, SqrtLimit
from groundprep.profile import Budget, Profile
from groundprep.trainers.qwen25_model import QWEN25_MODEL_LIMITS

__all__ = ["QWEN", "VLMR1_PROFILES"]

QWEN = ResizeChain(
    # Source: VLM-R1 @90052f4 pins transformers 4.49.0; --min_pixels and --max_pixels default to the model's own limits
    # (specs/vlmr1_easydistill.md §1.2, §1.5, §1.7).
    (SmartResize(28, *QWEN25_MODEL_LIMITS, "raise", "transformers 4.49.0"),)
)
_INTERNVL = ResizeChain(
    # InternVL cuts an image into tiles; its numbers are 0-1000 of the whole stored image, so that no size enters (§1.5).
    (SqrtLimit(None, None),)
)
_REC_BUDGET = Budget(
    # Source: VLM-R1 @90052f4 run_grpo_rec.sh: 2048 new tokens; 8 processes x batch 8 x accumulation 2 / 8 generations; the
    # sampler drops the last incomplete chunk of so many prompts (specs/vlmr1_easydistill.md §1.7). Prompts have no limit.
    response_tokens=2048,
    batch_rows=16,
)
_OVD_BUDGET = Budget(
    # Source: COCO's maxDets of 100 in the mAP rewards: 150 perfect boxes of one label score .663 (§1.6, §5). No script of
    # the repository trains on detection, so that lengths and batches have no default.
    boxes_per_label=100,
)
_SEG_BUDGET = Budget(
    # Source: the fork's run_grpo_seg.sh @dd9f79b, run_grpo_rec.sh but for 1 process x batch 16 x accumulation 2 / 2 (§2.7).
    response_tokens=2048,
    batch_rows=16,
)
_LAUNCH = (
    "torchrun --nproc_per_node=8 src/open_r1/grpo_jsonl.py --dataset-name this_is_not_used --data_file_paths {data}"
    ' --image_folders "$IMAGE_ROOT" --model_name_or_path "$MODEL" --output_dir "$OUT"'
)

VLMR1_PROFILES = (
    Profile(
        name="vlmr1",
        revision="90052f4",
        title="VLM-R1 GRPO on expressions (REC), Qwen: one box, pixels of the stored image",
        container="jsonl",
        dialect="vlmr1",
        unit="expression",
        chain=QWEN,
        # The reward maps the prediction back to the stored image (§1.5, since 00755a2).
        frame=PIXELS,
        said_frame=FRAMES["seen-rounded"],
        holds_absent=False,
        reward="vlmr1:rec",
        budget=_REC_BUDGET,
        launch=_LAUNCH + " --task_type rec --is_reward_customized_from_vlm_module True --reward_funcs accuracy format",
    ),
    Profile(
        name="vlmr1-internvl",
        revision="90052f4",
        title="VLM-R1 GRPO on expressions (REC), InternVL: one box, 0 to 1000",
        container="jsonl",
        dialect="vlmr1",
        unit="expression",
        chain=_INTERNVL,
        frame=FRAMES["rel1000-truncated"],
        holds_absent=False,
        reward="vlmr1:rec",  # nothing is mapped back there, and the format needs no braces (§1.5, §1.6)
        launch=_LAUNCH + " --task_type rec --is_reward_customized_from_vlm_module True --reward_funcs accuracy format",
    ),
    Profile(
        name="vlmr1-ovd",
        revision="90052f4",
        title="VLM-R1 GRPO on detection (OVD), Qwen: labelled boxes or None",
        container="jsonl",
        dialect="vlmr1-ovd",
        unit="image",
        chain=QWEN,
        # The detection rewards compare what the model says with the row as it stands, without mapping back (§1.6).
        frame=FRAMES["seen-rounded"],
        budget=_OVD_BUDGET,
        reward="vlmr1:od",
        launch=_LAUNCH + " --reward_funcs accuracy format --reward_method odLength",
    ),
    Profile(
        name="vlmr1-seg",
        revision="dd9f79b",
        title="VLM-R1 Chebyshev fork: one mask as centre, coeffs and size",
        container="jsonl",
        dialect="vlmr1-seg",
        unit="expression",
        chain=QWEN,
        # mask_iou compares without smart-resize correction; the payload does its own rounding (§2.2, §2.7).
        frame=FRAMES["seen"],
        holds_absent=False,
        budget=_SEG_BUDGET,
        reward="vlmr1-seg",
        launch=_LAUNCH.replace("nproc_per_node=8", "nproc_per_node=1")  # run_grpo_seg.sh (§2.7)
        + " --task_type segment --is_reward_customized_from_vlm_module True --reward_funcs mask_iou format",
    ),
)
