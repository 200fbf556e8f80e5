"""Writes a CSV of candidates and a GeoJSON for QuPath for each image, and a summary of all images."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Detections
from mitobench.atomic import write_text_atomic
from mitobench.errors import as_text
from mitobench.foreign import guard_cell
from mitobench.model.findings import Findings
from mitobench.model.overlay import MITOSIS_COLOUR, NEAR_MISS_COLOUR, near_misses

MITOSIS, CANDIDATE = "Mitosis", "Candidate"  # classes in QuPath
_PLACE = "@"  # for a value of each detection

COLUMNS = (
    "image", "x", "y", "x1", "y1", "x2", "y2", "detector_score", "verifier_score", "score", "mitosis", "x_um", "y_um",
)  # fmt: skip


NO_COLUMN = {"column": False}  # metadata of what the summary file does not hold


@dataclass(frozen=True)
class ImageSummary:
    """A line of the summary. For an image that failed or was not judged, counts are None and `note` says why.

    Attributes:
        image: path of the image as given.
        mpp: um/px that was used; the mean of x and y.
        area_mm2: area of the whole image.
        tissue_mm2: area of the tissue in which mitoses were searched for.
        mitoses_per_mm2: of tissue; None without tissue.
        candidates: number of detections above the model's candidate threshold, including the mitoses.
        unread_parts: number of parts that could not be decoded, and were not searched.
        hot_spot_mitoses: mitoses in the hot spot; on the whole image if that is smaller than the hot spot.
        seconds: time for reading, prediction and writing, of the command that searched the image.
        note: why the image failed; otherwise how its output files are named if not after its stem, and what was
            converted, is odd about it, or was not searched.
        found_before: whether an earlier command searched the image, and this one did not. It has no column.
        notes: what `note` joins, if the image was read. It has no column.
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
    tissue_mm2: float | None = None
    unread_parts: int | None = None
    hot_spot_mitoses: int | None = None
    found_before: bool = field(default=False, compare=False, metadata=NO_COLUMN)
    notes: tuple[str, ...] = field(default=(), compare=False, metadata=NO_COLUMN)

    @property
    def done(self) -> bool:
        """Whether mitoses were counted on the image."""
        return self.mitoses is not None

    @property
    def searched(self) -> bool:
        """Whether the image was read. An image that is grey, black or inverted is read, but not judged."""
        return self.area_mm2 is not None

    def cells(self) -> list[str]:
        """The values as text in the order of `header`; empty for None."""
        return ["" if value is None else _spell(value) for value in (getattr(self, name) for name in header())]


def header() -> list[str]:
    """Returns the column names of the summary."""
    return [column.name for column in fields(ImageSummary) if column.metadata.get("column", True)]


def write_summary(path: Path, rows: Iterable[ImageSummary]) -> None:
    """Writes the summary, one line per image."""
    _write_csv(path, header(), (row.cells() for row in rows))


def write_csv(path: Path, findings: Findings) -> None:
    """Writes every candidate above the candidate threshold, the highest score first.

    Coordinates are px of the image at full resolution, where the centre of a pixel is at whole numbers, and um from the
    upper left corner of the image. `verifier_score` is empty without a verifier. If the detector gives its detections
    a `kind` or `extra` values, one each, they follow in further columns: `kind`, and `extra_NAME`.
    """
    found, image = findings.found, guard_cell(str(findings.path))
    detections, further = found.detections, _further(found.detections)
    x, y, x_um, y_um = _hundredths(np.hstack([detections.xy, (detections.xy + 0.5) * findings.mpp]))
    verifier = itertools.repeat("") if found.verifier is None else found.verifier.tolist()
    scores = (detections.score.tolist(), verifier, found.score.tolist())
    mitosis = found.is_mitosis.astype(int).tolist()
    columns = (x, y, *_hundredths(detections.boxes), *scores, mitosis, x_um, y_um, *further.values())
    _write_csv(path, (*COLUMNS, *further), zip(itertools.repeat(image, len(found)), *columns, strict=False))


