"""The estimator's box of every annotated mitosis of the frames that the detector trains on."""

from __future__ import annotations

from dataclasses import replace

from mitobench.api import BoxEstimator, Mitoses
from mitobench.pipeline import arrays, checks
from mitobench.pipeline.stages.job import Job


def boxes(job: Job) -> None:
    """The estimator's box of every annotated mitosis of the frames that the detector trains on."""
    plugin = job.plugin()
    found = {}
    for key, frame, mitoses in job.frames("frames"):
        found[key] = checks.boxes(plugin, frame, plugin.boxes(frame, seen_by(plugin, mitoses)), len(mitoses))
    arrays.write_boxes(job.folder, found)


def seen_by(plugin: BoxEstimator, mitoses: Mitoses) -> Mitoses:
    """The annotation that an estimator may look at: centroids, and masks only for one that needs them."""
    return mitoses if plugin.needs_masks else replace(mitoses, masks=None)
