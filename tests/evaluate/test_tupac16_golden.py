"""The published detections on TUPAC16 with the alternative labels give the published F1 with `kdtree`."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mitobench.evaluate import FramePrediction, count_frames, sweep, total
from mitobench.evaluate.matching import SUPPRESSED

pytestmark = pytest.mark.real

MPP, RADIUS_UM = (0.25, 0.25), 25 * 0.25
THRESHOLDS = np.round(np.arange(0.30, 0.985, 0.01), 2)  # a detection counts if its score is above


def _rows(path: Path, columns: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
    found = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            found[next(iter(row.values()))].append([float(row[name]) for name in columns])
    return {case: np.array(rows) for case, rows in found.items()}


@pytest.fixture(scope="module")
def detections(real_data: Path) -> dict[str, NDArray[np.float64]]:
    return _rows(real_data / "tupac16_al" / "detections.csv", ("x1", "y1", "x2", "y2", "score"))


def frames(real_data: Path, labels: str, detections: dict[str, NDArray[np.float64]]) -> list[FramePrediction]:
    truth = _rows(real_data / "tupac16_al" / f"{labels}.csv", ("x", "y", "class"))
    made = []
    for case in sorted({*truth, *detections}):
        rows, found = truth.get(case, np.zeros((0, 3))), detections.get(case, np.zeros((0, 5)))
        centres = (found[:, :2] + found[:, 2:4]) / 2
        made.append(FramePrediction(case, case, MPP, rows[rows[:, 2] == 1, :2], centres, found[:, 4]))
    return made


def best(frames: list[FramePrediction], matcher: str) -> tuple[float, float, int, int, int]:
    """The best F1 over the published thresholds, the first of equals, with its threshold and counts."""
    curve = sweep(frames, matcher, RADIUS_UM)
    kept = [int((curve.threshold > threshold).sum()) for threshold in THRESHOLDS]
    at = [(int(curve.tp[k - 1]), int(curve.fp[k - 1]), int(curve.fn[k - 1])) for k in kept]
    f1 = [2 * tp / (2 * tp + fp + fn) for tp, fp, fn in at]
    first = int(np.argmax(f1))
    return f1[first], float(THRESHOLDS[first]), *at[first]


def test_the_augmented_labels(real_data: Path, detections: dict[str, NDArray[np.float64]]) -> None:
    labelled = frames(real_data, "labels_augmented", detections)
    assert len(labelled) == 73
    f1, *rest = best(labelled, "kdtree")
    assert f1 == pytest.approx(0.7422266800401204, abs=1e-12)
    assert rest == [0.64, 1480, 509, 519]
    at = total(count_frames(labelled, np.nextafter(0.64, 1), "kdtree", RADIUS_UM))
    assert (at.tp, at.fp, at.fn) == (1480, 509, 519)


def test_the_manual_labels(real_data: Path, detections: dict[str, NDArray[np.float64]]) -> None:
    f1, *_ = best(frames(real_data, "labels_manual", detections), "kdtree")
    assert f1 == pytest.approx(0.7313432835820896, abs=1e-12)


@pytest.fixture(scope="module")
def kept(real_data: Path, detections: dict[str, NDArray[np.float64]]) -> list[FramePrediction]:
    """The frames with the detections that `kdtree` does not suppress."""
    labelled = [one.above(np.nextafter(0.64, 1)) for one in frames(real_data, "labels_augmented", detections)]
    return [one.keep(one.match("kdtree", RADIUS_UM).truth != SUPPRESSED) for one in labelled]


@pytest.mark.parametrize("matcher", ["mitos", "greedy", "hungarian", "evalutils", "midog-strict"])
def test_one_to_one_matchers_on_the_detections_that_are_not_suppressed(
    kept: list[FramePrediction], matcher: str
) -> None:
    counts = total(count_frames(kept, 0.0, matcher, RADIUS_UM))
    assert (counts.tp, counts.fp, counts.fn) == (1479, 512, 520)
