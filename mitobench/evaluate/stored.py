"""Detections as stored in a record, and the frames rebuilt from them to be scored without the annotation.

A stored detection has, in addition to its scores, the indices of the mitoses within the radius and the distances to
them. Matchers need nothing else, so every score can be recomputed exactly from what is stored.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from mitobench.errors import RecordError
from mitobench.evaluate.matching import DISTANCE_DIGITS, Matcher, find_matcher
from mitobench.evaluate.metrics import FramePrediction
from mitobench.foreign import guard_cell, unguard_cell
from mitobench.foreign.limits import MAX_NUMBER, MAX_PX

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Number = TypeVar("Number", int, float)

MAX_MITOSES = 100_000  # annotated mitoses per frame
MAX_NAME = 300  # characters of a frame id: each id takes as much memory as the longest one
MAX_PAIRS = 200_000_000  # pairs of a detection and a mitosis of its frame, over all frames: 1.6 GB
MAX_STEPS = 1_000_000_000  # for a matcher that runs again at every rank: about a minute

_PLACES = {"x": 2, "y": 2, "x1": 1, "y1": 1, "x2": 1, "y2": 1}  # decimals of coordinates, px
_SCORES = ("detector_score", "verifier_score", "score")
COLUMNS = ("frame", *_PLACES, *_SCORES, "mitosis", "distance_um", "also_within")
IMPOSTER = "imposter"  # a further column, where frames have annotated imposters
ADDED = ("area_mm2", "contested", "imposters", "contested_imposters")  # fields of frames that older records do not have


class FrameEntry(BaseModel):
    """A scored frame in a record.

    Attributes:
        frame: its id; for validation frames `dataset/id`, because they may come from several data sets.
        group: its slide or case.
        mitoses: number of annotated mitoses; None: the frame is unlabelled and not scored.
        domains: properties of the frame by kind of domain (scanner, tumour type, ...).
        area_mm2: what the frame shows, mm2; None: unknown, as in older records.
        contested: indices of the mitoses that the annotators disagreed on.
        imposters: number of annotated imposters.
        contested_imposters: indices of those that the annotators disagreed on.

    Left out where there is nothing to say, so that older records keep their digests: the last four.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame: str
    group: str
    mitoses: int | None = Field(ge=0, le=MAX_MITOSES)
    domains: dict[str, str] = {}
    area_mm2: float | None = Field(default=None, ge=0, le=MAX_NUMBER)
    contested: list[int] = []
    imposters: int = Field(default=0, ge=0, le=MAX_MITOSES)
    contested_imposters: list[int] = []

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialize(self)
        return {name: value for name, value in fields.items() if value or name not in ADDED}

    @model_validator(mode="after")
    def _indices_exist(self) -> FrameEntry:
        for name, indices, number in (
            ("contested", self.contested, self.mitoses or 0),
            ("contested_imposters", self.contested_imposters, self.imposters),
        ):
            if indices != sorted(set(indices)) or (indices and not 0 <= indices[0] <= indices[-1] < number):
                raise ValueError(f"{name} must be indices below {number}, each once, sorted")
        return self

    @classmethod
    def of(cls, frame: FramePrediction) -> FrameEntry:
        """Makes the entry of a scored frame."""
        return cls(
            frame=frame.frame,
            group=frame.group,
            mitoses=frame.n_mitoses if frame.labelled else None,
            domains=dict(frame.domains),
            area_mm2=frame.area_mm2,
            contested=[] if frame.contested is None else np.flatnonzero(frame.contested).tolist(),
            imposters=len(frame.contested_imposters),
            contested_imposters=np.flatnonzero(frame.contested_imposters).tolist(),
        )


