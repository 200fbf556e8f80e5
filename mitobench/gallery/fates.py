"""What became of each detection and of each mitosis of a frame, as the record has it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mitobench.datasets import Item
from mitobench.errors import RecordError
from mitobench.evaluate import Metrics, match
from mitobench.evaluate.matching import near
from mitobench.report.colours import FATES, UNLABELLED, Fate

Floats = NDArray[np.float64]

ROUNDING_UM = 0.01  # stored places have two decimals of a pixel


@dataclass(frozen=True)
class Candidate:
    """A stored detection.

    Attributes:
        xy: its centre, px.
        detector, verifier: its scores before and of verification; None without a verifier.
        score: after it; None where the gate dropped it.
        hit: whether it is a true positive; False too where it does not count.
        distance_um: to the nearest mitosis; None where the frame has none, or where the gate dropped it.
    """

    xy: tuple[float, float]
    detector: float
    verifier: float | None
    score: float | None
    hit: bool
    distance_um: float | None

    @classmethod
    def of(cls, row: Mapping[str, str]) -> Candidate:
        """The candidate of a row of the detections' file."""
        verifier, score, distance_um = (_number(row[name]) for name in ("score_verifier", "score", "distance_um"))
        place = float(row["x"]), float(row["y"])
        return cls(place, float(row["score_detector"]), verifier, score, row["hit"] == "1", distance_um)

    def counts(self, threshold: float | None) -> bool:
        """Whether it is at or above the threshold."""
        return threshold is not None and self.score is not None and self.score >= threshold


@dataclass(frozen=True)
class Mark:
    """A place on a frame and what is to be said of it.

    Attributes:
        frame: its id.
        xy: of the detection, or of the mitosis that was missed; px.
        fate: what became of it.
        candidate: the detection; of a miss the candidate near it with the best score, None where there is none.
        note: what else is known of it.
    """

    frame: str
    xy: tuple[float, float]
    fate: Fate
    candidate: Candidate | None
    note: str = ""


def marks(item: Item, candidates: Sequence[Candidate], test: Metrics) -> list[Mark]:
    """The true positives, false positives and misses of a frame; of an unlabelled one the detections that count.

    Raises RecordError where a stored hit is near no mitosis of the frame.
    """
    counted = [candidate for candidate in candidates if candidate.counts(test.threshold)]
    id = item.frame.id
    if not item.mitoses.labelled:
        return [Mark(id, c.xy, UNLABELLED, c) for c in counted]
    hits = [candidate for candidate in counted if candidate.hit]
    errors = [candidate for candidate in counted if not candidate.hit]
    lookalike = _near(item, item.mitoses.imposters, errors, test.radius_um)
    return [
        *(Mark(id, c.xy, FATES["tp"], c) for c in hits),
        *(Mark(id, c.xy, FATES["fp"], c, _of_error(c, look, test)) for c, look in zip(errors, lookalike, strict=True)),
        *_misses(item, hits, [c for c in candidates if not c.counts(test.threshold)], test),
    ]


def hardest_misses(marks: Iterable[Mark]) -> list[Mark]:
    """Misses: those without any candidate first, then those that the gate dropped, then by ascending score."""

    def score(mark: Mark) -> tuple[float, float]:
        found = mark.candidate
        if found is None:
            return -2.0, 0.0
        return (-1.0, found.detector) if found.score is None else (0.0, found.score)

    return sorted((mark for mark in marks if mark.fate is FATES["fn"]), key=score)


def most_confident_errors(marks: Iterable[Mark]) -> list[Mark]:
    """False positives by descending score."""
    scored = [(mark.candidate.score, mark) for mark in marks if mark.fate is FATES["fp"] and mark.candidate]
    return [mark for _, mark in sorted(scored, key=lambda pair: -(pair[0] or 0.0))]


def caption(mark: Mark, threshold: float | None) -> list[str]:
    """What is to be read below a crop: the place, the score, the scores before and of verification, the note."""
    lines = [f"{mark.frame}  ({mark.xy[0]:.0f}, {mark.xy[1]:.0f}) px"]
    found = mark.candidate
    if found is not None:
        sign = ">=" if found.counts(threshold) else "<"
        after = f"score {short(found.score)} {sign} {short(threshold)}" if found.score is not None else "no score"
        verified = f", verifier {short(found.verifier)}" if found.verifier is not None else ""
        lines += [after, f"detector {short(found.detector)}{verified}"]
    return [*lines, mark.note] if mark.note else lines


def short(score: float | None) -> str:
    """A score in three decimals, cut and not rounded: .997 is below a threshold of .998; a dash where there is none."""
    if score is None:
        return "–"
    text = f"{math.floor(score * 1000) / 1000:.3f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _of_error(candidate: Candidate, lookalike: bool, test: Metrics) -> str:
    if candidate.distance_um is not None and candidate.distance_um < test.radius_um:
        return "second detection of one mitosis"
    if lookalike:
        return "annotated as a look-alike"
    return (
        "no mitosis on this frame"
        if candidate.distance_um is None
        else f"{candidate.distance_um:.0f} um from the nearest mitosis"
    )


def _misses(item: Item, hits: Sequence[Candidate], below: Sequence[Candidate], test: Metrics) -> list[Mark]:
    truth = item.mitoses.xy
    found = match(test.matcher, truth, _xy(hits), _scores(hits), item.frame.mpp, test.radius_um + ROUNDING_UM)
    if not found.hit.all():
        raise RecordError(
            f"{item.frame.key}: a detection that the record calls a hit is near no mitosis. Its detections are not of "
            "this frame; make the record again."
        )
    missed = sorted(set(range(len(truth))) - set(found.truth.tolist()))
    return [_miss(item, truth[i], below, test.radius_um) for i in missed]


def _miss(item: Item, mitosis: Floats, below: Sequence[Candidate], radius_um: float) -> Mark:
    close = _near(item, mitosis[None], below, radius_um)
    around = [candidate for candidate, is_near in zip(below, close, strict=True) if is_near]
    best = max(around, key=lambda c: (-math.inf if c.score is None else c.score, c.detector), default=None)
    note = f"no candidate of its own within {radius_um:g} um" if best is None else ""
    if best is not None and best.score is None:
        note = "dropped by the gate"
    return Mark(item.frame.id, (float(mitosis[0]), float(mitosis[1])), FATES["fn"], best, note)


def _near(item: Item, places: Floats, candidates: Sequence[Candidate], radius_um: float) -> NDArray[np.bool_]:
    """Which candidates are closer to one of `places` ([N, 2] px) than the radius: bool [M]."""
    return near(places, _xy(candidates), item.frame.mpp, radius_um)


def _xy(candidates: Sequence[Candidate]) -> Floats:
    return np.array([candidate.xy for candidate in candidates], dtype=np.float64).reshape(-1, 2)


def _scores(candidates: Sequence[Candidate]) -> Floats:
    return np.array([candidate.score for candidate in candidates], dtype=np.float64)


def _number(cell: str) -> float | None:
    return float(cell) if cell else None
