"""`linear`: S = w * detector + (1 - w) * verifier, with w chosen on validation (paper: Fusion).

It may calibrate both scores first, by Platt's scaling on the same validation candidates.
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
from mitobench.methods.calibration import Platt

FILE = "weight.json"
MALFORMED = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError)  # of JSON in another form


class LinearOptions(api.Options):
    """Options of `linear`."""

    step: float = Field(0.05, gt=0, le=1, description="Distance between the weights w that are tried, 0 to 1.")
    calibration: Literal["none", "platt"] = Field(
        "none", description="What is done to both scores first; `platt`: a logistic curve each, fitted on validation."
    )


class Linear(Fuser):
    """The weighted sum of both scores. Until `fit` or `load`, both count the same.

    `only_weighs`: given the detector's score twice, for want of a verifier, it ranks as the detector does.
    """

    name = "linear"
    version = "1"
    only_weighs: ClassVar[bool] = True
    Options: ClassVar[type[api.Options]] = LinearOptions

    def __init__(self, options: api.Options | None = None, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._w = 0.5
        self._detector, self._verifier = Platt(), Platt()
        self._curve: list[list[float]] = []

    def fit(self, validation: Validation) -> None:
        """Take the weight of the best validation F1; of many, the middle of the longest run of them."""
        if self.options.calibration == "platt":
            self._detector = Platt.fit(validation.detector, validation.is_mitosis)
            self._verifier = Platt.fit(validation.verifier, validation.is_mitosis)
        detector, verifier = self._calibrated(validation.detector, validation.verifier)
        weights = np.linspace(0, 1, round(1 / self.options.step) + 1).round(6)
        fused = (self._sum(w, detector, verifier) for w in weights)
        f1 = np.nan_to_num([validation.best_f1(scores) for scores in fused])  # undefined where there is no mitosis
        self._w = float(weights[_middle_of_longest_run(f1 == f1.max())])
        self._curve = [[float(w), float(value)] for w, value in zip(weights, f1, strict=True)]

    def fuse(self, detector: Floats, verifier: Floats) -> Floats:
        """The weighted sum, [N]."""
        return self._sum(self._w, *self._calibrated(detector, verifier))

    def _calibrated(self, detector: Floats, verifier: Floats) -> tuple[Floats, Floats]:
        if self.options.calibration == "none":
            return detector, verifier
        return self._detector(detector), self._verifier(verifier)

    def _sum(self, w: float, detector: Floats, verifier: Floats) -> Floats:
        return w * detector + (1 - w) * verifier

    def chosen(self) -> dict[str, Any]:
        """The weight `w`, the `curve` of (weight, validation F1) it was chosen from, and what calibrates the scores."""
        chosen = {"w": self._w, "curve": self._curve}
        if self.options.calibration == "none":
            return chosen
        return {**chosen, "platt": {"detector": astuple(self._detector), "verifier": astuple(self._verifier)}}

    def save(self, folder: Path) -> None:
        """Write what was chosen."""
        (folder / FILE).write_text(json.dumps(self.chosen()), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read what was chosen."""
        try:
            self._take(json.loads((folder / FILE).read_text(encoding="utf-8")))
        except MALFORMED as reason:
            raise api.PluginError(
                f"{folder / FILE}: is not what {self.name} saves: {reason}. Fit it again."
            ) from reason

    def restore(self, chosen: Mapping[str, Any]) -> None:
        """Take over the weight, its curve and the calibration that `chosen` returned."""
        try:
            self._take(chosen)
        except MALFORMED as reason:
            raise api.PluginError(f"{self.name} cannot have chosen this: {reason!r:.200}") from reason

    def _take(self, chosen: Mapping[str, Any]) -> None:
        self._w, self._curve = _weight(chosen["w"]), [[float(w), float(f1)] for w, f1 in chosen["curve"]]
        if self.options.calibration != "none":
            self._detector, self._verifier = (_platt(*chosen["platt"][role]) for role in ("detector", "verifier"))


def _weight(value: Any) -> float:
    if isinstance(value, bool) or not 0 <= value <= 1:  # NaN is not, either
        raise ValueError(f"the weight is {value!r}, not from 0 to 1")
    return float(value)


def _platt(slope: Any, offset: Any) -> Platt:
    if not np.isfinite([slope, offset]).all():
        raise ValueError("the calibration is not of finite numbers")
    return Platt(float(slope), float(offset))


def _middle_of_longest_run(flags: NDArray[np.bool_]) -> int:
    """Index of the middle of the longest run of True; the first of equally long ones, the lower of two middles."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(int)))
    starts, ends = edges[::2], edges[1::2]
    longest = np.argmax(ends - starts)
    return int((starts[longest] + ends[longest] - 1) // 2)
