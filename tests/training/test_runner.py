"""The training loop gives the same weights for the same seed, also if it is interrupted or uses several processes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mitobench.api import Context, PluginError
from mitobench.training import Supervised, runner, train

pytestmark = pytest.mark.slow

ITERATIONS = 12


class Numbers:
    """Items whose target is a fixed function of their input."""

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        x = rng.standard_normal(8).astype(np.float32)
        return {"inputs": x, "targets": np.float32(x.sum())}


def model() -> Supervised:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 1))
    return Supervised(network, lambda out, target: ((out[:, 0] - target) ** 2).mean())


def fit(work: Path, seed: int = 1, stop_after: int | None = None, **options: Any) -> dict[str, torch.Tensor]:
    def progress(done: int, total: int) -> None:
        if done == stop_after:
            raise KeyboardInterrupt

    trained = model()
    train(
        trained,
        Numbers(),
        Context(seed=seed, device="cpu", work=work, progress=progress),
        iterations=ITERATIONS,
        batch_size=4,
        optimizer={"type": "AdamW", "lr": 1e-2},
        schedule=[
            {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "end": 4},
            {"type": "MultiStepLR", "by_epoch": False, "milestones": [8], "gamma": 0.1},
        ],
        **options,
    )
    return trained.state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


def test_a_seed_gives_the_same_weights_whatever_ran_before(tmp_path: Path) -> None:
    first = fit(tmp_path / "a")
    torch.rand(100)
    np.random.rand(100)
    assert same(first, fit(tmp_path / "b"))
    assert not same(first, fit(tmp_path / "c", seed=2))


def test_it_learns(tmp_path: Path) -> None:
    before = model().state_dict()
    after = fit(tmp_path)
    assert not same(before, after)


@pytest.mark.parametrize("ema", [None, 0.8])
@pytest.mark.parametrize("stop_after", [1, 5, 9, 11])
def test_a_training_that_was_interrupted_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int, ema: float | None
) -> None:
    monkeypatch.setattr(runner, "CHECKPOINT_SECONDS", 0.0)
    whole = fit(tmp_path / "whole", ema=ema)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut", stop_after=stop_after, ema=ema)
    drawn: list[int] = []
    original = runner._Items.__getitem__
    monkeypatch.setattr(runner._Items, "__getitem__", lambda self, i: (drawn.append(i), original(self, i))[1])
    assert same(whole, fit(tmp_path / "cut", ema=ema))
    assert min(drawn) >= 4 * (stop_after - 1), "finished iterations are not drawn again"


def test_with_ema_the_model_has_the_moving_average_of_its_weights(tmp_path: Path) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    class Spy(Supervised):
        def train_step(self, *args: Any, **kwargs: Any) -> Any:
            result = super().train_step(*args, **kwargs)
            seen.append({key: value.clone() for key, value in self.state_dict().items()})
            return result

    spy = Spy(nn.Linear(8, 1), lambda out, target: ((out[:, 0] - target) ** 2).mean())
    context = Context(seed=1, device="cpu", work=tmp_path)
    train(spy, Numbers(), context, iterations=5, batch_size=4, optimizer={"type": "SGD", "lr": 0.1}, ema=0.5)
    expected = seen[0]["network.weight"]
    for state in seen[1:]:
        expected = 0.5 * expected + 0.5 * state["network.weight"]
    assert torch.allclose(spy.state_dict()["network.weight"], expected)
    assert not torch.allclose(seen[-1]["network.weight"], expected)


def test_a_truncated_checkpoint_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, stop_after=6)
    checkpoint = tmp_path / "training" / runner.CHECKPOINT
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    assert same(fit(tmp_path), fit(tmp_path / "whole"))


def test_workers_draw_the_same_items(tmp_path: Path) -> None:
    assert same(fit(tmp_path / "none"), fit(tmp_path / "two", workers=2))


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path) -> None:
    broken = Supervised(nn.Linear(8, 1), lambda out, target: out.mean() * torch.nan)
    with pytest.raises(PluginError, match="nan at iteration 1"):
        train(
            broken,
            Numbers(),
            Context(seed=0, device="cpu", work=tmp_path),
            iterations=2,
            batch_size=2,
            optimizer={"type": "SGD", "lr": 0.1},
        )


def test_training_does_not_change_the_logging_setup(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = list(logging.root.handlers), logging.root.level
    fit(tmp_path)
    assert (list(logging.root.handlers), logging.root.level) == before
    assert capfd.readouterr().out == ""
