"""A model that is packed with `onnx` finds what the networks of torch find, by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from packaging.version import Version

from mitobench import datasets
from mitobench.benchmark import Benchmark, Grid
from mitobench.datasets import synthetic
from mitobench.errors import MitobenchError
from mitobench.model import Model, pack
from mitobench.model import card as cards
from mitobench.model.model import NETWORK

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(Version(torch.__version__) < Version("2.6"), reason="torch 2.5 does not export the network"),
]
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

ROLES = {"estimator": "fixed", "detector": "heatmap:test_resnet", "verifier": "none", "fuser": "detector-only"}
FEW_STEPS = {
    "iterations": 3,
    "patch": 64,
    "batch_size": 2,
    "pretrained": "none",
    "hard_negative_rounds": 0,
    "score_floor": 0.001,
}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, and the models of one run for torch and for ONNX Runtime."""
    folder = tmp_path_factory.mktemp("onnx")
    synthetic.write(folder / "data", seed=1, frames=2, size=128)
    benchmark = Benchmark.prepare(
        [Grid({role: [name] for role, name in ROLES.items()})],
        data=folder / "data",
        datasets=["synthetic"],
        profile="smoke",
        device="cpu",
        sets=[f"detector.{name}={value}" for name, value in FEW_STEPS.items()],
        store=folder / "store",
    )
    benchmark.run(folder / "out")
    ((path, _),) = benchmark.records
    for name, onnx in (("torch", False), ("onnx", True)):
        pack(path, folder / "store", folder / name, onnx=onnx)
    return folder


@pytest.mark.thorough
def test_it_finds_the_same_by_the_exported_network_alone(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not cards.read(packed / "torch").onnx
    assert cards.read(packed / "onnx").onnx == ("detector",)
    frame = next(iter(datasets.load("synthetic", packed / "data").items.values())).frame
    ours = Model.load(packed / "torch").predict(frame)
    exported = Model.load(packed / "onnx")
    monkeypatch.setattr(exported.detector, "_network", None)
    theirs = exported.predict(frame)
    assert len(ours.score) == len(theirs.score) > 0
    np.testing.assert_allclose(theirs.detections.xy, ours.detections.xy, atol=0.05)
    np.testing.assert_allclose(theirs.score, ours.score, atol=1e-4)


def test_a_changed_network_is_refused(packed: Path) -> None:
    network = packed / "onnx" / "detector" / NETWORK
    content = network.read_bytes()
    network.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(MitobenchError, match=r"network\.onnx"):
        Model.load(packed / "onnx")
    network.write_bytes(content)


def test_a_file_that_is_no_network_is_an_error(packed: Path) -> None:
    from mitobench.training.export import runner

    path = packed / "none.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(MitobenchError, match="ONNX Runtime cannot read it"):
        runner(path)
