"""Embedding: a verifier's frozen encoder is stored once, and describes every candidate once for all seeds and heads.

It is given points alone. Annotated points are those of training and validation frames (`annotated_points`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import numpy as np

from mitobench.api import Embeddings, EmbeddingVerifier, Floats, Mitoses, PluginError
from mitobench.pipeline import arrays, checks
from mitobench.pipeline.saved_files import check_names
from mitobench.pipeline.stages.job import Job

ENCODER = "encoder"  # input of a stage, and the folder of a model, with what `write_encoder` wrote


def encoder(job: Job) -> None:
    """Write the verifier's encoder."""
    assert job.stage.plugin is not None
    plugin = job.stage.plugin.create("cpu")
    plugin.write_encoder(job.folder, job.stage.settings["description"], job.stage.plugin.weights)
    check_names(plugin, job.folder)


def embeddings(job: Job) -> None:
    """Write the embedding of every detection, or of every annotated point, and the seconds that each frame took."""
    plugin: EmbeddingVerifier = job.plugin()
    plugin.read_encoder(job.inputs[ENCODER])
    seconds, widths = {}, set[int]()
    with arrays.writing_embeddings(job.folder) as writer:
        for key, xy in _points(job):
            frame = job.workspace.item(key).frame
            started = time.perf_counter()
            found = checks.embeddings(plugin, frame, plugin.embed(frame, xy), len(xy))
            seconds[key] = round(time.perf_counter() - started, 4)
            widths.add(found.shape[1])
            if len(widths) > 1:
                raise PluginError(
                    f"{plugin.name}: embed() returned embeddings of {min(widths)} and of {max(widths)} numbers; they "
                    "must have as many on every frame."
                )
            writer.write(key, found)
    (job.folder / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")


def _points(job: Job) -> Iterator[tuple[str, Floats]]:
    """Yields (frame key, points [N, 2] px): the detections of the stage's input, or else the annotated points."""
    detections = arrays.read_detections(job.inputs["detections"]) if "detections" in job.inputs else None
    for key, _, mitoses in job.frames("frames"):
        yield key, annotated_points(mitoses) if detections is None else detections[key].xy


def annotated_points(mitoses: Mitoses) -> Floats:
    """Returns the mitoses of a frame, then its imposters, [M + K, 2] px."""
    points: Floats = np.concatenate([mitoses.xy, mitoses.imposters])
    return points


def of_sample(mitoses: Mitoses, annotated: arrays.Embedded, candidates: arrays.Embedded) -> Embeddings:
    """Returns the embeddings of one sample, from those of its annotated points and of its candidates."""
    count = len(mitoses)
    return Embeddings(annotated[:count], annotated[count:], candidates)
