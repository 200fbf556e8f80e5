"""The committed leaderboard: made from the committed records, not stale, and within its budget of disk space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mitobench.report import build
from mitobench.report.stale import stale
from mitobench.results import record
from mitobench.results.folder import check_folder
from mitobench.results.recompute import Recomputation
from mitobench.results.record_files import record_files

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[1] / "leaderboard"
RECORDS = record_files(FOLDER / build.RECORDS)

MAX_BYTES = 12 * 2**20
BLOCK = 4096  # bytes; a file system gives a file whole blocks, as `du` counts them


def sizes(folder: Path) -> list[int]:
    """The size of every file below a folder, as bytes."""
    return [path.stat().st_size for path in folder.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_every_record_passes_the_check_and_no_generated_file_is_stale() -> None:
    assert check_folder(FOLDER / build.RECORDS).problems == []
    assert stale(FOLDER)[1] == []


def test_the_leaderboard_takes_at_most_12_mb_of_a_checkout() -> None:
    found = sizes(FOLDER)
    assert len(found) > len(RECORDS) > 0
    assert sum(found) <= MAX_BYTES
    assert sum(-(-size // BLOCK) * BLOCK for size in found) <= MAX_BYTES


def test_figures_are_stored_once_as_svg() -> None:
    """`leaderboard build --png` makes PNGs for whoever needs them."""
    kinds = {path.suffix for path in (FOLDER / "figures").iterdir()}
    assert kinds == {".svg", ".json"}


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_is_complete_and_its_counts_add_up(path: Path) -> None:
    found = record.read(path)
    assert found.status == "ok"
    assert found.test is not None
    counts = [sum(getattr(frame, name) for frame in found.test.frames) for name in ("tp", "fp", "fn")]
    assert counts == [found.test.tp, found.test.fp, found.test.fn]
    recomputed = Recomputation.read(path, found)
    counted = np.nan_to_num(recomputed.test.score, nan=-np.inf) >= found.test.threshold
    assert counted.sum() == counts[0] + counts[1]
    assert (recomputed.found >= 0).sum() == counts[0]
