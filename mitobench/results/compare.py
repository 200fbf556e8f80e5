"""Two records side by side: the paired difference of their scores, and the frames on which they disagree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mitobench.errors import RecordError
from mitobench.evaluate import Difference, FrameCounts, paired_difference
from mitobench.results.schema import Record

RATIOS = ("f1", "precision", "recall")

Pair = tuple[FrameCounts, FrameCounts]


@dataclass(frozen=True)
class Comparison:
    """Record `a` less record `b`, on the same frames.

    Attributes:
        differences: of `f1`, `precision` and `recall`, paired; None where one of the two is undefined.
        frames: counts of each frame that differ, (a's, b's), most different first.
    """

    differences: dict[str, Difference | None]
    frames: list[Pair]

    @property
    def inside_noise(self) -> bool | None:
        """Whether the 95 % interval of the difference of F1 holds 0; None where there is none."""
        difference = self.differences["f1"]
        return None if difference is None else difference.low <= 0 <= difference.high


def compare(a: Record, b: Record, names: tuple[str | Path, str | Path] = ("one", "the other")) -> Comparison:
    """Compare two records.

    Args:
        a, b: the records.
        names: what errors call them.

    Raises RecordError where one has no counts, or naming all that they were not measured alike in.
    """
    for record, name in zip((a, b), names, strict=True):
        if record.test is None or not record.test.frames:
            said = record.reason or "it has no threshold, or all of its test frames are unlabelled"
            raise RecordError(f"{name}: has no scores to compare: {said}.")
    differences = list(_measured_otherwise(a, b))
    if differences:
        raise RecordError(f"{names[0]} and {names[1]} were not measured alike: {'; '.join(differences)}.")
    assert a.test is not None
    assert b.test is not None
    found = {metric: paired_difference(a.test.frames, b.test.frames, metric) for metric in RATIOS}
    return Comparison(found, _disagreements(a.test.frames, b.test.frames))


def _measured_otherwise(a: Record, b: Record) -> Iterator[str]:
    """What two records must share to be compared, where they do not."""
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
        "matcher": str(record.pipeline["matcher"]),
        "radius (um)": f"{record.pipeline['radius_um']:g}",
    }


def _disagreements(a: list[FrameCounts], b: list[FrameCounts]) -> list[Pair]:
    others = {frame.frame: frame for frame in b}
    pairs = [(frame, others[frame.frame]) for frame in a]
    differing = [pair for pair in pairs if _distance(pair)]
    return sorted(differing, key=lambda pair: (-_distance(pair), pair[0].frame))


def _distance(pair: Pair) -> int:
    """By how many detections two frames differ; a miss more is a hit less, and is not counted again."""
    one, other = pair
    return abs(one.tp - other.tp) + abs(one.fp - other.fp)