@dataclass(frozen=True)
class StoredDetections:
    """Detections of many frames, one row each, frame after frame.

    Attributes:
        frame: id of each detection's frame, [N].
        xy, boxes: centres [N, 2] and boxes [N, 4], px.
        detector, verifier, score: the detector's, the verifier's and the fused scores, [N]; nan if missing. A detection
            without `score` did not pass the candidate threshold and is not ranked.
        within: mitoses within the radius of each detection, by the matcher's rule: (index in the frame, distance in
            um), nearest first.
        imposter: index in the frame of the nearest annotated imposter closer than the radius to each detection, or -1,
            [N]; None if no frame has imposters, and in older records.
    """

    frame: NDArray[np.str_]
    xy: Floats
    boxes: Floats
    detector: Floats
    verifier: Floats
    score: Floats
    within: tuple[tuple[tuple[int, float], ...], ...]
    imposter: Ints | None = None

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def is_candidate(self) -> Bools:
        """Which detections passed the candidate threshold, bool [N]."""
        return ~np.isnan(self.score)

    @property
    def near(self) -> Bools:
        """Which detections are within the radius of any mitosis, bool [N]."""
        return np.array([bool(mitoses) for mitoses in self.within], dtype=bool)

    def rows_of(self, frame: str) -> list[int]:
        """The row numbers of the detections on a frame, in order."""
        return self._rows.get(frame, [])

    @cached_property
    def _rows(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for row, frame in enumerate(self.frame.tolist()):
            found.setdefault(frame, []).append(row)
        return found

    def frames(self, entries: Sequence[FrameEntry], score: Floats, matcher: str) -> list[FramePrediction]:
        """Rebuilds the frames with the detections whose `score` [N] is not nan, ready to be scored with a matcher.

        Raises RecordError if a detection is on an unknown frame or near a mitosis that its frame does not have, if
        `entries` lists a frame twice, and if matching would take too much memory or time.
        """
        known = {entry.frame for entry in entries}
        for frame, (row, *_) in self._rows.items():
            if frame not in known:
                raise RecordError(f"row {row + 2} is of frame {frame!r}, which is not among the record's frames")
        if len(known) < len(entries):
            raise RecordError("a frame appears twice among the record's frames")
        self._check_work(entries, find_matcher(matcher))
        in_order = not find_matcher(matcher).file_order
        rows = (np.array(self.rows_of(entry.frame), dtype=np.int64) for entry in entries)
        return [self._frame(entry, at, score, in_order) for entry, at in zip(entries, rows, strict=True)]

    def _check_work(self, entries: Sequence[FrameEntry], rule: Matcher) -> None:
        """Raises RecordError if matching would take too much memory or time."""
        pairs = steps = 0
        for entry in entries:
            rows, mitoses = self.rows_of(entry.frame), entry.mitoses or 0
            pairs += (len(rows) + 1) * mitoses
            steps += 0 if rule.prefix else sum(bool(self.within[row]) for row in rows) ** 2 * mitoses
        if pairs > MAX_PAIRS:
            raise RecordError(f"its frames have more than {MAX_PAIRS:,} pairs of a detection and a mitosis")
        if steps > MAX_STEPS:
            raise RecordError(f"its frames are too crowded for this matcher: it needs more than {MAX_STEPS:,} steps")

    def _frame(self, entry: FrameEntry, rows: Ints, score: Floats, in_order: bool) -> FramePrediction:
        n_mitoses = entry.mitoses or 0
        distance = np.full((len(rows), n_mitoses), np.inf)
        for place, row in enumerate(rows):
            previous = -1.0
            for mitosis, distance_um in self.within[row]:
                if mitosis >= n_mitoses:
                    raise RecordError(
                        f"row {row + 2} is near mitosis {mitosis} of frame {entry.frame!r}, which has {n_mitoses}"
                    )
                # If mitoses are equally near, the first in the list wins: the smallest possible step keeps that order.
                tied = in_order and distance_um <= previous
                previous = float(np.nextafter(previous, np.inf)) if tied else distance_um
                distance[place, mitosis] = previous
        nowhere = np.full((n_mitoses, 2), np.nan)
        imposter = np.full(len(rows), -1) if self.imposter is None else self.imposter[rows]
        if len(imposter) and imposter.max() >= entry.imposters:
            raise RecordError(
                f"row {rows[imposter.argmax()] + 2} is on imposter {imposter.max()} of frame {entry.frame!r}, "
                f"which has {entry.imposters}"
            )
        frame = FramePrediction(
            entry.frame,
            entry.group,
            (np.nan, np.nan),
            nowhere,
            self.xy[rows],
            score[rows],
            entry.mitoses is not None,
            distance,
            domains=entry.domains,
            area_mm2=entry.area_mm2,
            contested=_mask(entry.contested, n_mitoses),
            contested_imposters=_mask(entry.contested_imposters, entry.imposters),
            imposter=imposter,
        )
        return frame.keep(~np.isnan(score[rows]))


def _mask(indices: Sequence[int], number: int) -> Bools:
    mask = np.zeros(number, dtype=bool)
    mask[list(indices)] = True
    return mask


# --------------------------------------------------------------------------------------------------------- writing


def of_frames(
    frames: Sequence[FramePrediction],
    boxes: Sequence[Floats],
    verifier: Floats,
    score: Floats,
    matcher: str,
    radius_um: float,
) -> StoredDetections:
    """Converts the detections of frames to the form in which they are stored.

    Args:
        frames: the frames with all detections, at the detector's scores.
        boxes: the boxes of each frame, [M, 4] px.
        verifier, score: scores of all frames, one after the other, [N]; nan if missing.
        matcher: its order of mitoses decides between equally near ones.
        radius_um: mitoses within this distance are stored with a detection.
    """
    within = [pairs for frame in frames for pairs in _within(frame, matcher, radius_um)]
    imposter = np.concatenate([np.zeros(0, dtype=np.int64), *(frame.nearest_imposter(radius_um) for frame in frames)])
    return StoredDetections(
        np.array([frame.frame for frame in frames for _ in frame.xy], dtype=np.str_),
        np.concatenate([np.zeros((0, 2)), *(frame.xy for frame in frames)]),
        np.concatenate([np.zeros((0, 4)), *boxes]),
        np.concatenate([np.zeros(0), *(frame.score for frame in frames)]),
        verifier,
        score,
        tuple(within),
        imposter if any(len(frame.contested_imposters) for frame in frames) else None,
    )


def _within(frame: FramePrediction, matcher: str, radius_um: float) -> Iterator[tuple[tuple[int, float], ...]]:
    """Yields the mitoses within the radius of each detection, nearest first; none on an unlabelled frame."""
    rule = find_matcher(matcher)
    distance, truth_order = frame.distances(rule)
    near = rule.within(distance, radius_um) & frame.labelled
    for row, inside in zip(distance, near, strict=True):
        columns = np.flatnonzero(inside)
        columns = columns[np.argsort(row[columns], kind="stable")]
        yield tuple((int(truth_order[column]), float(row[column])) for column in columns)


def to_csv(stored: StoredDetections) -> str:
    """Formats detections as CSV: one line per detection; a missing value is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS if stored.imposter is None else (*COLUMNS, IMPOSTER))
    places = np.column_stack([stored.xy, stored.boxes])
    scores = np.column_stack([stored.detector, stored.verifier, stored.score])
    for row, mitoses in enumerate(stored.within):
        place = [f"{value:.{digits}f}" for value, digits in zip(places[row], _PLACES.values(), strict=True)]
        nearest = mitoses[0] if mitoses else None
        writer.writerow(
            [
                guard_cell(str(stored.frame[row])),
                *place,
                *map(_spell, scores[row].tolist()),
                "" if nearest is None else nearest[0],
                "" if nearest is None else _spell_um(nearest[1]),
                " ".join(f"{mitosis}:{_spell_um(um)}" for mitosis, um in mitoses[1:]),
                *_spell_imposter(stored.imposter, row),
            ]
        )
    return text.getvalue()


def _spell_imposter(imposter: Ints | None, row: int) -> list[str]:
    return [] if imposter is None else ["" if imposter[row] < 0 else str(imposter[row])]


def _spell(value: float) -> str:
    return "" if np.isnan(value) else repr(value)


def _spell_um(value: float) -> str:
    return repr(round(value, DISTANCE_DIGITS))


# --------------------------------------------------------------------------------------------------------- reading


def from_csv(text: str) -> StoredDetections:
    """Parses the CSV of a record's detections. Raises RecordError with the row of anything invalid."""
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        header, *rows = list(reader)
    except (csv.Error, ValueError) as reason:
        raise RecordError(f"row {reader.line_num} is not CSV: {reason}") from reason
    if tuple(header) not in (COLUMNS, (*COLUMNS, IMPOSTER)):
        raise RecordError(f"the columns are {','.join(header)[:200]}; they must be {','.join(COLUMNS)}")
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise RecordError(f"row {number} has {len(row)} columns, must have {len(header)}")
        if len(row[0]) > MAX_NAME:
            raise RecordError(f"row {number}: the frame's id has {len(row[0]):,} characters, more than {MAX_NAME}")
    cells: Mapping[str, Sequence[str]] = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {}

    def numbers(names: Iterable[str], empty: bool = False) -> Floats:
        columns = [[_number(cell, name, at, empty) for at, cell in enumerate(cells.get(name, ()), 2)] for name in names]
        return np.array(columns, dtype=np.float64).T

    places, scores = numbers(_PLACES), numbers(_SCORES[1:], empty=True)
    mitosis, distance_um, also_within = (cells.get(name, ()) for name in COLUMNS[-3:])
    return StoredDetections(
        np.array([unguard_cell(cell) for cell in cells.get("frame", ())], dtype=np.str_),
        places[:, :2],
        places[:, 2:],
        numbers(_SCORES[:1])[:, 0],
        scores[:, 0],
        scores[:, 1],
        tuple(map(_pairs, mitosis, distance_um, also_within, range(2, len(rows) + 2))),
        _imposters(cells.get(IMPOSTER, ())) if IMPOSTER in header else None,
    )


def _imposters(cells: Sequence[str]) -> Ints:
    found = (-1 if not cell else _index(cell, row, IMPOSTER) for row, cell in enumerate(cells, 2))
    return np.array(list(found), dtype=np.int64)


def _number(cell: str, name: str, row: int, empty: bool = False) -> float:
    if empty and not cell:
        return float("nan")
    value = _parsed(cell, float, name, row)
    if not abs(value) <= (MAX_PX if name in _PLACES else MAX_NUMBER):  # also true for nan
        raise RecordError(f"row {row}: {name} is {cell[:40]!r}, which is out of range")
    return value


def _pairs(mitosis: str, distance_um: str, also_within: str, row: int) -> tuple[tuple[int, float], ...]:
    """Parses the mitoses within the radius of one detection, nearest first."""
    if not (mitosis or distance_um or also_within):
        return ()
    pairs = [(mitosis, distance_um), *(pair.partition(":")[::2] for pair in also_within.split())]
    found = tuple((_index(index, row), _number(um, "distance_um", row)) for index, um in pairs)
    distances = [um for _, um in found]
    if len({index for index, _ in found}) < len(found) or distances != sorted(distances) or distances[0] < 0:
        raise RecordError(f"row {row}: the mitoses within the radius must differ, nearest first")
    return found


def _index(cell: str, row: int, name: str = "mitosis") -> int:
    index = _parsed(cell, int, name, row)
    if not 0 <= index < MAX_MITOSES:
        raise RecordError(f"row {row}: {name} is {cell[:40]!r}, which is not an index")
    return index


def _parsed(cell: str, kind: Callable[[str], Number], name: str, row: int) -> Number:
    try:
        if cell != cell.strip() or "_" in cell:
            raise ValueError
        return kind(cell)
    except ValueError:
        raise RecordError(f"row {row}: {name} is {cell[:40]!r}, which is not a number") from None
