"""Platt scaling: turns a score into the probability that the candidate is a mitosis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from mitobench.api import Floats

EPS = 1e-6


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
        targets = np.where(is_mitosis, (mitoses + 1) / (mitoses + 2), 1 / (others + 2))
        x = logits(scores)

        def loss(curve: Floats) -> tuple[float, Floats]:
            z = curve[0] * x + curve[1]
            slip = expit(z) - targets
            return float((np.logaddexp(0, z) - targets * z).sum()), np.array([slip @ x, slip.sum()])

        found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)])
        return cls(float(found.x[0]), float(found.x[1]))

    def __call__(self, scores: Floats) -> Floats:
        """Returns the probabilities of mitosis, [N]."""
        probabilities: Floats = expit(self.slope * logits(scores) + self.offset)
        return probabilities
