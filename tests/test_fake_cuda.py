"""Every learned plugin keeps its tensors on one device: shown on fake CUDA tensors, without a GPU.

`docs/devices.md` lists the steps that cannot run on them, and why. A plugin that is installed later is checked too; if
one of its steps depends on data, its row must be added there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import fake_cuda
import pytest
import torch
from fake_cuda import STEPS, Outcome, training_step
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mitobench import discovery
from mitobench.errors import MitobenchError
from mitobench.training import Supervised


def has_fake_cuda() -> bool:
    """Returns whether this torch makes fake CUDA tensors without a driver; 2.5 does not."""
    try:
        with FakeTensorMode():
            torch.zeros(1).to("cuda").mul(torch.ones(1, device="cuda")).sum()
    except RuntimeError:
        return False
    return True


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_fake_cuda(), reason="this torch makes no fake CUDA tensors without a driver"),
]

QUICK = ("fcn", "frcnn", "heatmap", "resnet18")  # `make test-thorough` takes the others
DOCS = (Path(__file__).parents[1] / "docs" / "devices.md").read_text(encoding="utf-8")
NETWORKS = ("mitobench-networks", "mitobench-mmdet")


def learned() -> list[tuple[str, str]]:
    """Returns role and spec of every installed plugin that learns by a network; of a family its example."""
    found = []
    for role in ("estimator", "detector", "verifier"):
        for name in discovery.names(role):
            try:
                spec = discovery.example(role, name)
                if discovery.load(role, spec).learns() and discovery.find(role, name).package in NETWORKS:
                    found.append((role, spec))
            except MitobenchError:
                continue
    return found


def rows() -> dict[str, dict[str, str]]:
    """Returns the reason that docs/devices.md gives for each step that a plugin leaves out."""
    found: dict[str, dict[str, str]] = {}
    for plugin, step, reason in re.findall(r"^\| `(\S+?)` \| (\w+) \| (.+?) \|$", DOCS, flags=re.MULTILINE):
        found.setdefault(plugin, {})[step] = reason
    return found


@pytest.mark.parametrize(
    ("role", "spec"),
    [
        pytest.param(role, spec, marks=[] if discovery.split(spec)[0] in QUICK else [pytest.mark.thorough])
        for role, spec in learned()
    ],
)
def test_a_plugin_keeps_its_tensors_on_one_device(role: str, spec: str) -> None:
    outcome = fake_cuda.check(role, spec)
    missing = {step: outcome.left.get(step, "it has no such step") for step in STEPS if step not in outcome.done}
    listed = rows().get(discovery.split(spec)[0], {})
    lines = "\n".join(f"| `{discovery.split(spec)[0]}` | {step} | {reason} |" for step, reason in missing.items())
    assert listed.keys() == missing.keys(), f"docs/devices.md must list exactly:\n{lines}"
    for step, operator in outcome.left.items():
        assert operator.removesuffix(".default") in listed[step], f"docs/devices.md: {step} stops at {operator}"


def test_no_row_is_left_of_a_plugin_that_is_gone() -> None:
    assert set(rows()) <= {discovery.split(spec)[0] for _, spec in learned()}


# ------------------------------------------------------------------------------- what a mistake looks like


class Mixing(nn.Module):
    """Adds a tensor of the CPU, in a way that is right without a GPU."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where, self.layer = where, nn.Linear(4, 1)
        self.offset = torch.ones(1, 1)  # an attribute, which does not move with the module

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return y + (self.offset if self.where == "attribute" else torch.ones(len(y), 1))


def step(network: nn.Module, **options: Any) -> Outcome:
    outcome = Outcome()
    model = Supervised(network, lambda out, target: ((out[:, 0] - target) ** 2).mean(), **options)
    batch = {"inputs": torch.ones(2, 4), "targets": torch.ones(2)}
    model(**batch)  # right on the CPU
    training_step(model, batch, outcome)
    return outcome


def test_a_right_network_runs_every_step() -> None:
    assert step(nn.Linear(4, 1)).done == {"batch", "forward", "loss"}


@pytest.mark.parametrize("where", ["attribute", "new tensor"])
def test_a_network_that_mixes_devices_is_caught(where: str) -> None:
    with pytest.raises(RuntimeError, match=r"cuda.*cpu|cpu.*cuda"):
        step(Mixing(where))


def test_a_preparation_that_mixes_devices_is_caught() -> None:
    with pytest.raises(RuntimeError, match=r"cuda.*cpu|cpu.*cuda"):
        step(nn.Linear(4, 1), prepare=lambda x: x - torch.tensor([1.0, 2, 3, 4]))


def test_a_step_that_depends_on_data_is_left_out_and_named() -> None:
    class Selecting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[x.sum(dim=1) > -1e9]

    outcome = step(nn.Sequential(nn.Linear(4, 1), Selecting()))
    assert outcome.done == {"batch"}
    assert outcome.left == {"forward": "aten.nonzero.default", "loss": "aten.nonzero.default"}
