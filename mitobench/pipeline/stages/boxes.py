"""Boxes: the estimator makes a box for every annotated mitosis of the frames that the detector trains on."""

from __future__ import annotations

from dataclasses import replace

from mitobench.api import BoxEstimator, Mitoses
from mitobench.pipeline import arrays, checks
from mitobench.pipeline.stages.job import Job


def boxes(job: Job) -> None:
    """Write the estimator's box of every annotated mitosis of the frames that the detector trains on."""
    plugin = job.plugin()
    estimated = {}
    for key, frame, mitoses in job.frames("frames"):
        visible = visible_to(plugin, mitoses)
        estimated[key] = checks.boxes(plugin, frame, plugin.boxes(frame, visible), mitoses.xy)
    arrays.write_boxes(job.folder, estimated)


def visible_to(plugin: BoxEstimator, mitoses: Mitoses) -> Mitoses:
    """Returns the annotation that an estimator is given: centroids, and masks only if it needs them."""
    return mitoses if plugin.needs_masks else replace(mitoses, masks=None)
