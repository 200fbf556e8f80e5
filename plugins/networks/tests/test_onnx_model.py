"""A model that is packed with `onnx` finds what the networks of torch find, by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from packaging.version import Version

from mitobench import datasets, load
from mitobench.api import Plugin
from mitobench.benchmark import Benchmark, Grid
from mitobench.datasets import synthetic
from mitobench.errors import MitobenchError
from mitobench.model import Model, exported, pack
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
    assert exported.computed_on == "cpu; ONNX Runtime runs the detector's network"
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


class TestExportedHere:
    """A model without such networks gets them on this machine, once, when there is much to search."""

    @pytest.fixture
    def image(self, packed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
        """A field that counts as large."""
        monkeypatch.setattr(exported, "MIN_PX", 128 * 128 - 1)
        monkeypatch.setattr(exported, "cache_folder", lambda: tmp_path / "cache")
        return next(path for path in (packed / "data").rglob("*") if path.suffix in (".bmp", ".png"))

    @pytest.fixture
    def exports(self, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
        """The files that were exported; the export is replaced, which takes long, by one that writes a few bytes."""
        from mitobench.training import export

        found: list[Path] = []

        def quickly(_: object, path: Path) -> float:
            found.append(path)
            path.write_bytes(b"a network")
            return 0.0

        monkeypatch.setattr(export, "export", quickly)
        return found

    @pytest.fixture
    def model(self, packed: Path) -> Model:
        return Model.load(packed / "torch")

    @pytest.mark.thorough
    def test_onnx_runtime_alone_then_finds_what_torch_finds(self, packed: Path, model: Model, image: Path) -> None:
        frame = next(iter(datasets.load("synthetic", packed / "data").items.values())).frame
        ours = model.predict(frame)
        assert len(ours.score) > 0
        networks = exported.prepared(model, [image], print)
        for faster in (Model.load(packed / "torch", networks=networks), load(packed / "torch", "cpu").model):
            faster.detector._network = None  # type: ignore[attr-defined]
            np.testing.assert_allclose(faster.predict(frame).score, ours.score, atol=1e-4)

    def test_once(self, model: Model, image: Path, exports: list[Path]) -> None:
        said: list[str] = []
        folder = exported.prepared(model, [image], said.append)
        assert ["prepared for this CPU, once" in note for note in said] == [True]
        assert set(exported.networks_in(folder)) == {"detector"}
        assert exported.prepared(model, [image], pytest.fail) == folder
        assert len(exports) == 1

    def test_again_after_the_file_was_altered(self, model: Model, image: Path, exports: list[Path]) -> None:
        folder = exported.prepared(model, [image], print)
        assert folder is not None
        (folder / "detector.onnx").write_bytes(b"another")
        assert exported.prepared(model, [image], print) == folder
        assert (folder / "detector.onnx").read_bytes() == b"a network"
        assert len(exports) == 2

    @pytest.mark.usefixtures("exports")
    def test_for_small_images_that_are_large_together(
        self, model: Model, image: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exported, "MIN_PX", 2 * 128 * 128)
        assert exported.prepared(model, [image] * 2, pytest.fail) is None
        assert exported.prepared(model, [image] * 3, print) is not None

    @pytest.mark.usefixtures("exports")
    def test_not_for_small_images(self, model: Model, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exported, "MIN_PX", 128 * 128)
        assert exported.prepared(model, [image, image.with_name("missing.png")], pytest.fail) is None

    def test_not_for_a_plugin_that_cannot_use_it(
        self, model: Model, image: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(type(model.detector), "use_exported", Plugin.use_exported)
        assert exported.prepared(model, [image], pytest.fail) is None

    def test_not_for_a_model_that_brings_its_own(self, packed: Path, image: Path) -> None:
        assert exported.prepared(Model.load(packed / "onnx"), [image], pytest.fail) is None

    @pytest.mark.usefixtures("exports")
    def test_a_cache_that_cannot_be_written_leaves_it_to_torch(self, model: Model, image: Path, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("a file")
        said: list[str] = []
        assert exported.prepared(model, [image], said.append) is None
        assert "torch runs the networks, which takes longer" in said[-1]

    def test_a_network_that_cannot_be_exported_is_torchs_and_not_tried_again(
        self, model: Model, image: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from mitobench.training import export

        def fails(*_: object) -> float:
            raise MitobenchError("differs by up to .3")

        monkeypatch.setattr(export, "export", fails)
        said: list[str] = []
        assert exported.prepared(model, [image], said.append) is None
        assert "torch runs the detector's network, which takes longer: differs by up to .3. To try again" in said[-1]
        assert exported.prepared(model, [image], pytest.fail) is None
