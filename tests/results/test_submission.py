"""The contest's files hold the detections at or above the threshold, one file for every frame."""

from __future__ import annotations

from pathlib import Path

import pytest
from records import detections, failed, ok

from mitobench.errors import RecordError
from mitobench.results import record
from mitobench.results.submission import write_submission

DETECTIONS = detections(
    ("A06_00Aa", 10, 20.5, 0.9, 0),
    ("A06_00Aa", 30, 40, 0.5, None),
    ("A06_00Aa", 50, 60, 0.4999, None),
    ("A06_00Ab", 1, 2, None, None),
)


def test_detections_at_or_above_the_threshold_are_submitted(tmp_path: Path) -> None:
    path = record.write(tmp_path / "records", ok(), DETECTIONS)  # its threshold is .5
    write_submission(tmp_path / "out", path, record.read(path), ["A06_00Aa", "A06_00Ab", "A06_00Ac"])
    lines = [line.split(",") for line in (tmp_path / "out" / "A06_00Aa.csv").read_text().splitlines()]
    assert [[float(value) for value in line] for line in lines] == [[10.0, 20.5, 0.9], [30.0, 40.0, 0.5]]
    assert (tmp_path / "out" / "A06_00Ab.csv").read_text() == "", "below the candidate threshold there is no score"
    assert (tmp_path / "out" / "A06_00Ac.csv").read_text() == "", "nothing found is an empty file"


def test_a_record_without_scores_cannot_be_submitted(tmp_path: Path) -> None:
    path = record.write(tmp_path / "records", failed(), None)
    with pytest.raises(RecordError, match="no threshold"):
        write_submission(tmp_path / "out", path, record.read(path), ["A06_00Aa"])
    assert not (tmp_path / "out").exists()
