"""Verification: the verifier scores the candidates. It gets no annotation."""

from __future__ import annotations

import json
import time

import numpy as np

from mitobench.pipeline import arrays, checks
from mitobench.pipeline.stages.candidate_threshold import above
from mitobench.pipeline.stages.job import Job


def verifier_scores(job: Job) -> None:
    """Write the verifier's score of every detection above a fixed candidate threshold (NaN for the others).

    If validation chooses the threshold, all detections are scored. Also writes the seconds that each frame took.
    """
    plugin = job.plugin()
    candidates = arrays.read_detections(job.inputs["detections"])
    candidate_threshold = job.stage.settings["candidate_threshold"]
    scores, seconds = {}, {}
    for key, frame, _ in job.frames("frames"):
        passed = above(candidates[key].score, candidate_threshold)
        to_score = candidates[key][passed]
        started = time.perf_counter()
        returned = plugin.score(frame, to_score) if len(to_score) else np.zeros(0)
        seconds[key] = round(time.perf_counter() - started, 4)
        scores[key] = np.full(len(passed), np.nan)
        scores[key][passed] = checks.scores(plugin, frame, returned, len(to_score))
    arrays.write_scores(job.folder, scores)
    (job.folder / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")