def _further(detections: Detections) -> dict[str, list[str]]:
    """Returns further columns by name: the detections' `kind`, and their extra arrays of one value each."""
    kind = {} if detections.kind is None else {"kind": detections.kind.tolist()}
    extra = {f"extra_{name}": values.tolist() for name, values in detections.extra.items() if values.ndim == 1}
    return {name: [_spell(value) for value in values] for name, values in {**kind, **extra}.items()}


def write_geojson(path: Path, findings: Findings, further: Iterable[Mapping[str, Any]] = ()) -> None:
    """Writes the mitoses, and the candidates near the threshold, as detections for QuPath 0.4 or later.

    Args:
        path: file to write.
        findings: what was found.
        further: further features, such as outlines of regions (`annotation`), which follow the detections.

    Coordinates are px of the full resolution from the upper left corner of the image.
    """
    features = itertools.chain(
        _detections(findings, findings.found.is_mitosis, MITOSIS, MITOSIS_COLOUR),
        _detections(findings, near_misses(findings.found, findings.threshold), CANDIDATE, NEAR_MISS_COLOUR),
        (json.dumps(one, allow_nan=False) for one in further),
    )
    lines = ",\n".join(features)
    write_text_atomic(path, f'{{"type": "FeatureCollection", "features": [\n{lines}\n]}}\n')


def feature(
    kind: str, name: str, colour: str, coordinates: Sequence[Any], measurements: Mapping[str, float], key: str
) -> dict[str, Any]:
    """Returns a polygon as QuPath exports an object.

    Args:
        kind: `detection` or `annotation`.
        name: of its class.
        colour: of its class, `#rrggbb`.
        coordinates: of its outlines, px from the upper left corner of the image.
        measurements: numbers by name.
        key: text from which its id is made; the same text gives the same id.
    """
    return {
        "type": "Feature",
        "id": _uuid5(key),
        "geometry": {"type": "Polygon", "coordinates": coordinates},
        "properties": {
            "objectType": kind,
            "classification": {"name": name, "color": [int(colour[k : k + 2], 16) for k in (1, 3, 5)]},
            "measurements": dict(measurements),
        },
    }


def _detections(findings: Findings, which: NDArray[np.bool_], name: str, colour: str) -> Iterator[str]:
    """Yields the features of the candidates in `which` as JSON: the text of one, with the numbers of each put in.

    Encoding each feature of its own would take most of the time where there are 100,000.
    """
    found, image = findings.found, as_text(findings.path.name)
    measured = {"score": found.score, "detector score": found.detections.score}
    if found.verifier is not None:
        measured["verifier score"] = found.verifier
    one: Any = feature("detection", name, colour, [], dict.fromkeys(measured, 0.0), "")
    one["id"] = one["geometry"]["coordinates"] = _PLACE
    one["properties"]["measurements"] = dict.fromkeys(measured, _PLACE)
    template = json.dumps(one).replace("%", "%%").replace(json.dumps(_PLACE), "%s")
    corners = np.round(found.detections.boxes[which] + 0.5, 2)
    values = np.stack([scores[which] for scores in measured.values()], axis=1)
    if not (np.isfinite(values).all() and np.isfinite(corners).all()):
        raise ValueError(f"{findings.path}: scores and corners of detections must be finite numbers")
    for i, box, numbers in zip(which.nonzero()[0].tolist(), corners.tolist(), values.tolist(), strict=True):
        x1, y1, x2, y2 = map(repr, box)
        id = _uuid5(f"{image} {i} {x1} {y1} {x2} {y2}")
        outline = f"[[[{x1}, {y1}], [{x2}, {y1}], [{x2}, {y2}], [{x1}, {y2}], [{x1}, {y1}]]]"
        yield template % (f'"{id}"', outline, *numbers)


def _uuid5(key: str) -> str:
    """Returns `uuid.uuid5(uuid.NAMESPACE_OID, key)` as text, in a third of the time."""
    digest = hashlib.sha1(uuid.NAMESPACE_OID.bytes + key.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) % 4]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def _hundredths(values: NDArray[np.float64]) -> list[list[str]]:
    """Returns the columns of an array [N, C] as texts with two decimals. One format for a column is the fastest."""
    return [("%.2f\n" * len(column) % tuple(column.tolist())).split() for column in values.T]


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text_atomic(path, text.getvalue())


def _spell(value: object) -> str:
    if isinstance(value, str):
        return guard_cell(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
