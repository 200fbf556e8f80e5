"""Reads GeoJSON as QuPath and `mitobench predict` write it: one file for each image, or the image as a property."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mitobench.errors import MitobenchError, counted
from mitobench.evaluate.files.class_choice import labelled
from mitobench.evaluate.files.frame_names import FrameNames, name_in
from mitobench.evaluate.files.table import Row, Table
from mitobench.foreign.classes import plain
from mitobench.foreign.geojson import features_of, places, properties_of, texts_of

SUFFIXES = (".geojson",)

_IMAGE = ("image", "image_name", "file_name", "filename", "frame", "image_id")
_SCORES = ("score", "confidence", "probability", "prob")
_HOT_SPOT = "hotspot"  # class of the outlines that `mitobench predict` writes
_HALF_PX = 0.5  # GeoJSON counts from the corner of the first pixel, mitobench from its centre


def is_geojson(content: Any) -> bool:
    """Whether JSON is GeoJSON: a collection of features, one feature, or a list of features."""
    if isinstance(content, dict):
        return content.get("type") in ("FeatureCollection", "Feature")
    return isinstance(content, list) and any(isinstance(one, dict) and one.get("type") == "Feature" for one in content)


def read_geojson(files: Sequence[tuple[Path, Any]], frames: FrameNames, class_column: str | None, root: Path) -> Table:
    """Reads features; each point of one, and the middle of each outline's bounding box, is a detection.

    A feature that names no image belongs to that of its file's name, with its folders below `root`.
    The score is the property or the measurement `score`, `confidence` or `probability`; without any, all scores are 1.
    `class_column` is the property that holds the classes; `none`: no property does; None: it is found by its name.

    Raises MitobenchError with file and feature for another geometry, and if only some features have a score or a class.
    """
    table = Table("points", f"{len(files)} GeoJSON files")
    scores: list[float | None] = []
    described: list[dict[str, str]] = []
    outlines = 0
    for path, content in files:
        for number, feature in enumerate(features_of(content, str(path))):
            where = f"{path}: feature {number}"
            properties = properties_of(feature, where)
            score, texts = _score(where, properties), texts_of(properties, (*_IMAGE, *_SCORES), where)
            if properties.get("objectType") == "annotation" and plain(texts.get("classification", "")) == _HOT_SPOT:
                outlines += 1
                continue
            frame = frames.find(where, _image(properties) or name_in(root, path))
            for x, y in places(feature.get("geometry"), where):
                scores.append(score)
                described.append(texts)
                xy = (x - _HALF_PX, y - _HALF_PX)
                table.rows.append(Row(where, frame, xy, 1.0 if score is None else score))
    if outlines:
        table.notes.append(f"{counted(outlines, 'outline')} of hot spots left out")
    if None in scores and set(scores) != {None}:
        where = table.rows[scores.index(None)].where
        raise MitobenchError(f"{where}: has no score, but other features have. Add it, or remove the feature.")
    if scores and set(scores) == {None}:
        table.notes.append("the features have no score: all are 1, so scores over thresholds say nothing")
    return labelled(table, described, class_column, str(files[0][0]) if len(files) == 1 else "GeoJSON", "property")


def _image(properties: dict[str, Any]) -> str:
    return next((str(properties[key]) for key in _IMAGE if properties.get(key) is not None), "")


def _score(where: str, properties: dict[str, Any]) -> float | None:
    measurements = properties.get("measurements") or {}
    if isinstance(measurements, list) and all(isinstance(one, dict) for one in measurements):  # QuPath before 0.4
        measurements = {str(one.get("name")): one.get("value") for one in measurements}
    if not isinstance(measurements, dict):
        raise MitobenchError(f"{where}: `measurements` must be an object of numbers. Export it again.")
    for values in (properties, measurements):
        lower = {str(name).lower(): value for name, value in values.items()}
        for name in _SCORES:
            if name in lower:
                value = lower[name]
                if isinstance(value, bool) or not isinstance(value, (int, float)):
                    raise MitobenchError(f"{where}: {name} is {str(value)[:40]!r}, which is not a number.")
                return float(value)
    return None
