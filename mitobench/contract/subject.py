"""A plugin under test: created with a tiny budget, fitted, saved, loaded and applied, as in a run."""

from __future__ import annotations

import functools
import json
import logging
import pickle
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitobench import discovery
from mitobench.api import Context, Detections, Embeddings, EmbeddingVerifier, Frame, Options, Requirement, Sample
from mitobench.contract import frames
from mitobench.pipeline import checks, saved_files
from mitobench.pipeline.plugin_ref import required
from mitobench.pipeline.requirements import with_required
from mitobench.pipeline.settings import Settings, check_all_used
from mitobench.pipeline.stages.boxes import visible_to
from mitobench.pipeline.stages.embedding import annotated_points, of_sample
from mitobench.pipeline.stages.fitting import label

Results = dict[str, NDArray[np.float64]]

ITERATIONS = 2
BATCH_SIZE = 4
SEED = 7


class Subject:
    """One plugin and its results on the frames of `contract.frames`.

    Attributes:
        role, name: role and name of the plugin.
        sets: overrides of its options, as `--set` takes them.
        changed: methods that changed their arguments.
    """

    def __init__(self, role: str, name: str, options: Mapping[str, Any], sets: Sequence[str] = ()) -> None:
        self.role, self.name, self.sets = role, name, tuple(sets)
        self.changed: set[str] = set()
        self._results_of: dict[int, tuple[Any, Results]] = {}
        self._extra = options

    @property
    def cls(self) -> Any:
        """The plugin's class. Raises PluginError if it cannot be loaded."""
        return discovery.load(self.role, self.name)

    @functools.cached_property
    def options(self) -> Options:
        """Its options in the profile `smoke`, with smaller `iterations` and `batch_size` if it has them.

        Options in `sets` are as given there.
        """
        settings = Settings.load("smoke", self.sets)
        options = settings.options(self.role, self.cls, self._extra)
        overrides = settings.touching([(self.role, self.name, type(options))])
        values, given = options.model_dump(), {override.option for override in overrides}
        if isinstance(values.get("batch_size"), int) and "batch_size" not in given:
            values["batch_size"] = min(values["batch_size"], BATCH_SIZE)
        if "iterations" in values and "iterations" not in given:
            iterations = values["iterations"]
            values["iterations"] = (
                [ITERATIONS] * len(iterations) if isinstance(iterations, list | tuple) else ITERATIONS
            )
        return type(options).model_validate(values)

    def check_sets(self) -> None:
        """Raises MitobenchError for an override that neither this plugin nor one that it requires has."""
        settings = Settings.load("smoke", self.sets)
        check_all_used([(settings, [(role, cls) for role, cls, _ in with_required(settings, self.role, self.name)])])

    @functools.cached_property
    def fitted(self) -> Any:
        """The plugin, fitted if it learns."""
        return self.fit()

    @functools.cached_property
    def reloaded(self) -> Any:
        """Another instance, loaded from what the fitted one saved."""
        return self.reload(self.fitted)

    def reload(self, fitted: Any) -> Any:
        """Returns a new instance, loaded from what a fitted one saved."""
        plugin = self.cls(self.options, "cpu")
        if self.cls.learns():
            with tempfile.TemporaryDirectory() as folder:
                fitted.save(Path(folder))
                plugin.load(Path(folder))
        return self._with_encoder(plugin)

    def check_saved(self) -> None:
        """Raises PluginError for a saved file that a run would overwrite, or that `mitobench pack` would refuse."""
        if self.cls.learns():
            with tempfile.TemporaryDirectory() as folder:
                self.fitted.save(Path(folder))
                self._check_files(Path(folder))
        if self.embeds:
            self._check_files(Path(self._encoder.name))

    def _check_files(self, folder: Path) -> None:
        saved_files.check_names(self.fitted, folder)
        if self.role != "estimator":
            list(saved_files.packed(self.role, folder))

    def fit(self, masks: bool = True) -> Any:
        """Returns a new instance, fitted on new copies of the same frames with the same seed.

        `masks`: whether the frames have masks. Fusers get no frames.
        """
        plugin = self.cls(self.options, "cpu")
        if not self.cls.learns():
            return self._with_encoder(plugin)
        if self.role == "fuser":
            self._call_checking_inputs("fit", plugin.fit, frames.validation())
            return plugin
        with tempfile.TemporaryDirectory() as work:
            context = Context(
                SEED,
                "cpu",
                Path(work),
                self._upstream(),
                log=logging.Logger("contract"),
                label=lambda sample, found: label(found, sample.frame, sample.mitoses, frames.RADIUS_UM),
                radius_um=lambda frame: frames.RADIUS_UM,
            )
            parts = self._parts(masks)
            train, val = self._with_embeddings(frames.train(**parts)), self._with_embeddings(frames.val(**parts))
            self._call_checking_inputs("fit", plugin.fit, train, val, context)
        return self._with_encoder(plugin)

    @property
    def embeds(self) -> bool:
        """Whether it is an EmbeddingVerifier."""
        return issubclass(self.cls, EmbeddingVerifier)

    @functools.cached_property
    def _encoder(self) -> tempfile.TemporaryDirectory[str]:
        """A folder with the encoder of an EmbeddingVerifier, written once."""
        return self._written_encoder()

    def _written_encoder(self) -> tempfile.TemporaryDirectory[str]:
        folder = tempfile.TemporaryDirectory()
        description = json.loads(json.dumps(self.cls.describe_encoder(self.options)))
        weights = self.cls.pretrained(self.options)
        self.cls(self.options, "cpu").write_encoder(Path(folder.name), description, weights)
        return folder

    def _with_encoder(self, plugin: Any) -> Any:
        """Returns the plugin after it has read its encoder, if it has one."""
        if self.embeds:
            plugin.read_encoder(Path(self._encoder.name))
        return plugin

    @functools.cached_property
    def embedder(self) -> Any:
        """An EmbeddingVerifier that is not fitted, with its encoder, as in a stage of embeddings."""
        return self._with_encoder(self.cls(self.options, "cpu"))

    def encoder_again(self) -> Any:
        """Returns an EmbeddingVerifier with the encoder written a second time."""
        plugin = self.cls(self.options, "cpu")
        with self._written_encoder() as folder:
            plugin.read_encoder(Path(folder))
        return plugin

    def _with_embeddings(self, samples: list[Sample]) -> list[Sample]:
        """Returns the samples with embeddings, if the plugin is an EmbeddingVerifier."""
        return [replace(s, embeddings=self._embeddings(s)) for s in samples] if self.embeds else samples

    def _embeddings(self, sample: Sample) -> Embeddings:
        assert sample.candidates is not None
        annotated = self.embedded(sample.frame, annotated_points(sample.mitoses))
        return of_sample(sample.mitoses, annotated, self.embedded(sample.frame, sample.candidates.xy))

    def embedded(self, frame: Frame, xy: NDArray[np.float64]) -> NDArray[np.float32]:
        """Returns the embeddings of points, checked as in a run."""
        returned = self._call_checking_inputs("embed", self.embedder.embed, frame, xy)
        return checks.embeddings(self.embedder, frame, returned, len(xy))

    def results(self, plugin: Any) -> Results:
        """Returns the results of a fitted plugin by frame, checked as in a run. They are computed once.

        The frames are those of validation: one has mitoses, one has none. `fitted` also gets a training frame.
        """
        if id(plugin) not in self._results_of:
            # The plugin is kept so that its id stays unique.
            self._results_of[id(plugin)] = plugin, self._compute_results(plugin)
        return self._results_of[id(plugin)][1]

    def results_in_reverse(self) -> Results:
        """Returns the results of a newly loaded plugin that gets the last frame first."""
        plugin = self.reload(self.fitted)
        return self._results_on(plugin, self._samples(plugin)[::-1])

    def _compute_results(self, plugin: Any) -> Results:
        if self.role == "fuser":
            data = frames.validation()
            given = data.detector, data.verifier, data.frames, data.detections
            return {"all": self._call_checking_inputs("fuse", functools.partial(checks.fused, plugin, None), *given)}
        return self._results_on(plugin, self._samples(plugin))

    def _samples(self, plugin: Any) -> list[Sample]:
        parts = {"masks": True, "candidates": self.role == "verifier"}
        return frames.val(**parts) + (frames.train(**parts)[:1] if plugin is self.__dict__.get("fitted") else [])

    def _results_on(self, plugin: Any, samples: Sequence[Sample]) -> Results:
        if self.role == "detector":
            found = {sample.frame.id: self._detections_on(plugin, sample.frame) for sample in samples}
            Detections.joined(list(found.values()))  # as a run stores them: raises PluginError for different forms
            return {id: _rows(detections) for id, detections in found.items()}
        result_on = self._boxes_on if self.role == "estimator" else self._scores_on
        return {sample.frame.id: result_on(plugin, sample) for sample in samples}

    def _boxes_on(self, plugin: Any, sample: Sample) -> NDArray[np.float64]:
        mitoses = visible_to(plugin, sample.mitoses)
        boxes = self._call_checking_inputs("boxes", plugin.boxes, sample.frame, mitoses)
        return checks.boxes(plugin, sample.frame, boxes, sample.mitoses.xy)

    def _detections_on(self, plugin: Any, frame: Frame) -> Detections:
        return checks.detections(plugin, frame, self._call_checking_inputs("predict", plugin.predict, frame))

    def _scores_on(self, plugin: Any, sample: Sample) -> NDArray[np.float64]:
        assert sample.candidates is not None
        return self.scores(plugin, sample.frame, sample.candidates.unlabelled())

    def scores(self, plugin: Any, frame: Frame, detections: Detections) -> NDArray[np.float64]:
        """Returns a verifier's scores of detections, [N], checked as in a run."""
        returned = self._call_checking_inputs("score", plugin.score, frame, detections)
        return checks.probabilities(plugin, frame, returned, len(detections))

    @property
    def wants_masks(self) -> bool:
        """Whether it needs masks. All other plugins must also work without masks."""
        return self.role == "estimator" and (self.cls.needs_masks or self.cls.learns_from_masks)

    def _parts(self, masks: bool) -> dict[str, bool]:
        """The parts of a sample that a run gives to this plugin's `fit`."""
        return {
            "masks": masks,
            "boxes": self.role == "detector" and self.cls.uses_boxes,
            "candidates": self.role == "verifier",
        }

    def requirements(self) -> dict[str, tuple[str, Requirement]]:
        """Returns (role, requirement) of the plugins that must be fitted before this one, by place."""
        return required(self.role, self.cls, self.options)

    def _upstream(self) -> dict[str, Any]:
        """Returns the required plugins, fitted on the same frames, saved and loaded, as in a run."""
        plugins: dict[str, Any] = {}
        for place, (role, wanted) in self.requirements().items():
            plugin = subject(role, wanted.name, json.dumps(dict(wanted.options)), self.sets).reloaded
            plugins[role] = plugin if place == role else (*plugins.get(role, ()), plugin)
        return plugins

    def _call_checking_inputs(self, method: str, call: Any, *given: Any) -> Any:
        """Returns the result of a call, and adds the method to `changed` if its arguments are different afterwards."""
        arguments = [value for value in given if not isinstance(value, Context)]
        before = pickle.dumps(arguments)
        result = call(*given)
        if pickle.dumps(arguments) != before:
            self.changed.add(method)
        return result


def _rows(detections: Detections) -> NDArray[np.float64]:
    """Returns all that is known of N detections as numbers, [N, ...]."""
    return np.column_stack([detections.xy, detections.boxes, detections.score, *_further(detections)])


def _further(detections: Detections) -> Iterator[NDArray[np.float64]]:
    """Yields `kind` and `extra` as numbers, [N, ...]."""
    if detections.kind is not None:
        yield np.array([zlib.crc32(str(kind).encode()) for kind in detections.kind], dtype=np.float64)
    for _, values in sorted(detections.extra.items()):
        yield values.reshape(len(detections), int(np.prod(values.shape[1:]))).astype(np.float64)


@functools.cache
def subject(role: str, name: str, options: str = "{}", sets: tuple[str, ...] = ()) -> Subject:
    """Returns the subject of that role, name, options (JSON) and overrides.

    It is always the same, so that checks share its fit and its results.
    """
    return Subject(role, name, json.loads(options), sets)
