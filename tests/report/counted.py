"""Makes records from the counts of their test frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from records import metrics, ok

from mitobench.evaluate import FrameCounts, total
from mitobench.results.record import Record

Counts = tuple[int, int, int]  # tp, fp, fn of a frame

# Counts of a frame with two mitoses, named by the F1 of any number of such frames.
F1_0: Counts = (0, 1, 2)
F1_4: Counts = (1, 2, 1)
F1_5: Counts = (1, 1, 1)
F1_8: Counts = (2, 1, 0)
F1_10: Counts = (2, 0, 0)


def counted(counts: Counts | Sequence[Counts], *, seed: int = 0, **names: Any) -> Record:
    """A record of six slides with one frame each: the same counts on all, or a sequence of one per frame."""
    each = [counts] * 6 if isinstance(counts[0], int) else counts
    frames = [
        FrameCounts(frame=f"A{i:02d}", group=f"{i:02d}", tp=tp, fp=fp, fn=fn)
        for i, (tp, fp, fn) in enumerate(each)  # type: ignore[misc]
    ]
    of_all = total(frames)
    scores = metrics(of_all.ratio("f1"), frames=frames, n_frames=len(frames), n_groups=len(frames))
    return ok(seed=seed, **names).model_copy(update={"test": scores})
