"""Builds leaderboards for tests, whose scores agree with their detections."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
from records import DETECTIONS, FRAME, failed, metrics, ok

from mitobench.evaluate import FrameCounts, FrameEntry, FramePrediction, Interval, Metrics, evaluate
from mitobench.evaluate.stored import of_frames, to_csv
from mitobench.results import record
from mitobench.results.schema import Frames, Record

SCRIPT = "<script>alert(1)</script>"
MPP, RADIUS_UM = 0.25, 5.0
ON = {"dataset": "synthetic", "protocol": "by-slide", "train_on": ["synthetic"]}


def combinations() -> list[dict[str, str]]:
    """Returns twelve combinations, in the order in which `board` ranks them, best first."""
    parts = product(
        ("fcn", "fixed"), ("frcnn", "rpn"), (("resnet50", "linear"), ("resnet50", "product"), ("none", "-"))
    )
    return [{"estimator": e, "detector": d, "verifier": v, "fuser": f} for e, d, (v, f) in parts]


def scored(skill: float, seed: int) -> tuple[Metrics, list[FrameEntry], str]:
    """Returns the scores of made-up detections on ten frames, the frames, and the detections as CSV.

    A higher `skill` (0 to 1) gives better scores.
    """
    draw = np.random.default_rng([round(skill * 1000), seed])
    frames = [_frame(f"A{i // 2:02d}_{i % 2:02d}", skill, draw) for i in range(10)]
    score = np.concatenate([frame.score for frame in frames])
    boxes = [np.concatenate([frame.xy - 8, frame.xy + 8], axis=1) for frame in frames]
    stored = of_frames(frames, boxes, np.full(len(score), np.nan), score, "mitos", RADIUS_UM)
    return evaluate(frames, 0.5, "mitos", RADIUS_UM), [FrameEntry.of(frame) for frame in frames], to_csv(stored)


def _frame(name: str, skill: float, draw: np.random.Generator) -> FramePrediction:
    truth = np.stack([np.arange(1, 7) * 150.0, draw.uniform(50, 950, 6)], axis=1).round(2)
    hits = truth + draw.normal(0, 3, truth.shape)
    false = np.stack([np.arange(1, 13) * 75.0 + 37, draw.uniform(50, 950, 12)], axis=1)
    score = np.concatenate([draw.beta(1 + 4 * skill, 2, 6), draw.beta(2, 2 + 4 * skill, 12)])
    xy = np.concatenate([hits, false]).round(2)
    return FramePrediction(name, name[1:3], (MPP, MPP), truth, xy, score)


def board(folder: Path, seeds: int = 3) -> Path:
    """Write a leaderboard: twelve combinations with three seeds on `synthetic` (one seed is missing), a failed record,
    and two records on `mitos2012`."""
    for place, names in enumerate(combinations()):
        for seed in range(seeds):
            if (place, seed) == (5, 2):
                continue
            _write(folder, ok(seed=seed, **names, **ON), *scored(0.95 - 0.06 * place, seed))
    record.write(
        folder / "records", failed(reason=f"detector '{SCRIPT}' raised ValueError", detector=SCRIPT, **ON), None
    )
    record.write(folder / "records", ok(f1=0.5, detector=SCRIPT), DETECTIONS)
    record.write(folder / "records", ok(f1=0.4, detector="blob"), DETECTIONS)
    return folder


def _write(folder: Path, original: Record, test: Metrics, frames: list[FrameEntry], detections: str) -> None:
    scores = {"test": test, "detector_alone": test, "frames": Frames(val=[FRAME], test=frames)}
    record.write(folder / "records", original.model_copy(update=scores), detections)


def many(folder: Path, n_records: int) -> Path:
    """Write records with counts on fifty frames each, of combinations with three seeds; the last may have fewer."""
    for number in range(n_records):
        draw = np.random.default_rng(number)
        counts = draw.integers(0, 6, (50, 3))
        frames = [
            FrameCounts(frame=f"A{i // 5:02d}_{i % 5:02d}", group=f"{i // 5:02d}", tp=tp, fp=fp, fn=6 - tp)
            for i, (tp, fp, _) in enumerate(counts.tolist())
        ]
        tp, fp = (int(n) for n in counts.sum(axis=0)[:2])
        f1 = 2 * tp / (tp + fp + 300)
        low_high = Interval(
            low=f1 - 0.05, high=f1 + 0.05, unit="group", n_units=10, method="jackknife-wilson", version=1
        )
        scores = {"precision": tp / (tp + fp), "recall": tp / 300, "f1_interval": low_high, "frames": frames}
        test = metrics(f1, tp=tp, fp=fp, fn=300 - tp, n_mitoses=300, n_frames=50, n_groups=10, **scores)
        original = ok(seed=number % 3, detector=f"detector-{number // 3:03d}", **ON)
        record.write(folder / "records", original.model_copy(update={"test": test}), DETECTIONS)
    return folder
