"""Reads COCO results: a list of {image_id, bbox: [x, y, width, height], score, category_id}."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mitobench.errors import MitobenchError
from mitobench.evaluate.files.class_choice import labelled
from mitobench.evaluate.files.frame_names import FrameNames
from mitobench.evaluate.files.table import Row, Table
from mitobench.foreign import coco, limits

WHAT = "COCO results"
_USED = ("image_id", "bbox", "score", "id", "area", "iscrowd")


def is_coco(content: Any) -> bool:
    """Whether JSON is a list of COCO results, or the whole COCO file with `images`, `annotations` and scores.

    An empty list has no detections.
    """
    if isinstance(content, dict):
        return "annotations" in content and "images" in content
    return isinstance(content, list) and (not content or (isinstance(content[0], dict) and "bbox" in content[0]))


def read_coco(
    path: Path, content: Any, frames: FrameNames, class_column: str | None = None, images: Path | None = None
) -> Table:
    """Reads COCO results; a box is [x, y, width, height] from the upper left corner.

    Args:
        path: the file, for messages.
        content: a list of results, or a whole COCO file.
        frames: the data set's frames.
        class_column: the key that holds the classes; `none`: no key does; None: it is found by its name.
        images: a COCO file whose `images` say which file an `image_id` of a list of results means, and whose
            `categories` what a class is called. A whole COCO file has its own. Without either, an `image_id` is the
            frame's id or file name, as a text.

    Raises MitobenchError with the number of the result for a missing or wrong value.
    """
    whole = content if isinstance(content, dict) else {"annotations": content}
    if images is not None and whole is content:
        raise MitobenchError(f"{path}: has `images` of its own, so --images {images} has no use. Leave it out.")
    key = "annotations" if whole is content else "result"
    results = coco.entries(path, whole, "annotations")
    if len(results) > limits.MAX_DETECTIONS:
        raise MitobenchError(f"{path}: more than {limits.MAX_DETECTIONS:,} results, which is the limit.")
    listing, listed = (path, whole) if images is None else (images, coco.read_images(images))
    files = coco.texts_by_id(listing, listed, "images", "file_name") if "images" in listed else None
    names = coco.texts_by_id(listing, listed, "categories", "name")
    table = Table("x-y-width-height boxes", WHAT)
    described: list[dict[str, str]] = []
    for number, (_, result) in enumerate(results):
        where = f"{path}: {key} {number}"
        for needed in ("image_id", "bbox", "score"):
            if needed not in result:
                raise MitobenchError(f"{where}: {needed!r} is missing. COCO results have image_id, bbox and score.")
        box = coco.box_of(where, result, "[x, y, width, height]")
        if type(result["score"]) not in (int, float):
            raise MitobenchError(f"{where}: score must be a number.")
        frame = frames.find(where, _file_name(where, coco.id_of(where, result, "image_id"), files, images))
        described.append(_texts(where, result, names))
        table.rows.append(Row(where, frame, tuple(box), float(result["score"])))
    return labelled(table, described, class_column, str(path), "key")


def _file_name(where: str, id: coco.Id, files: Mapping[coco.Id, str] | None, images: Path | None) -> str:
    """The file name of an image. A number means one only where `images` are known."""
    if files is not None:
        if id not in files:
            listing = f"`images` of {images}" if images else "`images`"
            raise MitobenchError(f"{where}: image_id {id!r:.40} is not in {listing}. Correct it.")
        return files[id]
    if isinstance(id, int):
        raise MitobenchError(
            f"{where}: image_id {id} is a number, and the file does not say which image it means. Give the COCO file "
            "with these images: --images FILE. Or write file names as image_id."
        )
    return id


def _texts(where: str, result: Mapping[str, Any], categories: Mapping[coco.Id, str]) -> dict[str, str]:
    """The keys of a result that may hold a class, as texts; a category by its name."""
    texts = {name: str(value) for name, value in result.items() if isinstance(value, (str, int)) and name not in _USED}
    if result.get("category_id") is not None:
        category = coco.id_of(where, result, "category_id")
        texts["category_id"] = categories.get(category, str(category))
    return texts
