"""Reads COCO results: a list of {image_id, bbox: [x, y, width, height], score, category_id}."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mitobench.errors import MitobenchError
from mitobench.evaluate.files.class_choice import labelled
from mitobench.evaluate.files.frame_names import FrameNames
from mitobench.evaluate.files.table import Row, Table
from mitobench.foreign import limits

_USED = ("image_id", "bbox", "score", "id", "area", "iscrowd")


def is_coco(content: Any) -> bool:
    """Whether JSON is a list of COCO results, or the whole COCO file with `images`, `annotations` and scores."""
    if isinstance(content, dict):
        return isinstance(content.get("annotations"), list) and isinstance(content.get("images"), list)
    return isinstance(content, list) and bool(content) and isinstance(content[0], dict) and "bbox" in content[0]


def read_coco(path: Path, content: Any, frames: FrameNames, class_column: str | None = None) -> Table:
    """Reads COCO results; a box is [x, y, width, height] from the upper left corner.

    `image_id` is the frame's id or file name. Of a whole COCO file, `images` says which file an id means, and
    `categories` what a class is called. `class_column` is the key that holds the classes; `none`: no key does; None: it
    is found by its name.

    Raises MitobenchError with the number of the result for a missing or wrong value.
    """
    whole = content if isinstance(content, dict) else {}
    results = whole.get("annotations", content)
    if len(results) > limits.MAX_DETECTIONS:
        raise MitobenchError(f"{path}: more than {limits.MAX_DETECTIONS:,} results, which is the limit.")
    files = _by_id(path, whole.get("images", []), "file_name")
    names = _by_id(path, whole.get("categories", []), "name")
    table = Table("x-y-width-height boxes", "COCO results")
    described: list[dict[str, str]] = []
    for number, result in enumerate(results):
        where = f"{path}: result {number}"
        if not isinstance(result, dict):
            raise MitobenchError(f"{where}: must be an object with image_id, bbox, score and category_id.")
        for key in ("image_id", "bbox", "score"):
            if key not in result:
                raise MitobenchError(f"{where}: {key!r} is missing. COCO results have image_id, bbox and score.")
        box, score = result["bbox"], result["score"]
        if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
            raise MitobenchError(f"{where}: bbox must be [x, y, width, height] in px.")
        if not _is_number(score):
            raise MitobenchError(f"{where}: score must be a number.")
        image = str(result["image_id"])
        described.append(_texts(result, names))
        frame = frames.find(where, files.get(image, image))
        table.rows.append(Row(where, frame, tuple(map(float, box)), float(score)))
    return labelled(table, described, class_column, str(path), "key")


def _texts(result: dict[str, Any], categories: dict[str, str]) -> dict[str, str]:
    """The keys of a result that may hold a class, as texts; a category by its name."""
    texts = {name: str(value) for name, value in result.items() if isinstance(value, (str, int)) and name not in _USED}
    if "category_id" in texts:
        texts["category_id"] = categories.get(texts["category_id"], texts["category_id"])
    return texts


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _by_id(path: Path, entries: Any, key: str) -> dict[str, str]:
    try:
        return {str(entry["id"]): str(entry[key]) for entry in entries}
    except (TypeError, KeyError) as reason:
        raise MitobenchError(f"{path}: every image and category needs id and {key}.") from reason
