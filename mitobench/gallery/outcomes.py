"""The outcome of each detection and of each mitosis of a frame, according to a record."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mitobench.datasets import Item
from mitobench.errors import RecordError
from mitobench.evaluate import Metrics, match
from mitobench.evaluate.matching import near
from mitobench.report.colours import OUTCOMES, UNLABELLED, Outcome
from mitobench.results.recompute import Recomputation


@dataclass(frozen=True)
class StoredCandidate:
    """A detection stored in a record.

    Attributes:
        xy: its centre, px.
        detector, verifier: its scores by detector and verifier; `verifier` is None without a verifier.
        score: the fused score; None if the candidate threshold dropped the detection.
        mitosis: index of the annotated mitosis that it found; None if it is not a true positive.
        near: indices of all mitoses within the radius.
    """

    xy: tuple[float, float]
    detector: float
    verifier: float | None
    score: float | None
    mitosis: int | None
    near: frozenset[int]

    @classmethod
    def of_record(cls, recomputed: Recomputation) -> dict[str, list[StoredCandidate]]:
        """Returns all stored detections of a record, by frame."""
        stored, found = recomputed.test, defaultdict(list)
        scores = zip(*(map(_or_none, values.tolist()) for values in (stored.verifier, stored.score)), strict=True)
        for row, (verifier, score) in enumerate(scores):
            x, y = stored.xy[row].tolist()
            hit = int(recomputed.found[row])
            near = frozenset(mitosis for mitosis, _ in stored.within[row])
            found[str(stored.frame[row])].append(
                cls((x, y), float(stored.detector[row]), verifier, score, hit if hit >= 0 else None, near)
            )
        return dict(found)

    def counts(self, threshold: float | None) -> bool:
        """Whether its score is at or above the threshold."""
        return threshold is not None and self.score is not None and self.score >= threshold


@dataclass(frozen=True)
class Mark:
    """A detection, or a missed mitosis, with its outcome.

    Attributes:
        frame: id of the frame.
        xy: centre of the detection or of the missed mitosis, px.
        outcome: true positive, false positive, miss, or unlabelled.
        candidate: the detection; for a miss the best-scored candidate near it, None if there is none.
        note: further details.
    """

    frame: str
    xy: tuple[float, float]
    outcome: Outcome
    candidate: StoredCandidate | None
    note: str = ""


def marks(item: Item, candidates: Sequence[StoredCandidate], test: Metrics) -> list[Mark]:
    """Returns the true positives, false positives and misses of a frame; for an unlabelled frame its detections.

    Only detections at or above the threshold are included. Raises RecordError if a detection refers to a mitosis that
    the frame does not have.
    """
    counted = [candidate for candidate in candidates if candidate.counts(test.threshold)]
    id = item.frame.id
    if not item.mitoses.labelled:
        return [Mark(id, c.xy, UNLABELLED, c) for c in counted]
    hits = [candidate for candidate in counted if candidate.mitosis is not None]
    errors = [candidate for candidate in counted if candidate.mitosis is None]
    return [
        *(Mark(id, c.xy, OUTCOMES["tp"], c) for c in hits),
        *(
            Mark(id, c.xy, OUTCOMES["fp"], c, note)
            for c, note in zip(errors, _error_notes(item, errors, test), strict=True)
        ),
        *_misses(item, hits, [c for c in candidates if not c.counts(test.threshold)], test),
    ]


def hardest_misses(marks: Iterable[Mark]) -> list[Mark]:
    """Sorts misses: without any candidate first, then those dropped before verification, then by ascending score."""

    def score(mark: Mark) -> tuple[float, float]:
        found = mark.candidate
        if found is None:
            return -2.0, 0.0
        return (-1.0, found.detector) if found.score is None else (0.0, found.score)

    return sorted((mark for mark in marks if mark.outcome is OUTCOMES["fn"]), key=score)


def most_confident_errors(marks: Iterable[Mark]) -> list[Mark]:
    """Sorts false positives by descending score."""
    scored = [(mark.candidate.score, mark) for mark in marks if mark.outcome is OUTCOMES["fp"] and mark.candidate]
    return [mark for _, mark in sorted(scored, key=lambda pair: -(pair[0] or 0.0))]


def caption(mark: Mark, threshold: float | None) -> list[str]:
    """The lines of text below a crop: place, fused score, detector and verifier scores, note."""
    lines = [f"{mark.frame}  ({mark.xy[0]:.0f}, {mark.xy[1]:.0f}) px"]
    found = mark.candidate
    if found is not None:
        sign = ">=" if found.counts(threshold) else "<"
        after = f"score {short(found.score)} {sign} {short(threshold)}" if found.score is not None else "no score"
        verified = f", verifier {short(found.verifier)}" if found.verifier is not None else ""
        lines += [after, f"detector {short(found.detector)}{verified}"]
    return [*lines, mark.note] if mark.note else lines


def short(score: float | None) -> str:
    """A score truncated to three decimals, so that .9979 does not look equal to a threshold of .998; None: a dash."""
    if score is None:
        return "–"
    text = f"{math.floor(score * 1000) / 1000:.3f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _error_notes(item: Item, errors: Sequence[StoredCandidate], test: Metrics) -> list[str]:
    """Describes each false positive."""
    xy = np.array([candidate.xy for candidate in errors], dtype=np.float64).reshape(-1, 2)
    lookalike = near(item.mitoses.imposters, xy, item.frame.mpp, test.radius_um)
    matched = match("mitos", item.mitoses.xy, xy, np.zeros(len(xy)), item.frame.mpp, test.radius_um)
    notes = []
    for candidate, looks, um in zip(errors, lookalike, matched.distance_um, strict=True):
        if candidate.near:
            notes.append("second detection of one mitosis")
        elif looks:
            notes.append("annotated as a look-alike")
        else:
            notes.append("no mitosis on this frame" if np.isnan(um) else f"{um:.0f} um from the nearest mitosis")
    return notes


def _misses(item: Item, hits: Sequence[StoredCandidate], below: Sequence[StoredCandidate], test: Metrics) -> list[Mark]:
    found = {candidate.mitosis for candidate in hits if candidate.mitosis is not None}
    annotated = set(range(len(item.mitoses)))
    if not found <= annotated:
        raise RecordError(
            f"{item.frame.key}: a detection refers to mitosis {max(found)}, but the frame has "
            f"{len(annotated)}. The detections are not of this frame. Make the record again."
        )
    return [_miss(item, mitosis, below, test.radius_um) for mitosis in sorted(annotated - found)]


def _miss(item: Item, mitosis: int, below: Sequence[StoredCandidate], radius_um: float) -> Mark:
    around = [candidate for candidate in below if mitosis in candidate.near]
    best = max(around, key=lambda c: (-math.inf if c.score is None else c.score, c.detector), default=None)
    note = f"no candidate of its own within {radius_um:g} um" if best is None else ""
    if best is not None and best.score is None:
        note = "dropped by the candidate threshold"
    x, y = item.mitoses.xy[mitosis].tolist()
    return Mark(item.frame.id, (x, y), OUTCOMES["fn"], best, note)


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
