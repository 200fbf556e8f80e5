"""Schedules give the learning rates that they describe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from mitobench.api import Context
from mitobench.training import Supervised, cosine, steps, train, warmup

pytestmark = pytest.mark.slow


class Ones:
    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        return {"inputs": np.ones(1, np.float32), "targets": np.float32(1)}


def rates(work: Path, schedule: list[dict[str, Any]], iterations: int) -> list[float]:
    """Returns the learning rate of each step, for one of 1."""
    found = []

    class Spy(Supervised):
        def train_step(self, data: Any, optim_wrapper: Any) -> Any:
            found.append(optim_wrapper.get_lr()["lr"][0])
            return super().train_step(data, optim_wrapper)

    spy = Spy(nn.Linear(1, 1), lambda out, target: ((out[:, 0] - target) ** 2).mean())
    context = Context(seed=0, device="cpu", work=work)
    train(
        spy,
        Ones(),
        context,
        iterations=iterations,
        batch_size=1,
        optimizer={"type": "SGD", "lr": 1.0},
        schedule=schedule,
    )
    return found


def test_a_warmup_and_a_cosine(tmp_path: Path) -> None:
    found = rates(tmp_path, [*warmup(4, start=0.2), *cosine(8, begin=4)], 12)
    assert found[0] == pytest.approx(0.2)
    assert np.all(np.diff(found[:4]) > 0)
    np.testing.assert_allclose(found[4:], (1 + np.cos(np.pi * np.arange(8) / 8)) / 2, atol=1e-6)


def test_a_cosine_approaches_its_final_rate(tmp_path: Path) -> None:
    found = rates(tmp_path, cosine(4, final=0.5), 6)
    np.testing.assert_allclose(found[:4], 0.5 + 0.5 * (1 + np.cos(np.pi * np.arange(4) / 4)) / 2, atol=1e-6)
    assert found[3:] == [found[3]] * 3


def test_steps(tmp_path: Path) -> None:
    np.testing.assert_allclose(rates(tmp_path, steps([2, 4], factor=0.5), 6), [1, 1, 0.5, 0.5, 0.25, 0.25])


def test_nothing_to_do_is_an_empty_schedule() -> None:
    assert warmup(0) == cosine(0) == steps(()) == []
