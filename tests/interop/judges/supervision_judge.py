"""supervision reads a document with its images, once for boxes and once more for masks."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")  # it warns that OpenCV is not installed

import supervision  # noqa: E402
from protocol import answer  # noqa: E402


def judge(path: str) -> dict[str, Any]:
    """Return what the reader sees of a document with its images in `images/train`; their names as the document has them."""
    images = str(Path(path).parents[1] / "images" / "train")
    data = supervision.DetectionDataset.from_coco(images, path)
    masked = supervision.DetectionDataset.from_coco(images, path, force_masks=True)
    boxes, crowd, masks = [], 0, []
    for name, found in data.annotations.items():
        crowd += int(sum(found.data.get("iscrowd", ())))
        for (x0, y0, x1, y1), category in zip(found.xyxy.tolist(), found.class_id.tolist(), strict=True):
            boxes.append((str(Path(name).relative_to(images)), data.classes[category], x0, y0, x1 - x0, y1 - y0))
    for found in masked.annotations.values():
        masks += [int(mask.sum()) for mask in found.mask] if found.mask is not None else []
    return {
        "images": len(data),
        "annotations": len(boxes),
        "categories": len(data.classes),
        "crowd": crowd,
        "boxes": boxes,
        "mask_pixels": sorted(pixels for pixels in masks if pixels),
    }


if __name__ == "__main__":
    answer("supervision", judge)
