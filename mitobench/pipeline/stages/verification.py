"""Verification: the verifier scores the candidates. It gets no annotation."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import numpy as np

from mitobench.pipeline import arrays, checks
from mitobench.pipeline.stages.candidate_threshold import above
from mitobench.pipeline.stages.job import Job


def verifier_scores(job: Job) -> None:
    """Write the verifier's score of every detection above a fixed candidate threshold (NaN for the others).

    If validation chooses the threshold, all detections are scored. Also writes the seconds that each frame took.
    Stored embeddings are used where the verifier has an encoder.
    """
    plugin = job.plugin()
    candidates = arrays.read_detections(job.inputs["detections"])
    candidate_threshold = job.stage.settings["candidate_threshold"]
    embedded = arrays.read_embeddings(job.inputs["embeddings"]) if "embeddings" in job.inputs else None
    scores, seconds = {}, {}
    for key, frame, _ in job.frames("frames"):
        passed = above(candidates[key].score, candidate_threshold)
        to_score = candidates[key][passed]
        of_frame = _of_frame(embedded, key)
        started = time.perf_counter()
        if not len(to_score):
            returned = np.zeros(0)
        elif of_frame is None:
            returned = plugin.score(frame, to_score)
        else:
            returned = plugin.score_embedded(to_score, of_frame[passed])
        seconds[key] = round(time.perf_counter() - started, 4)
        scores[key] = np.full(len(passed), np.nan)
        scores[key][passed] = checks.probabilities(plugin, frame, returned, len(to_score))
    arrays.write_scores(job.folder, scores)
    (job.folder / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")


def _of_frame(embedded: Iterator[tuple[str, arrays.Embedded]] | None, key: str) -> arrays.Embedded | None:
    """Returns the embeddings of the next frame, [N, D], which is the one of that key; None without embeddings."""
    if embedded is None:
        return None
    stored, of_frame = next(embedded)
    assert stored == key, "the stages have the same frames in the same order"
    return of_frame
