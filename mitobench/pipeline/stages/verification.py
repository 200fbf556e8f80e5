"""The verifier's score of every candidate. It is handed no annotation."""

from __future__ import annotations

import json
import time

import numpy as np

from mitobench.pipeline import arrays, checks
from mitobench.pipeline.stages.candidate_threshold import above
from mitobench.pipeline.stages.job import Job


def verifier_scores(job: Job) -> None:
    """The verifier's score of every detection above the candidate threshold; the others have none."""
    plugin = job.plugin()
    candidates = arrays.read_detections(job.inputs["detections"])
    candidate_threshold = job.stage.settings["candidate_threshold"]
    scores, seconds = {}, {}
    for key, frame, _ in job.frames("frames"):
        passed = above(candidates[key].score, candidate_threshold)
        shown = candidates[key][passed]
        started = time.perf_counter()
        given = plugin.score(frame, shown) if len(shown) else np.zeros(0)
        seconds[key] = round(time.perf_counter() - started, 4)
        scores[key] = np.full(len(passed), np.nan)
        scores[key][passed] = checks.scores(plugin, frame, given, len(shown))
    arrays.write_scores(job.folder, scores)
    (job.folder / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")
