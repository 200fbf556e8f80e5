"""Curves are computed from the frames and detections stored with a record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records import DETECTIONS, detections, failed, metrics, ok

from mitobench.errors import RecordError
from mitobench.report.curves import counts_of, curve_of
from mitobench.results import record
from mitobench.results.record_files import record_files

COMMITTED = record_files(Path(__file__).parents[2] / "leaderboard" / "records")


@pytest.mark.parametrize("path", COMMITTED[:3], ids=lambda path: path.name[:24])
def test_the_curve_of_a_committed_record_gives_its_numbers(path: Path) -> None:
    stored = record.read(path)
    counts, curve = counts_of(path, stored), curve_of(path, stored)
    assert stored.test is not None
    assert counts is not None
    assert curve is not None
    assert counts.average_precision() == pytest.approx(stored.test.average_precision, abs=1e-9)
    assert counts.froc() == pytest.approx(stored.test.froc, abs=1e-9)
    recall, precision, fp_per_frame = curve
    f1 = (
        2 * precision * recall / np.maximum(precision + recall, 1e-12)
    )  # both are 0 where the best score is a false positive
    assert f1.max() == pytest.approx(stored.test.oracle_f1, abs=1e-9)
    assert recall[-1] == pytest.approx(stored.test.recall_ceiling, abs=1e-9)
    assert (np.diff(recall) >= 0).all()
    assert (np.diff(fp_per_frame) >= 0).all()


def curve(folder: Path, *rows: tuple[float, int | None], **scores: Any) -> tuple[list[float], list[float]] | None:
    """Recall and false positives per frame of a record with three mitoses on one frame.

    `rows`: the score of each detection (None: not a candidate), and the mitosis close to it.
    """
    lines = detections(*(("A00_00", 10.0 * place, 20.0, *row) for place, row in enumerate(rows)))
    path = record.write(folder, ok().model_copy(update={"test": metrics(**scores)}), lines)
    found = curve_of(path, record.read(path))
    return None if found is None else (found.recall.tolist(), found.fp_per_frame.tolist())


def test_a_second_detection_of_one_mitosis_is_a_false_positive(tmp_path: Path) -> None:
    assert curve(tmp_path, (0.9, 1), (0.8, 1)) == ([1 / 3, 1 / 3], [0, 1])


def test_detections_of_two_mitoses_are_two_hits(tmp_path: Path) -> None:
    assert curve(tmp_path, (0.9, 1), (0.8, 0)) == ([1 / 3, 2 / 3], [0, 0])


def test_detections_below_the_candidate_threshold_are_in_no_curve(tmp_path: Path) -> None:
    assert curve(tmp_path, (0.9, 1), (None, 0)) == ([1 / 3], [0])


def test_a_record_without_scores_or_mitoses_has_no_curve(tmp_path: Path) -> None:
    assert curve_of(tmp_path / "x.json", failed()) is None
    assert curve(tmp_path, (0.9, None), n_mitoses=0) is None


def test_changed_detections_are_rejected(tmp_path: Path) -> None:
    path = record.write(tmp_path, ok(), DETECTIONS)
    stored = record.read(path)
    assert stored.detections is not None
    path.with_name(stored.detections.file).write_bytes(b"")
    with pytest.raises(RecordError, match="was changed"):
        curve_of(path, stored)
