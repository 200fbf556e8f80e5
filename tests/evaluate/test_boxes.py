"""A box estimator's boxes against those of the masks."""

from __future__ import annotations

import numpy as np
import pytest

from mitobench.evaluate import score_boxes

TRUTH = np.array([[0, 0, 10, 10], [20, 20, 40, 30], [50, 50, 60, 60]], dtype=float)


def test_equal_boxes() -> None:
    scores = score_boxes(TRUTH, TRUTH, np.ones(3, dtype=bool))
    assert (scores.n, scores.mean_iou, scores.covered, scores.fallback) == (3, 1.0, 1.0, 0.0)


def test_iou_by_hand() -> None:
    # Half of the first (50 / 100), the second shifted by half its width (100 / 300), the third missed.
    estimated = np.array([[0, 0, 5, 10], [30, 20, 50, 30], [80, 80, 90, 90]], dtype=float)
    scores = score_boxes(estimated, TRUTH, np.array([True, True, False]))
    assert scores.iou == [0.5, 0.3333, 0.0], "rounded once, and the mean is of these"
    assert scores.mean_iou == pytest.approx((0.5 + 0.3333 + 0) / 3)
    assert scores.covered == pytest.approx(2 / 3)
    assert scores.fallback == pytest.approx(1 / 3)


def test_an_estimator_without_blobs_has_neither_coverage_nor_fallback() -> None:
    scores = score_boxes(TRUTH, TRUTH, None)
    assert (scores.n, scores.mean_iou, scores.covered, scores.fallback, scores.blob) == (3, 1.0, None, None, None)


def test_without_mitoses_nothing_is_defined() -> None:
    scores = score_boxes(np.zeros((0, 4)), np.zeros((0, 4)), np.zeros(0, dtype=bool))
    assert (scores.n, scores.mean_iou, scores.covered, scores.fallback) == (0, None, None, None)
