"""The models of `stacked`: fitted by scikit-learn, kept and evaluated as plain numbers. Nothing is pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from mitobench.api import Floats

Features = NDArray[np.float32]

MAX_TREES = 500  # a record holds them
MAX_DEPTH = 5
MAX_NODES = 2 ** (MAX_DEPTH + 1) - 1  # of one tree
MAX_FEATURES = 128


@dataclass(frozen=True)
class Logistic:
    """A logistic regression over standardised features.

    Attributes:
        mean, deviation: of each feature, [F].
        weights: of the standardised features, [F].
        offset: added to their weighted sum.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    weights: tuple[float, ...]
    offset: float
    kind: Literal["logistic"] = "logistic"

    @classmethod
    def fit(cls, features: Features, is_mitosis: NDArray[np.bool_], strength: float) -> Logistic:
        """Fits it with an L2 penalty; `strength` is the inverse of the penalty's factor."""
        from sklearn.linear_model import LogisticRegression

        values = features.astype(np.float64)
        mean, deviation = values.mean(axis=0), values.std(axis=0)
        deviation[deviation < 1e-9] = 1
        fitted = LogisticRegression(C=strength, max_iter=1_000).fit((values - mean) / deviation, is_mitosis)
        weights = fitted.coef_[0]
        return cls(
            mean=tuple(mean.tolist()),
            deviation=tuple(deviation.tolist()),
            weights=tuple(weights.tolist()),
            offset=float(fitted.intercept_[0]),
        )

    @classmethod
    def unfitted(cls, count: int) -> Logistic:
        """The mean of both scores (the first two features): for data that nothing can be learned from."""
        return cls((0.0,) * count, (1.0,) * count, (0.5, 0.5, *(0.0,) * (count - 2)), 0.0)

    @property
    def count(self) -> int:
        """Number of features."""
        return len(self.weights)

    def __call__(self, features: Features) -> Floats:
        """Returns the probabilities of mitosis, [N]."""
        standardised = (features.astype(np.float64) - self.mean) / self.deviation
        probabilities: Floats = expit((standardised * self.weights).sum(axis=1) + self.offset)
        return probabilities

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Logistic:
        """Returns the model that `asdict` described. Raises ValueError, TypeError or KeyError for anything else."""
        mean, deviation, weights = (_numbers(values[key], MAX_FEATURES) for key in ("mean", "deviation", "weights"))
        if not len(mean) == len(deviation) == len(weights) or 0 in deviation:
            raise ValueError("mean, deviation and weights do not fit together")
        return cls(mean, deviation, weights, _numbers([values["offset"]], 1)[0])


@dataclass(frozen=True)
class Tree:
    """A regression tree. A candidate goes left if its feature is at most the threshold; a leaf has no feature (-1).

    A node's children have higher numbers than the node itself.
    """

    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]

    def __call__(self, features: Features) -> Floats:
        """Returns the value of the leaf that each candidate reaches, [N]."""
        feature, left, right = (np.asarray(each, dtype=np.int64) for each in (self.feature, self.left, self.right))
        threshold, node = np.asarray(self.threshold), np.zeros(len(features), dtype=np.int64)
        for _ in range(len(feature)):
            inner = np.flatnonzero(feature[node] >= 0)
            if not len(inner):
                break
            at = node[inner]
            goes_left = features[inner, feature[at]] <= threshold[at]
            node[inner] = np.where(goes_left, left[at], right[at])
        reached: Floats = np.asarray(self.value)[node]
        return reached

    @classmethod
    def read(cls, values: Mapping[str, Any], count: int) -> Tree:
        """Returns the tree that `asdict` described. Raises ValueError, TypeError or KeyError for anything else."""
        feature, left, right = (_integers(values[name]) for name in ("feature", "left", "right"))
        threshold, value = (_numbers(values[name], MAX_NODES) for name in ("threshold", "value"))
        size = len(feature)
        if not size or {len(left), len(right), len(threshold), len(value)} != {size}:
            raise ValueError("the lists of a tree have different lengths")
        for node, (of, *children) in enumerate(zip(feature, left, right, strict=True)):
            if of >= count or (of >= 0 and not all(node < child < size for child in children)):
                raise ValueError(f"node {node} of a tree points nowhere")
        return cls(feature, threshold, left, right, value)


