"""The committed leaderboard: made from the committed records, and not stale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mitobench.report import build
from mitobench.report.stale import stale
from mitobench.results import record
from mitobench.results.folder import check_folder
from mitobench.results.recompute import Recomputed

FOLDER = Path(__file__).parents[1] / "leaderboard"
RECORDS = sorted((FOLDER / build.RECORDS).glob("*.json"))


@pytest.mark.slow
def test_every_record_passes_the_check_and_no_generated_file_is_stale() -> None:
    assert check_folder(FOLDER / build.RECORDS).problems == []
    assert stale(FOLDER)[1] == []


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_is_whole_and_its_counts_add_up(path: Path) -> None:
    found = record.read(path)
    assert found.status == "ok"
    assert found.test is not None
    counts = [sum(getattr(frame, name) for frame in found.test.frames) for name in ("tp", "fp", "fn")]
    assert counts == [found.test.tp, found.test.fp, found.test.fn]
    recomputed = Recomputed.read(path, found)
    counted = np.nan_to_num(recomputed.test.score, nan=-np.inf) >= found.test.threshold
    assert counted.sum() == counts[0] + counts[1]
    assert (recomputed.found >= 0).sum() == counts[0]
