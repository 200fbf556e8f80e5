"""Counts the seconds of a stage that took several tries: one that was killed goes on from its last checkpoint."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

from mitobench.atomic import write_atomic
from mitobench.pipeline.saved_files import LOG

FAILURE = "failure.txt"  # the traceback of the last try, if it failed
SPENT = "seconds.txt"  # those of earlier tries; written when a try begins


def begin(work: Path) -> float:
    """Note in a stage's work folder that a try begins; returns the seconds of the earlier ones.

    A try counts up to the last file that it wrote beside its log, its last checkpoint: what it did afterwards is done
    again. All times are those of the file system, since machines that share a store have different clocks.
    """
    spent = _spent(work / SPENT)
    write_atomic(work / SPENT, str(spent).encode())
    return spent


def _spent(noted: Path) -> float:
    try:
        before, began = float(noted.read_text(encoding="utf-8")), noted.stat().st_mtime
    except (OSError, ValueError):  # this is the first try, or the file is damaged
        return 0.0
    written = [began, *_times(noted.parent)]
    return (before if 0 <= before < math.inf else 0.0) + max(written) - began


def _times(work: Path) -> list[float]:
    times = []
    for path in work.rglob("*"):
        with suppress(OSError):  # removed meanwhile
            times += [path.stat().st_mtime] if path.is_file() and path.name not in (SPENT, FAILURE, LOG) else []
    return times
