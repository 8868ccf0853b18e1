"""datumaro imports a folder `annotations/instances_*.json`, `images/*/…`, found as `coco_instances` by itself."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import datumaro
from protocol import answer

logging.disable(logging.WARNING)  # one for every annotation without a segmentation


def judge(path: str) -> dict[str, Any]:
    """Return what the reader sees; it names images without their extension."""
    folder = str(Path(path).parents[1])
    detected = datumaro.Environment().detect_dataset(folder)
    data = datumaro.Dataset.import_from(folder, "coco_instances")
    labels = data.categories()[datumaro.AnnotationType.label]
    boxes, ids, crowd = [], set(), set()
    for item in data:
        for annotation in item.annotations:
            ids.add(annotation.id)
            if annotation.attributes.get("is_crowd"):
                crowd.add(annotation.id)
            if annotation.type is datumaro.AnnotationType.bbox:
                boxes.append((item.id, labels[annotation.label].name, *map(float, annotation.get_bbox())))
    sizes = {item.id: item.media.size[::-1] for item in data if item.media is not None}
    return {
        "detected": detected,
        "images": len(data),
        "annotations": len(ids),
        "categories": len(labels.items),
        "crowd": len(crowd),
        "boxes": boxes,
        "sizes": sizes,
    }


if __name__ == "__main__":
    answer("datumaro", judge)
