"""Compares two records: the paired difference of their scores, and the frames on which they disagree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mitobench.errors import RecordError
from mitobench.evaluate import Difference, FrameCounts, paired_difference
from mitobench.evaluate.matching import current_name
from mitobench.results.schema import Record

RATIOS = ("f1", "precision", "recall")

Pair = tuple[FrameCounts, FrameCounts]


@dataclass(frozen=True)
class Comparison:
    """Record `a` less record `b`, on the same frames.

    Attributes:
        differences: of `f1`, `precision` and `recall`, paired; None if one of the two is undefined.
        frames: (a's, b's) counts of each frame on which they differ, the most different first.
    """

    differences: dict[str, Difference | None]
    frames: list[Pair]

    @property
    def inside_noise(self) -> bool | None:
        """Whether the 95 % interval of the difference of F1 contains 0; None if there is no interval."""
        difference = self.differences["f1"]
        return None if difference is None else difference.low <= 0 <= difference.high


def compare(a: Record, b: Record, names: tuple[str | Path, str | Path] = ("one", "the other")) -> Comparison:
    """Compare two records.

    Args:
        a, b: the records.
        names: of the records, for error messages.

    Raises RecordError if one has no counts, or if they were not measured in the same way.
    """
    for record, name in zip((a, b), names, strict=True):
        if record.test is None or not record.test.frames:
            reason = record.reason or "it has no threshold, or all of its test frames are unlabelled"
            raise RecordError(f"{name}: has no scores to compare: {reason}.")
    differing = list(_measured_differently(a, b))
    if differing:
        raise RecordError(
            f"{names[0]} and {names[1]} were not measured in the same way: {'; '.join(differing)}. "
            "Choose records of one section of the leaderboard."
        )
    assert a.test is not None
    assert b.test is not None
    found = {metric: paired_difference(a.test.frames, b.test.frames, metric) for metric in RATIOS}
    return Comparison(found, _disagreements(a.test.frames, b.test.frames))


def _measured_differently(a: Record, b: Record) -> Iterator[str]:
    """Yields what two records must have in common to be compared, but have not."""
    of_a, of_b = _measured(a), _measured(b)
    for name in of_a:
        if of_a[name] != of_b[name]:
            yield f"{name} {of_a[name]:.20} and {of_b[name]:.20}"


def _measured(record: Record) -> dict[str, str]:
    dataset = str(record.combination["dataset"])
    return {
        "data set": dataset,
        "protocol": str(record.combination["protocol"]),
        "digest of the test frames": record.data[dataset].digest["test"],
        "matcher": current_name(str(record.pipeline["matcher"])),
        "radius (um)": f"{record.pipeline['radius_um']:g}",
    }


def _disagreements(a: list[FrameCounts], b: list[FrameCounts]) -> list[Pair]:
    others = {frame.frame: frame for frame in b}
    pairs = [(frame, others[frame.frame]) for frame in a]
    differing = [pair for pair in pairs if _distance(pair)]
    return sorted(differing, key=lambda pair: (-_distance(pair), pair[0].frame))


def _distance(pair: Pair) -> int:
    """Returns by how many detections two frames differ; one more miss is one hit less, and is not counted twice."""
    one, other = pair
    return abs(one.tp - other.tp) + abs(one.fp - other.fp)
