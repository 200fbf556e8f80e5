"""Compares the mitoses per mm2 of each case, as detected and as annotated: what grading needs, unlike F1.

A missed mitosis and a false positive are two errors for F1 and none for the count; a detector that finds a tenth too
many everywhere has a good F1 and moves cases over a cut-off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mitobench.evaluate.domains import Described
from mitobench.evaluate.metrics import FrameCounts

MIN_CASES = 3  # for limits of agreement and for the intraclass correlation
LIMITS = 1.96  # standard deviations on both sides of the bias (Bland and Altman, Lancet 1986)
DIGITS = 6  # decimals of mitoses per mm2, so that equal counts are equal numbers
TUMOUR, SCANNER = "tumour", "scanner"  # kinds of domains

CutOffs = Mapping[str, Sequence[float]]  # mitoses per mm2 at which the next class begins, ascending, by tumour type


class CaseCount(NamedTuple):
    """The mitoses per mm2 of one case.

    Attributes:
        group: its name.
        detected, annotated: mitoses per mm2, over all of its scored frames.
        tumour: its tumour type; None if unknown, or if its frames have several.
        scanners: number of different scanners of its frames; 0 if unknown.
    """

    group: str
    detected: float
    annotated: float
    tumour: str | None
    scanners: int


class CaseCounts(BaseModel):
    """How well the number of detections gives the number of annotated mitoses, over the cases of a split.

    Attributes:
        n_cases: number of cases (slides) with scored frames.
        n_several_scanners: those with frames of several scanners. Their counts are means over all these frames, so
            tissue that was scanned twice is not counted as two cases.
        detected_per_mm2, annotated_per_mm2: means over cases.
        bias: mean of detected minus annotated mitoses per mm2.
        lower_limit, upper_limit: limits of agreement, bias - 1.96 SD and bias + 1.96 SD of the differences; None with
            fewer than three cases.
        icc: intraclass correlation of detected and annotated mitoses per mm2, as in `intraclass_correlation`; None with
            fewer than three cases, or if all values are equal.
        cut_offs: mitoses per mm2 at which the next class begins, by tumour type, from the data set's card.
        n_graded: number of cases whose tumour type has cut-offs.
        same_side: share of these whose detected and annotated mitoses per mm2 are on the same side of every cut-off;
            None if there are none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n_cases: int
    n_several_scanners: int
    detected_per_mm2: float
    annotated_per_mm2: float
    bias: float
    lower_limit: float | None
    upper_limit: float | None
    icc: float | None
    cut_offs: dict[str, list[float]]
    n_graded: int
    same_side: float | None


def case_counts(
    frames: Sequence[Described], counts: Sequence[FrameCounts], cut_offs: CutOffs | None = None
) -> CaseCounts | None:
    """Compares detected and annotated mitoses per mm2 over cases; None without frames, or if an area is unknown.

    Args:
        frames: the scored (labelled) frames.
        counts: the counts of each, in the same order. Detected are true and false positives, annotated true positives
            and misses.
        cut_offs: by tumour type, ascending. A case is above a cut-off if it has at least as many mitoses per mm2.
    """
    found = cases(frames, counts)
    if not found:
        return None
    values = np.array([(case.detected, case.annotated) for case in found])
    detected, annotated = values.mean(axis=0).tolist()
    bias, lower, upper = _limits_of_agreement(values[:, 0] - values[:, 1])
    same = _same_side(found, cut_offs or {})
    return CaseCounts(
        n_cases=len(found),
        n_several_scanners=sum(case.scanners > 1 for case in found),
        detected_per_mm2=detected,
        annotated_per_mm2=annotated,
        bias=bias,
        lower_limit=lower,
        upper_limit=upper,
        icc=intraclass_correlation(values) if len(found) >= MIN_CASES else None,
        cut_offs={tumour: [float(value) for value in values] for tumour, values in (cut_offs or {}).items()},
        n_graded=len(same),
        same_side=sum(same) / len(same) if same else None,
    )


def cases(frames: Sequence[Described], counts: Sequence[FrameCounts]) -> list[CaseCount]:
    """Returns the mitoses per mm2 of each case, by name; none if the area of a frame is unknown or 0."""
    if not all(frame.area_mm2 for frame in frames):
        return []
    of_case: defaultdict[str, list[tuple[Described, FrameCounts]]] = defaultdict(list)
    for frame, count in zip(frames, counts, strict=True):
        of_case[frame.group].append((frame, count))
    return [_case(group, members) for group, members in sorted(of_case.items())]


def _case(group: str, members: Sequence[tuple[Described, FrameCounts]]) -> CaseCount:
    area = sum(frame.area_mm2 or 0.0 for frame, _ in members)
    tumours = {frame.domains.get(TUMOUR) for frame, _ in members}
    return CaseCount(
        group,
        round(sum(count.tp + count.fp for _, count in members) / area, DIGITS),
        round(sum(count.tp + count.fn for _, count in members) / area, DIGITS),
        tumours.pop() if len(tumours) == 1 else None,
        len({frame.domains[SCANNER] for frame, _ in members if SCANNER in frame.domains}),
    )


def _limits_of_agreement(differences: NDArray[np.float64]) -> tuple[float, float | None, float | None]:
    """Returns bias and limits of agreement (Bland and Altman 1986)."""
    bias = float(differences.mean())
    if len(differences) < MIN_CASES:
        return bias, None, None
    reach = LIMITS * float(differences.std(ddof=1))
    return bias, bias - reach, bias + reach


def intraclass_correlation(ratings: NDArray[np.float64]) -> float | None:
    """Returns ICC(2,1): two-way random effects, absolute agreement, single rating (Shrout and Fleiss 1979).

    Args:
        ratings: of each case by each rater, [N, K] with N > 2 and K > 1.

    1 is perfect agreement. The value is at most 1 and at least -N / (N - 2) with two raters. None if all ratings are
    equal: nothing varies that could agree.
    """
    n, k = ratings.shape
    if np.ptp(ratings) == 0:
        return None
    mean, of_case, of_rater = ratings.mean(), ratings.mean(axis=1), ratings.mean(axis=0)
    residual = ratings - of_case[:, None] - of_rater[None] + mean
    between_cases = k * ((of_case - mean) ** 2).sum() / (n - 1)
    between_raters = n * ((of_rater - mean) ** 2).sum() / (k - 1)
    error = (residual**2).sum() / ((n - 1) * (k - 1))
    whole = between_cases + (k - 1) * error + k * (between_raters - error) / n
    return float((between_cases - error) / whole)


def _same_side(found: Sequence[CaseCount], cut_offs: CutOffs) -> list[bool]:
    """Returns for each case with cut-offs whether both counts are on the same side of all of them."""
    graded = [(case, cut_offs[case.tumour]) for case in found if case.tumour is not None and case.tumour in cut_offs]
    return [_class(case.detected, at) == _class(case.annotated, at) for case, at in graded]


def _class(per_mm2: float, cut_offs: Sequence[float]) -> int:
    return sum(per_mm2 >= cut_off for cut_off in cut_offs)
