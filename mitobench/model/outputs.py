"""Writes a CSV of candidates and a GeoJSON of mitoses (for QuPath) for each image, and a summary of all images."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from mitobench.api import Detections
from mitobench.atomic import write_text_atomic
from mitobench.errors import as_text
from mitobench.foreign import guard_cell
from mitobench.model.model import Prediction
from mitobench.model.overlay import MITOSIS_COLOUR

COLUMNS = ("image", "x", "y", "x1", "y1", "x2", "y2", "detector_score", "verifier_score", "score", "mitosis")


@dataclass(frozen=True)
class ImageSummary:
    """A line of the summary. For a failed image the counts are None and `note` says why.

    Attributes:
        image: path of the image as given.
        mpp: um/px that was assumed for the image.
        candidates: number of detections above the model's candidate threshold, including the mitoses.
        seconds: time for reading, prediction and writing.
        note: why the image failed; otherwise how its output files are named if not after its stem, and what was
            converted or is odd about it.
    """

    image: str
    width_px: int | None = None
    height_px: int | None = None
    mpp: float | None = None
    area_mm2: float | None = None
    mitoses: int | None = None
    mitoses_per_mm2: float | None = None
    candidates: int | None = None
    seconds: float | None = None
    note: str = ""

    @property
    def done(self) -> bool:
        """Whether prediction on the image succeeded."""
        return self.mitoses is not None

    def cells(self) -> list[str]:
        """The values as text in the order of `header`; empty for None."""
        return ["" if value is None else _spell(value) for value in astuple(self)]


def header() -> list[str]:
    """Returns the column names of the summary."""
    return [field.name for field in fields(ImageSummary)]


def write_summary(path: Path, rows: Iterable[ImageSummary]) -> None:
    """Writes the summary, one line per image."""
    _write_csv(path, header(), (row.cells() for row in rows))


def write_csv(path: Path, image: str, found: Prediction) -> None:
    """Writes every candidate above the candidate threshold. `verifier_score` is empty without a verifier.

    Coordinates are px of the image; the centre of a pixel is at whole numbers. If the detector gives its detections a
    `kind` or `extra` values, one each, they follow in further columns: `kind`, and `extra_NAME`.
    """
    detections, rows, further = found.detections, [], _further(found.detections)
    for i in range(len(found)):
        place = [f"{n:.2f}" for n in (*detections.xy[i], *detections.boxes[i])]
        verifier = "" if found.verifier is None else repr(float(found.verifier[i]))
        scores = [repr(float(detections.score[i])), verifier, repr(float(found.score[i]))]
        own = [values[i] for values in further.values()]
        rows.append([guard_cell(image), *place, *scores, str(int(found.is_mitosis[i])), *own])
    _write_csv(path, (*COLUMNS, *further), rows)


def _further(detections: Detections) -> dict[str, list[str]]:
    """Returns further columns by name: the detections' `kind`, and their extra arrays of one value each."""
    kind = {} if detections.kind is None else {"kind": detections.kind.tolist()}
    extra = {f"extra_{name}": values.tolist() for name, values in detections.extra.items() if values.ndim == 1}
    return {name: [_spell(value) for value in values] for name, values in {**kind, **extra}.items()}


def write_geojson(path: Path, image: str, found: Prediction) -> None:
    """Writes the mitoses as detections for QuPath 0.4 or later, in px from the upper left corner of the image."""
    features = [_feature(image, found, i) for i in found.is_mitosis.nonzero()[0].tolist()]
    collection = {"type": "FeatureCollection", "features": features}
    write_text_atomic(path, (json.dumps(collection, indent=1, allow_nan=False) + "\n"))


def _feature(image: str, found: Prediction, i: int) -> dict[str, Any]:
    x1, y1, x2, y2 = (round(float(n) + 0.5, 2) for n in found.detections.boxes[i])
    name = as_text(Path(image).name)
    measurements = {"score": float(found.score[i]), "detector score": float(found.detections.score[i])}
    if found.verifier is not None:
        measurements["verifier score"] = float(found.verifier[i])
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{name} {i} {x1} {y1} {x2} {y2}")),
        "geometry": {"type": "Polygon", "coordinates": [[[x1, y1], [x2, y1], [x2, y2], [x1, y2], [x1, y1]]]},
        "properties": {
            "objectType": "detection",
            "classification": {"name": "Mitosis", "color": [int(MITOSIS_COLOUR[k : k + 2], 16) for k in (1, 3, 5)]},
            "measurements": measurements,
        },
    }


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text_atomic(path, text.getvalue())


def _spell(value: object) -> str:
    if isinstance(value, str):
        return guard_cell(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
