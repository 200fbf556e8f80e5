"""The head: logistic regression (scikit-learn) on standardised embeddings, kept as plain numbers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from mitobench.api import Floats, PluginError
from mitobench.training import write_tensors
from mitobench.training.pretrained import read_tensors

FILE = "head.safetensors"
Embedded = NDArray[np.float32]


@dataclass(frozen=True)
class Head:
    """A logistic regression. All arrays have the D numbers of an embedding.

    Attributes:
        mean, scale: of the training embeddings.
        weights: of the standardised embeddings.
        intercept: [1].
    """

    mean: Floats
    scale: Floats
    weights: Floats
    intercept: Floats

    def probability(self, embeddings: Embedded) -> Floats:
        """Returns the probability of mitosis, [N], of embeddings, [N, D]. Raises PluginError for another D."""
        if embeddings.shape[1] != len(self.mean):
            raise PluginError(
                f"The encoder gives {embeddings.shape[1]} numbers, but the probe was fitted on {len(self.mean)}. "
                "Fit it again with this encoder."
            )
        probability: Floats = expit((embeddings - self.mean) / self.scale @ self.weights + self.intercept)
        return probability

    def save(self, folder: Path) -> None:
        """Writes the numbers."""
        write_tensors({name: torch.from_numpy(array) for name, array in vars(self).items()}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Head:
        """Reads the numbers. Raises PluginError for a file that `save` cannot have written."""
        found = {name: tensor.double().numpy() for name, tensor in read_tensors(folder / FILE).items()}
        shapes = {name: found[name].shape for name in ("mean", "scale", "weights") if name in found}
        right = found.keys() == cls.__annotations__.keys() and len(set(shapes.values())) == 1
        if not (right and found["mean"].ndim == 1 and found["intercept"].shape == (1,)):
            raise PluginError(f"{folder / FILE}: is not a head of a probe. Fit it again.")
        if not all(np.isfinite(array).all() for array in found.values()) or (found["scale"] <= 0).any():
            raise PluginError(f"{folder / FILE}: holds numbers that no fit gives. Fit it again.")
        return cls(**found)


def fit(
    embeddings: Embedded, is_mitosis: NDArray[np.bool_], *, C: float, class_weight: str | None, max_iter: int
) -> tuple[Head, dict[str, Any]]:
    """Fits a head to embeddings, [N, D], with their labels, [N], of both classes.

    Returns the head, and the number of steps and whether the solver converged.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    mean = embeddings.mean(axis=0, dtype=np.float64)
    deviation = embeddings.std(axis=0, dtype=np.float64)
    scale = np.where(deviation > 1e-12, deviation, 1.0)  # a constant number says nothing
    regression = LogisticRegression(C=C, class_weight=class_weight, max_iter=max_iter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit((embeddings - mean) / scale, is_mitosis)
    steps = int(regression.n_iter_[0])
    head = Head(mean, scale, regression.coef_[0].astype(np.float64), regression.intercept_.astype(np.float64))
    return head, {"steps": steps, "converged": steps < max_iter}
