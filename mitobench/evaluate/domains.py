"""Scores by domain (scanner, tumour type, ...): the counts of the frames of each value, their mean, and the worst."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from mitobench.evaluate.metrics import FrameCounts, total

MAX_VALUES = 1_000  # of one domain; more are names of cases, not domains
UNKNOWN = "unknown"  # the value of a frame whose domain is not known


class Described(Protocol):
    """A frame with its slide, its domains and its area: a `FramePrediction`, or a `FrameEntry` of a record."""

    @property
    def group(self) -> str:
        """The slide or case."""

    @property
    def domains(self) -> Mapping[str, str]:
        """The frame's domains by kind."""

    @property
    def area_mm2(self) -> float | None:
        """What the frame shows, mm2; None if unknown."""


class DomainScores(BaseModel):
    """The scores of the frames with one value of a domain, as `Metrics` has those of all frames.

    Attributes:
        area_mm2: that the frames show, mm2; None if unknown.
        fp_per_mm2: false positives per mm2; None if the area is unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n_frames: int
    n_groups: int
    n_mitoses: int
    tp: int
    fp: int
    fn: int
    precision: float | None
    recall: float | None
    f1: float | None
    area_mm2: float | None
    fp_per_mm2: float | None


class ByDomain(BaseModel):
    """The scores by the values of one domain.

    Attributes:
        values: the scores of each value, by its name.
        macro_f1: mean of the defined F1; None if none is defined.
        worst: the value with the lowest F1, of equals the first by name; None if no F1 is defined.
        worst_f1: its F1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    values: dict[str, DomainScores]
    macro_f1: float | None
    worst: str | None
    worst_f1: float | None


def by_domain(frames: Sequence[Described], counts: Sequence[FrameCounts]) -> dict[str, ByDomain]:
    """Returns the scores by every domain that has two values or more on these frames.

    Args:
        frames: the scored frames.
        counts: the counts of each, in the same order.
    """
    kinds = sorted({kind for frame in frames for kind in frame.domains})
    found = {kind: _by(kind, frames, counts) for kind in kinds}
    return {kind: scores for kind, scores in found.items() if 1 < len(scores.values) <= MAX_VALUES}


def _by(kind: str, frames: Sequence[Described], counts: Sequence[FrameCounts]) -> ByDomain:
    members: defaultdict[str, list[int]] = defaultdict(list)
    for number, frame in enumerate(frames):
        members[frame.domains.get(kind, UNKNOWN)].append(number)
    values = {
        value: _scores([frames[number] for number in numbers], [counts[number] for number in numbers])
        for value, numbers in sorted(members.items())
    }
    f1 = {value: scores.f1 for value, scores in values.items() if scores.f1 is not None}
    worst = min(f1, key=lambda value: (f1[value], value), default=None)
    return ByDomain(
        values=values,
        macro_f1=sum(f1.values()) / len(f1) if f1 else None,
        worst=worst,
        worst_f1=None if worst is None else f1[worst],
    )


def _scores(frames: Sequence[Described], counts: Sequence[FrameCounts]) -> DomainScores:
    summed, area = total(counts), area_mm2(frames)
    return DomainScores(
        n_frames=len(frames),
        n_groups=len({frame.group for frame in frames}),
        n_mitoses=summed.tp + summed.fn,
        tp=summed.tp,
        fp=summed.fp,
        fn=summed.fn,
        precision=summed.ratio("precision"),
        recall=summed.ratio("recall"),
        f1=summed.ratio("f1"),
        area_mm2=area,
        fp_per_mm2=per_mm2(summed.fp, area),
    )


def area_mm2(frames: Sequence[Described]) -> float | None:
    """Returns the area of all frames, mm2; None if that of one is unknown."""
    areas = [frame.area_mm2 for frame in frames if frame.area_mm2 is not None]
    return round(sum(areas), 6) if areas and len(areas) == len(frames) else None


def per_mm2(number: int, area: float | None) -> float | None:
    """Returns a number per mm2; None without an area."""
    return number / area if area else None
