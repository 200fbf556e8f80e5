"""A plugin under test: made with a tiny budget, fitted, saved, loaded and asked, as a run would do it."""

from __future__ import annotations

import functools
import json
import logging
import pickle
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitobench import discovery
from mitobench.api import Context, Detections, Options, Requirement, Sample
from mitobench.contract import frames
from mitobench.pipeline import checks
from mitobench.pipeline.settings import Settings
from mitobench.pipeline.stages.boxes import visible_to

Answers = dict[str, NDArray[np.float64]]

ITERATIONS = 2
BATCH_SIZE = 4
SEED = 7


class Subject:
    """One plugin and what it does on the contract's frames.

    Attributes:
        role, name: of the plugin.
        changed: methods that were seen to change what they were given.
    """

    def __init__(self, role: str, name: str, options: Mapping[str, Any]) -> None:
        self.role, self.name = role, name
        self.changed: set[str] = set()
        self._answered: dict[int, tuple[Any, Answers]] = {}
        self._extra = options

    @property
    def cls(self) -> Any:
        """The plugin's class. Raises PluginError when it does not load."""
        return discovery.load(self.role, self.name)

    @functools.cached_property
    def options(self) -> Options:
        """Its options in profile `smoke`, and smaller where it has `iterations` or `batch_size`."""
        options = Settings.load("smoke").options(self.role, self.cls, self._extra)
        values = options.model_dump()
        if isinstance(values.get("batch_size"), int):
            values["batch_size"] = min(values["batch_size"], BATCH_SIZE)
        if "iterations" in values:
            given = values["iterations"]
            values["iterations"] = [ITERATIONS] * len(given) if isinstance(given, list | tuple) else ITERATIONS
        return type(options).model_validate(values)

    @functools.cached_property
    def fitted(self) -> Any:
        """The plugin, fitted where it learns."""
        return self.fit()

    @functools.cached_property
    def reloaded(self) -> Any:
        """Another instance, which has read what the fitted one wrote."""
        return self.reload(self.fitted)

    def reload(self, fitted: Any) -> Any:
        """A new instance, which has read what a fitted one wrote."""
        plugin = self.cls(self.options, "cpu")
        if self.cls.learns():
            with tempfile.TemporaryDirectory() as folder:
                fitted.save(Path(folder))
                plugin.load(Path(folder))
        return plugin

    def fit(self, masks: bool = True) -> Any:
        """A new instance, fitted on new copies of the same frames with the same seed.

        `masks`: whether the frames have them, as in a run on a data set that has. A fuser sees no frames.
        """
        plugin = self.cls(self.options, "cpu")
        if not self.cls.learns():
            return plugin
        if self.role == "fuser":
            self._watched("fit", plugin.fit, frames.validation())
            return plugin
        with tempfile.TemporaryDirectory() as work:
            context = Context(SEED, "cpu", Path(work), self._upstream(), log=logging.Logger("contract"))
            shown = self._shown(masks)
            self._watched("fit", plugin.fit, frames.train(**shown), frames.val(**shown), context)
        return plugin

    def answers(self, plugin: Any) -> Answers:
        """What a fitted plugin says to every frame, checked as a run checks it, by frame; it is asked once."""
        if id(plugin) not in self._answered:
            self._answered[id(plugin)] = plugin, self._answers(plugin)  # with the plugin, whose id no other gets then
        return self._answered[id(plugin)][1]

    def _answers(self, plugin: Any) -> Answers:
        if self.role == "fuser":
            both = frames.validation()
            given = self._watched("fuse", plugin.fuse, both.detector, both.verifier)
            return {"all": checks.scores(plugin, None, given, len(both.detector))}
        shown = {"masks": True, "candidates": self.role == "verifier"}
        samples = [*frames.train(**shown), *frames.val(**shown)]
        return {sample.frame.id: self._answer(plugin, sample) for sample in samples}

    def _answer(self, plugin: Any, sample: Sample) -> NDArray[np.float64]:
        frame, found = sample.frame, sample.candidates
        if self.role == "estimator":
            seen = visible_to(plugin, sample.mitoses)
            return checks.boxes(plugin, frame, self._watched("boxes", plugin.boxes, frame, seen), len(seen))
        if self.role == "detector":
            made = checks.detections(plugin, frame, self._watched("predict", plugin.predict, frame))
            return np.column_stack([made.xy, made.boxes, made.score])
        assert found is not None
        shown = Detections(found.xy, found.boxes, found.score)  # without the labels
        return checks.scores(plugin, frame, self._watched("score", plugin.score, frame, shown), len(shown))

    @property
    def wants_masks(self) -> bool:
        """Whether it works with masks only; every other plugin must do without them as well."""
        return self.role == "estimator" and (self.cls.needs_masks or self.cls.learns_from_masks)

    def _shown(self, masks: bool) -> dict[str, bool]:
        """What a run gives to this plugin's `fit`."""
        return {
            "masks": masks,
            "boxes": self.role == "detector" and self.cls.uses_boxes,
            "candidates": self.role == "verifier",
        }

    def requirements(self) -> Mapping[str, Requirement]:
        """The plugins whose fitted stage this one starts from, by role."""
        required: Mapping[str, Requirement] = self.cls.requires(self.options)
        return required

    def _upstream(self) -> dict[str, Any]:
        """The required plugins, fitted on the same frames, saved and loaded as in a run."""
        return {role: subject(role, r.name, json.dumps(r.options)).reloaded for role, r in self.requirements().items()}

    def _watched(self, method: str, call: Any, *given: Any) -> Any:
        """The call's result; `changed` remembers a method whose arguments are not what they were before."""
        arguments = [value for value in given if not isinstance(value, Context)]
        before = pickle.dumps(arguments)
        result = call(*given)
        if pickle.dumps(arguments) != before:
            self.changed.add(method)
        return result


@functools.cache
def subject(role: str, name: str, options: str = "{}") -> Subject:
    """The one subject of that role, name and options (JSON): what several checks need is done once."""
    return Subject(role, name, json.loads(options))
