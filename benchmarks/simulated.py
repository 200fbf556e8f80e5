"""Simulated test sets: slides of unlike mitosis counts, whose recall and false positives vary more than by chance.

Two methods are simulated on the same slides, with slides that are hard for both and mitoses that both find.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
MANY = 500_000  # slides that stand for the population
HARDER = -0.15  # of the second method's recall, in logits
SHARED = 0.7  # of the variance of recall between slides, shared by both methods
BOTH = 0.6  # how far the mitoses that the methods find are the same


class Regime(NamedTuple):
    """How slides vary.

    Attributes:
        mitoses: mean number per slide.
        mitosis_shape: shape of their negative binomial distribution; with 1 or less, some slides have almost none.
        recall: recall of a typical slide.
        recall_sd: standard deviation of the recall between slides, in logits.
        false: mean number of false positives per slide.
        false_shape: shape of their negative binomial distribution.
    """

    mitoses: float
    mitosis_shape: float
    recall: float
    recall_sd: float
    false: float
    false_shape: float


REGIMES = {
    "rare mitoses": Regime(1.5, 0.8, 0.7, 0.7, 1, 0.8),
    "few mitoses": Regime(3, 1.0, 0.7, 0.7, 1.5, 0.8),
    "F1 .2": Regime(20, 1.5, 0.5, 0.8, 60, 1.0),
    "F1 .6": Regime(20, 1.5, 0.65, 0.8, 12, 1.0),
    "F1 .85": Regime(20, 2.0, 0.88, 0.8, 3, 1.0),
    "F1 .9": Regime(20, 2.0, 0.94, 0.8, 1.5, 1.0),
    "many mitoses": Regime(80, 1.0, 0.75, 0.8, 20, 0.8),
    "even slides": Regime(20, 20.0, 0.7, 0.5, 7, 3.0),
    "uneven slides": Regime(12, 0.6, 0.7, 1.0, 4, 0.5),
}


def slides(regime: Regime, shape: tuple[int, ...], seed: int) -> tuple[Floats, Floats]:
    """Returns counts of tp, fp, fn on independent slides, [*shape, 3], for two methods on the same slides."""
    rng = np.random.default_rng(seed)
    mitoses = rng.poisson(rng.gamma(regime.mitosis_shape, regime.mitoses / regime.mitosis_shape, shape))
    hard, recall = rng.standard_normal(shape), []
    for shift in (0.0, HARDER):
        effect = np.sqrt(SHARED) * hard + np.sqrt(1 - SHARED) * rng.standard_normal(shape)
        recall.append(special.expit(special.logit(regime.recall) + shift + regime.recall_sd * effect))
    hits = _hits(mitoses, recall[0], recall[1], rng)
    crowded = rng.gamma(regime.false_shape, 1 / regime.false_shape, shape)
    shared = rng.poisson(0.5 * regime.false * crowded)
    found = []
    for more, tp in zip((1.0, 1.2), hits, strict=True):
        own = 0.5 * crowded + 0.5 * rng.gamma(regime.false_shape, 1 / regime.false_shape, shape)
        false = shared + rng.poisson(0.5 * more * regime.false * own)
        found.append(np.stack([tp, false, mitoses - tp], axis=-1).astype(np.float64))
    return found[0], found[1]


def _hits(mitoses: NDArray[np.int64], one: Floats, other: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Returns the numbers of mitoses that two methods find; some mitoses are found by both."""
    of_both = BOTH * np.minimum(one, other) + (1 - BOTH) * one * other
    both = rng.binomial(mitoses, of_both)
    only_one = rng.binomial(mitoses - both, (one - of_both) / (1 - of_both))
    only_other = rng.binomial(mitoses - both - only_one, np.clip((other - of_both) / (1 - one), 0, 1))
    return both + only_one, both + only_other


def frames(regime: Regime, tests: int, n_slides: int, n_frames: int, seed: int) -> Floats:
    """Returns counts of one method on frames that resemble their slide, [tests, n_slides * n_frames, 3]."""
    rng = np.random.default_rng(seed)
    slide, frame = (tests, n_slides, 1), (tests, n_slides, n_frames)
    rich = rng.gamma(regime.mitosis_shape, 1 / regime.mitosis_shape, slide) * rng.gamma(1, 1, frame)
    mitoses = rng.poisson(rich * regime.mitoses / n_frames)
    effect = regime.recall_sd * rng.standard_normal(slide) + 0.4 * rng.standard_normal(frame)
    tp = rng.binomial(mitoses, special.expit(special.logit(regime.recall) + effect))
    crowded = rng.gamma(regime.false_shape, 1 / regime.false_shape, slide) * rng.gamma(2, 0.5, frame)
    false = rng.poisson(crowded * regime.false / n_frames)
    return np.stack([tp, false, mitoses - tp], axis=-1).reshape(tests, -1, 3).astype(np.float64)


def truth(counts: Floats) -> Floats:
    """Returns precision, recall and F1, [3], of summed counts, [..., 3]."""
    tp, fp, fn = counts.reshape(-1, 3).sum(axis=0)
    return np.array([tp / (tp + fp), tp / (tp + fn), 2 * tp / (2 * tp + fp + fn)])
