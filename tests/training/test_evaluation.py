"""A training that evaluates ends with its best weights, stops early, and resumes as if it had run through."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mitobench.api import Context, PluginError
from mitobench.training import Supervised, runner, train

pytestmark = pytest.mark.slow


class Numbers:
    """Items whose target is the sum of their input."""

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        x = rng.standard_normal(4).astype(np.float32)
        return {"inputs": x, "targets": np.float32(x.sum())}


class Run:
    """Trains 12 steps; the F1 of the n-th evaluation is the n-th of `scores`."""

    def __init__(self, work: Path, scores: list[float], stop_after: int | None = None, **options: Any) -> None:
        self.seen: dict[int, dict[str, torch.Tensor]] = {}
        self.done = 0
        self.curves: list[tuple[str, int]] = []
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.model = Supervised(network, lambda out, target: ((out[:, 0] - target) ** 2).mean())

        def progress(done: int, total: int) -> None:
            self.done = done
            if done == stop_after:
                raise KeyboardInterrupt

        def evaluate() -> float:
            assert not self.model.training
            assert not torch.is_grad_enabled()
            torch.rand(5)  # the evaluation may use random numbers without changing the training
            self.seen[self.done] = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
            return scores[math.ceil(self.done / options.get("evaluate_every", 500)) - 1]

        self.context = Context(
            seed=1,
            device="cpu",
            work=work,
            progress=progress,
            log_scalar=lambda name, value, step: self.curves.append((name, step)),
        )
        train(
            self.model,
            Numbers(),
            self.context,
            iterations=12,
            batch_size=4,
            optimizer={"type": "AdamW", "lr": 1e-2},
            evaluate=evaluate,
            **options,
        )

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        return self.model.state_dict()

    @property
    def info(self) -> dict[str, Any]:
        return dict(self.context.training_info["validation"])


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("ema", [None, 0.8])
def test_the_model_ends_with_its_best_weights(tmp_path: Path, ema: float | None) -> None:
    run = Run(tmp_path, [0.2, 0.6, 0.6, 0.5], evaluate_every=3, ema=ema)
    assert sorted(run.seen) == [3, 6, 9, 12]
    assert same(run.weights, run.seen[6]), "the first of two equal ones"
    assert not same(run.weights, run.seen[12])
    assert run.info["best F1"] == 0.6
    assert (run.info["at step"], run.info["stopped early"]) == (6, False)
    assert run.info["F1 by step"] == {"3": 0.2, "6": 0.6, "9": 0.6, "12": 0.5}
    assert [step for name, step in run.curves if name == "validation F1"] == [3, 6, 9, 12]
    assert ("loss", 1) in run.curves


def test_evaluating_does_not_change_the_training(tmp_path: Path) -> None:
    often, once = Run(tmp_path / "a", [0.1, 0.2, 0.3, 0.9], evaluate_every=3), Run(tmp_path / "b", [0.5])
    assert same(often.weights, once.weights)


def test_it_stops_after_so_many_evaluations_without_a_better_one(tmp_path: Path) -> None:
    run = Run(tmp_path, [0.2, 0.6, 0.6, 0.5, 0.9, 0.9], evaluate_every=2, patience=2)
    assert sorted(run.seen) == [2, 4, 6, 8]
    assert run.info["stopped early"]
    assert same(run.weights, run.seen[4])


def test_an_f1_of_nan_is_neither_kept_nor_a_reason_to_stop(tmp_path: Path) -> None:
    run = Run(tmp_path, [math.nan] * 6, evaluate_every=2, patience=1)
    assert sorted(run.seen) == [2, 4, 6, 8, 10, 12]
    assert same(run.weights, run.seen[12])
    assert run.info["best F1"] is None
    assert run.info["F1 by step"]["2"] is None


@pytest.mark.parametrize("ema", [None, 0.8])
@pytest.mark.parametrize("stop_after", [3, 5, 7])
def test_an_interrupted_training_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int, ema: float | None
) -> None:
    monkeypatch.setattr(runner, "CHECKPOINT_SECONDS", 0.0)
    options: dict[str, Any] = {"evaluate_every": 2, "patience": 3, "ema": ema}
    scores = [0.2, 0.6, 0.5, 0.4, 0.3, 0.9]
    whole = Run(tmp_path / "whole", scores, **options)
    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path / "cut", scores, stop_after=stop_after, **options)
    again = Run(tmp_path / "cut", scores, **options)
    assert same(again.weights, whole.weights)
    assert again.info == whole.info


def test_patience_without_evaluations_is_refused(tmp_path: Path) -> None:
    context = Context(seed=0, device="cpu", work=tmp_path)
    with pytest.raises(PluginError, match="patience 3 counts evaluations, and there are none"):
        train(
            Supervised(nn.Linear(1, 1), nn.functional.mse_loss),
            Numbers(),
            context,
            iterations=1,
            batch_size=1,
            optimizer={"type": "SGD", "lr": 0.1},
            patience=3,
        )


@pytest.mark.parametrize("options", [{"evaluate_every": 0}, {"patience": 0}, {"patience": -1}])
def test_counts_below_one_are_refused(tmp_path: Path, options: dict[str, int]) -> None:
    with pytest.raises(PluginError, match="must be 1 or more"):
        Run(tmp_path, [0.5], **options)
