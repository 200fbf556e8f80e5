"""Counts the seconds of a stage that took several tries: one that was killed goes on from its last checkpoint."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mitobench.atomic import TMP, atomic_file

FAILURE = "failure.txt"  # the traceback of the last try, if it failed
SPENT = "seconds.txt"  # those of earlier tries; written when a try begins
NOTES = (".log", ".txt", ".py")  # endings of logs, notes and settings, which no try goes on from
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of a disk, a quota or a file system


def begin(work: Path) -> float:
    """Note in a stage's work folder that a try begins; returns the seconds of the earlier ones.

    A try counts up to the last file that it wrote beside its logs, which is its last checkpoint: what it did afterwards
    is done again. All times are those of the file system, since machines that share a store have different clocks.

    Raises OSError if the disk is full. Where the note cannot be written for another reason, nothing is counted.
    """
    try:
        with atomic_file(work / SPENT) as note:
            note.touch()
            spent = _spent(work / SPENT, now=note.stat().st_mtime)
            note.write_text(str(spent), encoding="utf-8")
    except OSError as reason:
        if reason.errno in FULL:
            raise
        return 0.0
    return spent


def _spent(noted: Path, now: float) -> float:
    try:
        before, began = float(noted.read_text(encoding="utf-8")), noted.stat().st_mtime
    except (OSError, ValueError):  # this is the first try, or the file is damaged
        return 0.0
    written = min(max([began, *_times(noted.parent)]), max(began, now))  # some file systems set other clocks' times
    return (before if 0 <= before < math.inf else 0.0) + written - began


def _times(work: Path) -> Iterator[float]:
    """Yields when the files of a folder were written. Another process may remove them meanwhile."""
    for place, folders, names in os.walk(work):
        folders[:] = [name for name in folders if not name.startswith(TMP)]
        for name in names:
            with suppress(OSError):
                if not name.endswith(NOTES):
                    yield os.lstat(os.path.join(place, name)).st_mtime
