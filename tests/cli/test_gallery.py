"""`mitobench gallery`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gallery.toy_galleries import items_of, write
from records import failed

from mitobench.results import record

pytestmark = pytest.mark.slow


def test_it_prints_where_the_gallery_is(mitobench: Callable[..., Any], small_data: Path, tmp_path: Path) -> None:
    item = items_of(small_data)[0]
    path = write(tmp_path, small_data, (item.frame.id, 9, 9, 0.9, None))
    options = ("--data", small_data, "--out", tmp_path / "out", "--frames", 2, "--crops", 3, "--format", "jpeg")
    answer = mitobench("gallery", path, *options)
    assert answer.code == 0
    assert "2 frames" in answer.out
    assert "1 false positives" in answer.out
    assert str(tmp_path / "out" / "index.html") in answer.out.replace("\n", "")
    assert len(list((tmp_path / "out" / "frames").iterdir())) == 2


def test_a_failed_record_is_an_error_without_a_traceback(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    answer = mitobench("gallery", record.write(tmp_path, failed(), None), "--out", tmp_path / "out")
    assert answer.code == 2
    assert answer.err.startswith("error: ")
    assert "so there are no detections to show" in answer.err
    assert not (tmp_path / "out").exists()
