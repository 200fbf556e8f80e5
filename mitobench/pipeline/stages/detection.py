"""The detector's candidates on every frame. It is handed no annotation."""

from __future__ import annotations

import json
import time

from mitobench.pipeline import arrays, checks
from mitobench.pipeline.stages.job import Job


def detections(job: Job) -> None:
    """The detector's candidates on every frame, and the seconds it took."""
    plugin = job.plugin()
    found, seconds = {}, {}
    for key, frame, _ in job.frames("frames"):
        started = time.perf_counter()
        given = plugin.predict(frame)
        seconds[key] = round(time.perf_counter() - started, 4)
        found[key] = checks.detections(plugin, frame, given)
    arrays.write_detections(job.folder, found)
    (job.folder / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")