@dataclass(frozen=True)
class Boosting:
    """Gradient-boosted trees: the sum of their values is the logit.

    Attributes:
        offset: logit before the first tree.
        rate: factor on the value of each tree.
        trees: in any order.
        count: number of features.
    """

    offset: float
    rate: float
    trees: tuple[Tree, ...]
    count: int
    kind: Literal["boosting"] = "boosting"

    @classmethod
    def fit(
        cls, features: Features, is_mitosis: NDArray[np.bool_], *, trees: int, depth: int, rate: float, leaf: int
    ) -> Boosting:
        """Fits trees one after the other; `leaf` is the least number of candidates in a leaf."""
        from sklearn.ensemble import GradientBoostingClassifier

        model = GradientBoostingClassifier(
            n_estimators=trees, max_depth=depth, learning_rate=rate, min_samples_leaf=leaf, random_state=0
        ).fit(features, is_mitosis)
        prior = float(logit(is_mitosis.mean()))
        return cls(prior, rate, tuple(_tree(fitted.tree_) for fitted in model.estimators_[:, 0]), features.shape[1])

    def __call__(self, features: Features) -> Floats:
        """Returns the probabilities of mitosis, [N]."""
        total = np.full(len(features), self.offset)
        for tree in self.trees:
            total += self.rate * tree(features)
        probabilities: Floats = expit(total)
        return probabilities

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Boosting:
        """Returns the model that `asdict` described. Raises ValueError, TypeError or KeyError for anything else."""
        offset, rate = _numbers([values["offset"], values["rate"]], 2)
        (count,) = _integers([values["count"]])
        if not 0 < count <= MAX_FEATURES or not isinstance(values["trees"], list) or len(values["trees"]) > MAX_TREES:
            raise ValueError(f"more than {MAX_TREES} trees or {MAX_FEATURES} features")
        return cls(offset, rate, tuple(Tree.read(tree, count) for tree in values["trees"]), count)


Model = Logistic | Boosting


def as_json(model: Model) -> dict[str, Any]:
    """Returns a model as JSON values."""
    values: dict[str, Any] = _lists(asdict(model))
    return values


def read(values: Any) -> Model:
    """Returns the model that `as_json` described. Raises ValueError, TypeError or KeyError for anything else."""
    kinds: dict[str, type[Logistic] | type[Boosting]] = {"logistic": Logistic, "boosting": Boosting}
    return kinds[values["kind"]].read(values)


def _tree(tree: Any) -> Tree:
    """Returns a fitted tree of scikit-learn."""
    leaf = tree.children_left < 0
    return Tree(
        tuple(np.where(leaf, -1, tree.feature).tolist()),
        tuple(np.where(leaf, 0.0, tree.threshold).tolist()),
        tuple(np.where(leaf, 0, tree.children_left).tolist()),
        tuple(np.where(leaf, 0, tree.children_right).tolist()),
        tuple(tree.value[:, 0, 0].tolist()),
    )


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _lists(each) for name, each in value.items()}
    return [_lists(each) for each in value] if isinstance(value, list | tuple) else value


def _numbers(values: Any, limit: int) -> tuple[float, ...]:
    if not isinstance(values, list) or len(values) > limit or any(isinstance(value, bool | str) for value in values):
        raise ValueError(f"expected a list of at most {limit} numbers")
    numbers = np.asarray(values, dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("a number is not finite")
    return tuple(numbers.tolist())


def _integers(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list) or len(values) > MAX_NODES or not all(type(value) is int for value in values):
        raise ValueError(f"expected a list of at most {MAX_NODES} whole numbers")
    if any(abs(value) > MAX_FEATURES for value in values):
        raise ValueError(f"a number is beyond {MAX_FEATURES}")
    return tuple(values)
