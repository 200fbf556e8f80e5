"""The contest's metrics: counts, AP and `froc_auc`, of all images, of each tumour domain and of each kind of region.

Coordinates are mm. The contest's ratios have a small number in them so that they are always defined; they are those
that its table shows and not the ratios of mitobench's own records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitobench.evaluate.coco_ap import average_precision
from mitobench.evaluate.matching import match
from mitobench.foreign.midog25 import REGIONS

Floats = NDArray[np.float64]

RADIUS_MM = 7.5e-3
HALF_SIDE_MM = 0.01125  # of the squares that AP compares
MAX_MM = 10.0  # a larger coordinate is in px
MAX_FALSE_POSITIVES = 8  # per image; the end of the area below the FROC curve
N_THRESHOLDS, N_POINTS = 40, 50
EPSILON = 1e-6
NO_AP = -1.0  # what the contest reports without a mitosis


@dataclass(frozen=True)
class Point:
    """A detection: x, y and z in mm, whether its name is `mitotic figure`, and its probability."""

    xyz: tuple[float, ...]
    is_mitosis: bool
    probability: float


@dataclass(frozen=True)
class Result:
    """What a container found on one image, with the image's annotation.

    Attributes:
        image: file name of the image.
        points: the detections, those below the threshold (`non-mitotic figure`) included.
        truth: the annotated mitoses, [N, 2] mm.
        tumour: the image's tumour domain.
        region: kind of region: `hotspot`, `challenging` or `random`.
    """

    image: str
    points: tuple[Point, ...]
    truth: Floats
    tumour: int | str
    region: str

    def xy(self, at_least: float | None = None) -> Floats:
        """Centres [M, 2] mm of the mitotic figures, or of all points with at least this probability."""
        kept = [p for p in self.points if (p.is_mitosis if at_least is None else p.probability >= at_least)]
        return np.array([p.xyz[:2] for p in kept], dtype=np.float64).reshape(-1, 2)


def refusal(xyz: Sequence[float]) -> str | None:
    """Why the contest's evaluator refuses a point (mm); None if it takes it."""
    if min(xyz[:2]) < -RADIUS_MM:
        return f"a coordinate is below -{RADIUS_MM:g} mm"
    if max(xyz[:2]) > MAX_MM:
        return f"a coordinate is above {MAX_MM:g} mm: are they px?"
    return None


def contest_metrics(results: Sequence[Result]) -> dict[str, Any]:
    """Returns the content of the contest's metrics.json: `results` of each image, and `aggregates`.

    What the contest leaves undefined is its own: AP without a mitosis is -1, and F1 of nothing is 1. `froc_auc` without
    a detection is None (the contest writes NaN, which JSON does not have).
    """
    counted = [(result, *_counts(result, result.xy())) for result in results]
    aggregates = _named(counted, "", "f1_score")
    for tumour in sorted({result.tumour for result in results}, key=str):
        of_tumour = [row for row in counted if row[0].tumour == tumour]
        aggregates |= _named(of_tumour, f"tumor_{tumour}_", "f1")
    for region in REGIONS:
        of_region = [row for row in counted if row[0].region == region]
        aggregates |= _named(of_region, f"roi_type_{region}_", "f1")
    return {"results": [_entry(*row) for row in counted], "aggregates": aggregates}


Counted = tuple[Result, int, int, int]


def _counts(result: Result, xy: Floats) -> tuple[int, int, int]:
    """TP, FP and FN of the points at `xy` [M, 2] mm, by the matcher `evalutils`."""
    matched = match("evalutils", result.truth * 1e3, xy * 1e3, np.zeros(len(xy)), (1.0, 1.0), RADIUS_MM * 1e3)
    tp = int(matched.found.sum())
    return tp, len(xy) - tp, len(result.truth) - tp


def _entry(result: Result, tp: int, fp: int, fn: int) -> dict[str, Any]:
    return {
        "image": result.image,
        "gt": [],  # withheld, as in the contest
        "tumor_domain": result.tumour,
        "pred": [[*p.xyz, int(p.is_mitosis), p.probability] for p in result.points],
        "metrics": {"true_positives": tp, "false_negatives": fn, "false_positives": fp},
        "roi_type": result.region,
    }


def _named(counted: Sequence[Counted], prefix: str, f1: str) -> dict[str, float | None]:
    results = [row[0] for row in counted]
    tp, fp, fn = np.sum([row[1:] for row in counted] or [(0, 0, 0)], axis=0).tolist()
    return {
        f"{prefix}precision": tp / (tp + fp + EPSILON),
        f"{prefix}recall": tp / (tp + fn + EPSILON),
        f"{prefix}{f1}": (2 * tp + EPSILON) / (2 * tp + fp + fn + EPSILON),
        f"{prefix}AP": _ap(results),
        f"{prefix}froc_auc": froc_auc(results),
    }


def _ap(results: Sequence[Result]) -> float:
    """COCO's AP at IoU .5 of squares around all points, whatever their name."""
    square: Callable[[Floats], NDArray[np.float32]] = lambda xy: np.hstack(  # noqa: E731
        [xy - HALF_SIDE_MM, xy + HALF_SIDE_MM]
    ).astype(np.float32)
    images = [
        (square(r.xy(-np.inf)), np.array([p.probability for p in r.points], dtype=np.float32), square(r.truth))
        for r in results
    ]
    found = average_precision(images)
    return NO_AP if found is None else found


def froc_auc(results: Sequence[Result]) -> float | None:
    """The area below recall against false positives per image, from 0 to 8; at most 8, as it is not normalised.

    Recall is taken at 40 thresholds from the lowest to the highest probability, at equal steps, and interpolated at 50
    numbers of false positives per image. Left of the first it is 0, right of the last the last one. None without
    detections.
    """
    scores = [p.probability for result in results for p in result.points]
    if not scores:
        return None
    low, high = min(scores), max(scores)
    recalls, rates = [], []
    for threshold in [low] if low == high else np.linspace(low, high, N_THRESHOLDS).tolist():
        at = np.array([_counts(result, result.xy(threshold)) for result in results])
        tp, fp, fn = at.sum(axis=0).tolist()
        recalls.append(tp / (tp + fn + EPSILON))
        rates.append(fp / len(results))
    order = np.argsort(rates, kind="stable")
    x = np.linspace(0, MAX_FALSE_POSITIVES, N_POINTS)
    y = np.interp(x, np.array(rates)[order], np.array(recalls)[order], left=0, right=recalls[order[-1]])
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))
