"""Detection: the detector finds candidates on every frame. It is given no annotation."""

from __future__ import annotations

import json
import time

from mitobench.pipeline import arrays, checks
from mitobench.pipeline.stages.job import Job


def detections(job: Job) -> None:
    """Write the detector's candidates on every frame, and the seconds that each frame took."""
    plugin = job.plugin()
    candidates, seconds = {}, {}
    for key, frame, _ in job.frames("frames"):
        started = time.perf_counter()
        returned = plugin.predict(frame)
        seconds[key] = round(time.perf_counter() - started, 4)
        candidates[key] = checks.detections(plugin, frame, returned)
    arrays.write_detections(job.folder, candidates)
    (job.folder / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")
