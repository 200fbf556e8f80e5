"""Logistic curves that turn a score into the probability that a candidate is a mitosis (Platt 1999)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from mitobench.api import Floats

EPS = 1e-6
MOST_UNFOUND = 0.01  # greatest probability of a cell that a detector did not find, however sure it is of what it finds
MIN_SLOPE = 1e-3  # of the curve over standardised scores: keeps the order of a detector that is worse than chance
PENALTY = 1e-2  # on the squared slope, so that it stays finite where validation separates the two kinds


def logits(scores: Floats, eps: float = EPS) -> Floats:
    """Returns the logits of probabilities that are clipped to [eps, 1 - eps] first, [N]."""
    clipped: Floats = logit(np.clip(scores, eps, 1 - eps))
    return clipped


@dataclass(frozen=True)
class Platt:
    """A logistic curve over the logit of a score. The defaults leave scores unchanged.

    Attributes:
        slope, offset: new logit = slope * old logit + offset.
    """

    slope: float = 1.0
    offset: float = 0.0

    @classmethod
    def fit(cls, scores: Floats, is_mitosis: NDArray[np.bool_]) -> Platt:
        """Fits the curve by maximum likelihood, with targets moved away from 0 and 1 (Platt 1999, section 2.2).

        If all candidates are of one kind, scores are left unchanged. The slope is never negative: a score that
        separates mitoses worse than chance becomes the same for all candidates.
        """
        mitoses = int(is_mitosis.sum())
        others = len(is_mitosis) - mitoses
        if not (mitoses and others):
            return cls()
        return cls(*_most_likely(logits(scores), is_mitosis, offset=0.0))

    def __call__(self, scores: Floats) -> Floats:
        """Returns the probabilities of mitosis, [N]."""
        probabilities: Floats = expit(self.slope * logits(scores) + self.offset)
        return probabilities


@dataclass(frozen=True)
class Calibration:
    """A rising logistic curve over a score. The defaults keep scores from 0 to 1, and put others in that range.

    Attributes:
        probabilities: whether the curve is over the logit of the score, for scores from 0 to 1.
        middle, spread: mean and standard deviation of what the curve is over, on validation.
        slope, offset: logit of the result = slope * standardised score + offset.
        lowest: the probability for a cell that is not found: the lowest on validation, at most MOST_UNFOUND.
    """

    probabilities: bool
    middle: float = 0.0
    spread: float = 1.0
    slope: float = 1.0
    offset: float = 0.0
    lowest: float = MOST_UNFOUND

    @classmethod
    def fit(cls, scores: Floats, is_mitosis: NDArray[np.bool_]) -> Calibration:
        """Fits the curve to scores [N] and labels [N] by maximum likelihood.

        The targets are moved away from 0 and 1 (Platt 1999, section 2.2). With one kind of candidate only, or none,
        scores keep their values.
        """
        uncalibrated = cls.none(scores)
        mitoses, others = int(is_mitosis.sum()), int((~is_mitosis).sum())
        raw = uncalibrated._raw(scores)
        middle, spread = (float(raw.mean()), float(raw.std())) if len(raw) else (0.0, 0.0)
        if not (mitoses and others) or spread < EPS:
            return uncalibrated
        x = (raw - middle) / spread
        offset = float(logit(_targets(is_mitosis).mean()))
        slope, offset = _most_likely(x, is_mitosis, offset, MIN_SLOPE, PENALTY)
        curve = cls(uncalibrated.probabilities, middle, spread, slope, offset)
        return curve._with_lowest(scores)

    @classmethod
    def none(cls, scores: Floats) -> Calibration:
        """Returns the curve that keeps these scores [N] if they are from 0 to 1, and puts others in that range."""
        return cls(probabilities=bool(((scores >= 0) & (scores <= 1)).all()))._with_lowest(scores)

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Calibration:
        """Returns a stored curve. Raises ValueError for other fields: scores of version 1 mean something else."""
        numbers = [value for name, value in values.items() if name != "probabilities"]
        if set(values) != {field.name for field in fields(cls)} or not isinstance(values["probabilities"], bool):
            raise ValueError("its calibrations have other fields")
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in numbers):
            raise ValueError("a value of its calibrations is not a number")
        return cls(**values)

    def _with_lowest(self, scores: Floats) -> Calibration:
        return replace(self, lowest=float(np.clip(self(scores).min(initial=1.0), EPS, MOST_UNFOUND)))

    def __call__(self, scores: Floats) -> Floats:
        """Returns the probabilities of mitosis, [N]."""
        found: Floats = expit(self.slope * (self._raw(scores) - self.middle) / self.spread + self.offset)
        return found

    def _raw(self, scores: Floats) -> Floats:
        values: Floats = logits(scores) if self.probabilities else scores
        return values


def _targets(is_mitosis: NDArray[np.bool_]) -> Floats:
    """Returns what a curve should reach, [N]: 1 and 0, moved away from the ends (Platt 1999, section 2.2)."""
    mitoses = int(is_mitosis.sum())
    others = len(is_mitosis) - mitoses
    targets: Floats = np.where(is_mitosis, (mitoses + 1) / (mitoses + 2), 1 / (others + 2))
    return targets


def _most_likely(
    x: Floats, is_mitosis: NDArray[np.bool_], offset: float, least: float = 0.0, penalty: float = 0.0
) -> tuple[float, float]:
    """Returns slope and offset of the logistic curve of the greatest likelihood over x [N].

    Args:
        offset: from which the search starts; the slope starts from 1.
        least: lower limit of the slope.
        penalty: weight of the squared slope.
    """
    targets = _targets(is_mitosis)

    def loss(curve: Floats) -> tuple[float, Floats]:
        z = curve[0] * x + curve[1]
        slip = expit(z) - targets
        value = (np.logaddexp(0, z) - targets * z).sum() + penalty * curve[0] ** 2
        return float(value), np.array([slip @ x + 2 * penalty * curve[0], slip.sum()])

    start, bounds = np.array([1.0, offset]), [(least, None), (None, None)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return float(found.x[0]), float(found.x[1])
