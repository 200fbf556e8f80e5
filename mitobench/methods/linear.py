"""`linear`: S = w * detector + (1 - w) * verifier, with w chosen on validation (paper: Fusion).

Both scores may be calibrated first, by Platt scaling on the same validation candidates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from mitobench import api
from mitobench.api import Field, Floats, Fuser, Validation
from mitobench.methods.calibration import EPS, Platt

FILE = "weight.json"
MALFORMED = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError)  # of JSON in another form


class LinearOptions(api.Options):
    """Options of `linear`."""

    step: float = Field(0.05, gt=0, le=1, description="Step between the weights w that are tried, from 0 to 1.")
    calibration: Literal["none", "platt"] = Field(
        "none",
        description="Calibration of both scores before the sum; `platt` fits a logistic curve each on validation.",
    )


class Linear(Fuser):
    """The weighted sum of both scores. Before `fit` or `load`, both have the same weight.

    Attributes:
        only_weighs: the fuser ranks like the detector if it gets the detector's score twice, as without a verifier.
    """

    name = "linear"
    version = "1"
    only_weighs: ClassVar[bool] = True
    _takes_logits: ClassVar[bool] = False
    Options: ClassVar[type[api.Options]] = LinearOptions

    def __init__(self, options: api.Options | None = None, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._w = 0.5
        self._detector, self._verifier = Platt(), Platt()
        self._curve: list[list[float]] = []

    def fit(self, validation: Validation) -> None:
        """Chooses the weight that is best on validation, by F1 or what the run chooses by.

        Of several, it is the middle of their longest run. Raises PluginError if logits are needed of scores that
        are not from 0 to 1.
        """
        if self._takes_logits or self.options.calibration == "platt":
            _check_probabilities(self.name, validation)
        if self.options.calibration == "platt":
            self._detector = Platt.fit(validation.detector, validation.is_mitosis)
            self._verifier = Platt.fit(validation.verifier, validation.is_mitosis)
        detector, verifier = self._calibrated(validation.detector, validation.verifier)
        weights = np.linspace(0, 1, round(1 / self.options.step) + 1).round(6)
        fused = [self._sum(w, detector, verifier) for w in weights]
        quality = np.nan_to_num([validation.quality(scores) for scores in fused])  # undefined without a mitosis
        self._w = float(weights[_middle_of_longest_run(quality == quality.max())])
        f1 = quality if validation.choose_by is None else [validation.best_f1(scores) for scores in fused]
        self._curve = [[float(w), float(value)] for w, value in zip(weights, f1, strict=True)]

    def fuse(self, detector: Floats, verifier: Floats) -> Floats:
        """Returns the weighted sum, [N]."""
        return self._sum(self._w, *self._calibrated(detector, verifier))

    def _calibrated(self, detector: Floats, verifier: Floats) -> tuple[Floats, Floats]:
        if self.options.calibration == "none":
            return detector, verifier
        return self._detector(detector), self._verifier(verifier)

    def _sum(self, w: float, detector: Floats, verifier: Floats) -> Floats:
        return w * detector + (1 - w) * verifier

    def chosen(self) -> dict[str, Any]:
        """Returns the weight `w`, the `curve` of (weight, validation F1), and the calibration."""
        chosen = {"w": self._w, "curve": self._curve}
        if self.options.calibration == "none":
            return chosen
        return {**chosen, "platt": {"detector": astuple(self._detector), "verifier": astuple(self._verifier)}}

    def save(self, folder: Path) -> None:
        """Writes what was chosen."""
        (folder / FILE).write_text(json.dumps(self.chosen()), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Reads what was chosen. Raises PluginError if the file is damaged."""
        try:
            self._take(json.loads((folder / FILE).read_text(encoding="utf-8")))
        except MALFORMED as reason:
            raise api.PluginError(
                f"{folder / FILE}: was not written by {self.name}: {reason}. Fit it again."
            ) from reason

    def restore(self, chosen: Mapping[str, Any]) -> None:
        """Take over the weight, its curve and the calibration that `chosen` returned."""
        try:
            self._take(chosen)
        except KeyError as reason:
            raise api.PluginError(
                f"{self.name} cannot have chosen this: {reason} is missing. Get the record or model again."
            ) from reason
        except MALFORMED as reason:
            raise api.PluginError(f"{self.name} cannot have chosen this: {reason!r:.200}") from reason

    def _take(self, chosen: Mapping[str, Any]) -> None:
        self._w, self._curve = _weight(chosen["w"]), [[float(w), float(f1)] for w, f1 in chosen["curve"]]
        if self.options.calibration != "none":
            self._detector, self._verifier = (_platt(*chosen["platt"][role]) for role in ("detector", "verifier"))


def _check_probabilities(fuser: str, validation: Validation) -> None:
    """Raises PluginError for scores beyond 0 and 1: all of them would be clipped to one logit, and lose their order."""
    for role, scores in (("detector", validation.detector), ("verifier", validation.verifier)):
        if len(scores) and (scores.min() < -EPS or scores.max() > 1 + EPS):
            raise api.PluginError(
                f"{fuser} takes logits of probabilities, but the {role}'s scores range from {scores.min():g} to "
                f"{scores.max():g}. Use the fuser linear without calibration, or a {role} with scores from 0 to 1."
            )


def _weight(value: Any) -> float:
    if isinstance(value, bool) or not 0 <= value <= 1:  # also refuses NaN
        raise ValueError(f"the weight is {value!r}, not from 0 to 1")
    return float(value)


def _platt(slope: Any, offset: Any) -> Platt:
    if not np.isfinite([slope, offset]).all():
        raise ValueError(f"the calibration is not finite: slope {slope}, offset {offset}")
    return Platt(float(slope), float(offset))


def _middle_of_longest_run(flags: NDArray[np.bool_]) -> int:
    """Returns the index of the middle of the (first) longest run of True; of two middles, the lower."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(int)))
    starts, ends = edges[::2], edges[1::2]
    longest = np.argmax(ends - starts)
    return int((starts[longest] + ends[longest] - 1) // 2)
