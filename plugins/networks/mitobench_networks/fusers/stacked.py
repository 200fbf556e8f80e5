"""`stacked`: a model of scikit-learn over both scores and what else is known about a candidate.

It learns from the candidates of the validation frames, which also choose the threshold. Scores of candidates that it
learned from are better than those of others, so each validation candidate is scored by a second model that was fitted
without its slide (cross-fitting), and the harness chooses the threshold with these scores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mitobench import api
from mitobench.api import Detections, Field, Floats, Frame, Fuser, PluginError, Validation
from mitobench_networks.fusers import models
from mitobench_networks.fusers.features import NAMES, Surroundings, are_probabilities, features
from mitobench_networks.fusers.models import Boosting, Features, Logistic, Model

FILE = "stacked.json"
MAX_BYTES = 64 << 20  # of the file
MALFORMED = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, AttributeError)
MIN_OF_A_KIND = 2  # a model needs at least this many mitoses and this many others


class StackedOptions(api.Options):
    """Options of `stacked`."""

    model: Literal["logistic", "boosting"] = Field(
        "logistic", description="`logistic` regression, or gradient `boosting` of trees (for many candidates)."
    )
    strength: float = Field(0.1, gt=0, description="`logistic`: inverse of the factor on the L2 penalty.")
    trees: int = Field(100, ge=1, le=models.MAX_TREES, description="`boosting`: number of trees.")
    depth: int = Field(2, ge=1, le=models.MAX_DEPTH, description="`boosting`: greatest depth of a tree.")
    rate: float = Field(0.1, gt=0, le=1, description="`boosting`: factor on the value of each tree.")
    leaf: int = Field(5, ge=1, le=100_000, description="`boosting`: least number of candidates in a leaf.")
    folds: int = Field(
        5,
        ge=2,
        le=100,
        description="Number of parts of the validation slides; each is scored without having been seen.",
    )
    surroundings_um: float = Field(
        500.0,
        gt=0,
        le=100_000,
        description="Candidates within this radius, um, are those that one is compared with (difference to the median "
        "of their scores, rank).",
    )
    surroundings: int = Field(64, ge=1, le=256, description="Greatest number of them; the nearest ones count.")
    density_um: float = Field(
        50.0, gt=0, le=10_000, description="Other candidates within this radius are counted as neighbours, um."
    )
    extra: tuple[str, ...] = Field(
        (), description="Names of extra arrays of the detections that are used as well, one value per detection each."
    )


class Stacked(Fuser):
    """A classifier over the logits of both scores, how they compare with those around, size of the box, and density.

    On a slide whose stain is new, a score that is high beside those around it says more than the score itself.
    """

    name = "stacked"
    version = "2"
    Options = StackedOptions
    uses_candidates = True

    def __init__(self, options: api.Options | None = None, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._probabilities = (True, True)
        self._model: Model = Logistic.unfitted(len(NAMES) + len(self.options.extra))
        self._folds: dict[str, Any] = {"by": "none", "number": 0}
        self._cross_fitted: Floats | None = None

    def fit(self, validation: Validation) -> None:
        """Fit the model on all candidates, and further ones without each part of the slides.

        Without candidates of both kinds, the score is the mean of both scores.
        """
        scores = validation.detector, validation.verifier
        self._probabilities = are_probabilities(scores[0]), are_probabilities(scores[1])
        values = self._features(*scores, validation.frames, validation.detections)
        self._model = self._fitted(values, validation.is_mitosis)
        part = self._parts(validation)
        self._cross_fitted = None
        if part is not None:
            self._cross_fitted = np.zeros(len(values))
            for number in np.unique(part):
                seen = part != number
                model = self._fitted(values[seen], validation.is_mitosis[seen])
                self._cross_fitted[~seen] = model(values[~seen])

    def _fitted(self, values: Features, is_mitosis: NDArray[np.bool_]) -> Model:
        options, mitoses = self.options, int(is_mitosis.sum())
        if min(mitoses, len(is_mitosis) - mitoses) < MIN_OF_A_KIND:
            return Logistic.unfitted(values.shape[1])
        if options.model == "logistic":
            return Logistic.fit(values, is_mitosis, options.strength)
        return Boosting.fit(
            values, is_mitosis, trees=options.trees, depth=options.depth, rate=options.rate, leaf=options.leaf
        )

    def _parts(self, validation: Validation) -> NDArray[np.int64] | None:
        """Returns the part of each candidate, [N]: of its slide, or of its frame if there is one slide only.

        None if there is only one frame with candidates. Slides go to parts in the order of their number of mitoses, so
        that each part has some.
        """
        self._folds = {"by": "none", "number": 0}
        counts = [len(found) for found in validation.detections]
        units = {
            "slide": [f"{frame.dataset}/{frame.group}" for frame in validation.frames],
            "frame": [frame.key for frame in validation.frames],
        }
        for by, names in units.items():
            unit = np.repeat(np.array(names, dtype=np.str_), counts)
            distinct = sorted(
                set(unit.tolist()), key=lambda name: (-int(validation.is_mitosis[unit == name].sum()), name)
            )
            if len(distinct) > 1:
                number = min(self.options.folds, len(distinct))
                self._folds = {"by": by, "number": number}
                place = {name: index % number for index, name in enumerate(distinct)}
                return np.array([place[name] for name in unit.tolist()], dtype=np.int64)
        return None

    def _features(
        self, detector: Floats, verifier: Floats, frames: Sequence[Frame], detections: Sequence[Detections]
    ) -> Features:
        options = self.options
        surroundings = Surroundings(options.surroundings_um, options.surroundings, options.density_um)
        return features((detector, verifier), self._probabilities, frames, detections, surroundings, options.extra)

    def fuse(self, detector: Floats, verifier: Floats) -> Floats:
        """Raises PluginError: two scores are not enough."""
        raise PluginError("stacked needs the candidates, not only their scores: call fuse_candidates().")

    def fuse_candidates(
        self, detector: Floats, verifier: Floats, frames: Sequence[Frame], detections: Sequence[Detections]
    ) -> Floats:
        """Returns the probabilities of mitosis, [N]."""
        return self._model(self._features(detector, verifier, frames, detections))

    def cross_fitted(self) -> Floats | None:
        """Returns the probabilities of the validation candidates by models that did not see their slides, [N].

        None if they are all of one frame: the scores are then those of candidates that the model has seen.
        """
        return self._cross_fitted

    # ------------------------------------------------------------------------------------------------ what it chose

    def chosen(self) -> dict[str, Any]:
        """Returns the model as numbers, and how validation candidates were scored (`cross_fitting`)."""
        return {
            "features": [*NAMES, *self.options.extra],
            "probabilities": list(self._probabilities),
            "cross_fitting": self._folds,
            "model": models.as_json(self._model),
        }

    def restore(self, chosen: Mapping[str, Any]) -> None:
        """Take over what `chosen` returned. Raises PluginError for anything else."""
        try:
            self._take(chosen)
        except MALFORMED as reason:
            raise PluginError(f"{self.name} cannot have chosen this: {reason!r:.200}") from reason

    def _take(self, chosen: Mapping[str, Any]) -> None:
        model = models.read(chosen["model"])
        detector, verifier = chosen["probabilities"]
        by, number = chosen["cross_fitting"]["by"], chosen["cross_fitting"]["number"]
        if chosen["features"] != [*NAMES, *self.options.extra] or model.count != len(chosen["features"]):
            raise ValueError("it has other features")
        if type(detector) is not bool or type(verifier) is not bool or by not in ("none", "slide", "frame"):
            raise ValueError("probabilities or cross_fitting are of another form")
        if type(number) is not int or not 0 <= number <= self.options.folds:
            raise ValueError(f"{number!r} is not a number of folds")
        self._model, self._probabilities = model, (detector, verifier)
        self._folds = {"by": by, "number": number}

    def save(self, folder: Path) -> None:
        """Write what was chosen, as JSON."""
        (folder / FILE).write_text(json.dumps(self.chosen()), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read what was chosen. Raises PluginError if the file is damaged."""
        path = folder / FILE
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
            self._take(json.loads(path.read_text(encoding="utf-8")))
        except (*MALFORMED, OSError) as reason:
            raise PluginError(f"{path}: was not written by {self.name}: {reason}. Fit it again.") from reason
