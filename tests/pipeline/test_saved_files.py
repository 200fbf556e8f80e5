"""What a plugin may save: no file under a name of the harness, and in a packed model JSON and tensors only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mitobench.api import PluginError
from mitobench.pipeline.saved_files import HARNESS, check_names, packed

PACKAGE = """
from mitobench.api import Detections, Detector, Fuser

class Facts(Detector):
    name, version, uses_boxes = "facts", "1", False
    def fit(self, train, val, context): pass
    def predict(self, frame): return Detections.from_points([[20.0, 20.0]], [0.5])
    def save(self, folder): (folder / "facts.json").write_text("1")

class Plain(Facts):
    name = "plain"
    def save(self, folder): (folder / "plain.json").write_text("1")

class Log(Fuser):
    name, version = "log", "1"
    def fuse(self, detector, verifier): return detector
    def save(self, folder): (folder / "fit.log").write_text("1")
"""

PLUGIN: Any = type("Plugin", (), {"name": "toy"})()


@pytest.mark.parametrize("name", [*HARNESS, "Manifest.JSON"])
def test_a_name_of_the_harness_is_refused_at_the_top_only(tmp_path: Path, name: str) -> None:
    (tmp_path / "member").mkdir()
    (tmp_path / "member" / name).touch()
    (tmp_path / "weights.json").touch()
    check_names(PLUGIN, tmp_path)
    (tmp_path / name).touch()
    with pytest.raises(PluginError, match=f"^toy saved {name}, a name that mitobench uses"):
        check_names(PLUGIN, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("detector", "fuser", "name"), [("facts", "log", "facts.json"), ("plain", "log", "fit.log")])
def test_a_run_does_not_replace_a_plugins_file(
    install: Any, small_data: Path, tmp_path: Path, detector: str, fuser: str, name: str
) -> None:
    from mitobench.benchmark import Benchmark, Grid

    install(
        "saving",
        {
            "mitobench.detectors": {"facts": "saving:Facts", "plain": "saving:Plain"},
            "mitobench.verifiers": {"none": "mitobench.methods.none:NoVerifier"},
            "mitobench.fusers": {"log": "saving:Log"},
            "mitobench.estimators": {"fixed": "mitobench.methods.fixed:Fixed"},
            "mitobench.datasets": {"synthetic": "mitobench.datasets.synthetic:Synthetic"},
        },
        {"saving.py": PACKAGE},
    )
    roles = {"estimator": ["fixed"], "detector": [detector], "verifier": ["none"], "fuser": [fuser]}
    (tmp_path / "mine.toml").write_text('title = "mine"\n')
    where = {"data": small_data, "store": tmp_path / "store", "profile": str(tmp_path / "mine.toml")}
    benchmark = Benchmark.prepare([Grid(roles)], datasets=["synthetic"], device="cpu", **where)
    benchmark.run(tmp_path / "out")
    ((_, record),) = benchmark.records
    assert record.status == "failed"
    assert f"saved {name}, a name that mitobench uses" in record.reason


def test_files_of_the_harness_are_not_packed_and_all_others_are(tmp_path: Path) -> None:
    (tmp_path / "member").mkdir()
    for name in ("a.json", "member/b.safetensors", "member/manifest.json", *HARNESS):
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in packed("detector", tmp_path)]
    assert found == ["a.json", "member/b.safetensors", "member/manifest.json"]


@pytest.mark.parametrize("name", ["weights.pth", "table.npz", "README"])
def test_other_files_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "member").mkdir()
    (tmp_path / "member" / name).touch()
    with pytest.raises(
        PluginError, match=f"{name}: the verifier saved a .* may only hold .safetensors and .json files"
    ):
        list(packed("verifier", tmp_path))


@pytest.mark.parametrize("target", ["file.json", "folder", "nothing"])
def test_links_are_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "elsewhere" / "folder").mkdir(parents=True)
    (tmp_path / "elsewhere" / "file.json").touch()
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "weights.json").symlink_to(tmp_path / "elsewhere" / target)
    with pytest.raises(PluginError, match="saved a link"):
        list(packed("detector", tmp_path / "saved"))
