"""Platt's scaling: a score becomes the probability that a candidate with it shows a mitosis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from mitobench.api import Floats

EPS = 1e-6


def logits(scores: Floats, eps: float = EPS) -> Floats:
    """Of probabilities clipped to eps ... 1 - eps, [N]."""
    clipped: Floats = logit(np.clip(scores, eps, 1 - eps))
    return clipped


@dataclass(frozen=True)
class Platt:
    """A logistic curve over the logit of a score; until it is fitted it changes nothing.

    Attributes:
        slope, offset: of the new logit over the old one.
    """

    slope: float = 1.0
    offset: float = 0.0

    @classmethod
    def fit(cls, scores: Floats, is_mitosis: NDArray[np.bool_]) -> Platt:
        """The curve of the greatest likelihood, with targets drawn in from 0 and 1 (Platt 1999, section 2.2).

        Without both kinds of candidates there is nothing to fit: scores stay as they are. A curve never falls: a score
        that tells mitoses worse than chance becomes the same for all.
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
        """The probabilities of mitosis, [N]."""
        probabilities: Floats = expit(self.slope * logits(scores) + self.offset)
        return probabilities
