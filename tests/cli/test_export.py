"""`mitobench export` writes networks that agree with torch, and says why another is not exported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mitobench import discovery, model
from mitobench.api import Options, PluginError
from mitobench.cli import export as command
from mitobench.training import Exportable
from mitobench.training import export as exporter

pytestmark = pytest.mark.slow
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images.permute(0, 3, 1, 2).float() / 255).sigmoid()


def small(**changes: Any) -> Exportable:
    example = torch.randint(0, 256, (2, 8, 12, 3), dtype=torch.uint8)
    return Exportable(
        **{"network": Small(), "example": example, "sizes": {0: 1, 1: 4, 2: 4}, "takes": "t", "returns": "r", **changes}
    )


def plugin(name: str, answer: Any) -> Any:
    """A stand-in for a fitted plugin, whose `exportable` returns or raises `answer`."""

    def exportable() -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return SimpleNamespace(name=name, version="1", options=Options(), exportable=exportable)


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes a folder that loads as a model with these plugins."""

    def make(detector: Any, verifier: Any = None) -> Path:
        monkeypatch.setattr(model.Model, "load", lambda folder: SimpleNamespace(detector=detector, verifier=verifier))
        (tmp_path / "model").mkdir()
        return tmp_path / "model"

    return make


def test_networks_are_written_and_described(
    mitobench: Callable[..., Any], packed: Callable[..., Path], tmp_path: Path
) -> None:
    network = small()
    source = packed(plugin("one", network), plugin("two", PluginError("it has a reason")))
    answer = mitobench("export", source, "--onnx", tmp_path / "out")
    assert answer.code == 0, answer.err
    assert "verifier two: not exported: it has a reason" in answer.out
    assert "detector one: " in answer.out
    described = json.loads((tmp_path / "out" / "export.json").read_text())
    assert described["detector"]["input"] == "t"
    assert described["verifier"]["reason"] == "it has a reason"
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "detector.onnx"))
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 4, 3), dtype=np.uint8)
    (theirs,) = session.run(None, {"input": images})
    np.testing.assert_allclose(theirs, network.network(torch.from_numpy(images)).detach(), atol=1e-4)


def test_if_nothing_can_be_exported_the_reasons_are_shown(
    mitobench: Callable[..., Any], packed: Callable[..., Path], tmp_path: Path
) -> None:
    answer = mitobench("export", packed(plugin("one", PluginError("no network"))), "--onnx", tmp_path / "out")
    assert answer.code == 2
    assert "detector one: not exported: no network" in answer.out
    assert "no network can be exported" in answer.err
    assert not (tmp_path / "out").exists()


def test_a_network_that_onnx_computes_differently_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "TOLERANCE", -1.0)
    with pytest.raises(PluginError, match="differs from torch's by up to"):
        exporter.export(small(), tmp_path / "it.onnx")
    assert not list(tmp_path.iterdir())


def test_a_network_that_cannot_be_exported_gives_the_cause(tmp_path: Path) -> None:
    class Branching(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.float() if images.sum() > 0 else images.float() * 2

    with pytest.raises(PluginError, match="torch cannot export it: ") as error:
        exporter.export(small(network=Branching()), tmp_path / "it.onnx")
    assert "\x1b" not in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_without_the_packages_the_error_says_what_to_install(
    mitobench: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    answer = mitobench("export", tmp_path / "record.json", "--onnx", tmp_path / "out")
    assert answer.code == 2
    assert "pip install 'mitobench[onnx]'" in answer.err


def test_a_record_is_packed_first(
    mitobench: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packs: list[tuple[Any, ...]] = []
    monkeypatch.setattr(model, "pack", lambda *arguments: packs.append(arguments))
    monkeypatch.setattr(
        model.Model, "load", lambda folder: SimpleNamespace(detector=plugin("one", PluginError("no")), verifier=None)
    )
    record = tmp_path / "record.json"
    record.touch()
    assert mitobench("export", record, "--onnx", tmp_path / "out", "--store", tmp_path / "store").code == 2
    assert packs[0][:2] == (record, tmp_path / "store")


def test_a_plugin_that_does_not_say_how_is_named(toys: object) -> None:
    from mitobench import discovery

    cls = discovery.load("detector", "toy-dark")
    found = command._exported(cls(cls.Options()), Path("unused.onnx"))
    assert "toy-dark does not say how its network is exported" in found["reason"]


@pytest.mark.parametrize(
    ("role", "spec", "reason"),
    [
        ("detector", "blobs", "learns nothing"),
        ("detector", "union:blobs+external:find {image}", "Export a run of each member"),
        ("detector", "mmdet:retinanet_r18_fpn", "non-maximum suppression"),
        ("detector", "torchvision:fcos_resnet50_fpn", "non-maximum suppression"),
        ("verifier", "probe:resnet18", "logistic regression"),
    ],
)
def test_a_plugin_that_is_not_exported_says_why(role: str, spec: str, reason: str) -> None:
    for package in ("mitobench_mmdet", "mitobench_networks"):
        pytest.importorskip(package)
    cls: Any = discovery.load(role, spec)
    with pytest.raises(PluginError, match=reason):
        cls(cls.Options()).exportable()
