"""Packing: a model folder holds what plugins saved and nothing else, and is written atomically."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_runs
from safetensors.numpy import load_file

from mitobench import discovery
from mitobench.errors import MitobenchError, RecordError
from mitobench.evaluate import FramePrediction, choose_threshold
from mitobench.model import Model, pack
from mitobench.model import card as cards
from mitobench.pipeline.store import Store
from mitobench.results import record as records
from mitobench.results.local_datasets import LocalDatasets
from mitobench.results.schema import SCORES
from model.toy_models import PackedRun, frame, run_and_pack

pytestmark = pytest.mark.slow

PLAIN = """
from mitobench.api import Detections, Detector
class Plain(Detector):
    name, version, uses_boxes = "plain", "1", False
    def predict(self, frame):
        return Detections.from_points([[20.0, 20.0]], [0.5])
class Pickling(Plain):
    name = "pickling"
    def fit(self, train, val, context): pass
    def save(self, folder): (folder / "weights.pth").write_bytes(b"pickle")
"""


@pytest.fixture
def plain(toys: dict[str, str], install: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with a detector that learns nothing and one that saves a pickle, in addition to the toys."""
    points = {name: f"plain_plugins:{name.capitalize()}" for name in ("plain", "pickling")}
    install("plain-plugins", {"mitobench.detectors": points}, {"plain_plugins.py": PLAIN})
    monkeypatch.setenv("MITOBENCH_PACKAGES", f"plain-plugins,{toys['MITOBENCH_PACKAGES']}")
    discovery.found.cache_clear()


def test_the_card_says_where_the_model_comes_from(packed_run: PackedRun) -> None:
    card, record = cards.read(packed_run.model), records.read(packed_run.record)
    assert record.chosen is not None
    assert record.test is not None
    assert (card.record, card.record_digest) == (packed_run.record.name, record.digest)
    assert card.combination == record.combination
    assert card.train_on == {"synthetic": {"train": 12, "val": 6}}
    assert (card.candidate_threshold, card.threshold, card.mpp) == (
        record.chosen.candidate_threshold,
        record.chosen.point.threshold,
        0.25,
    )
    assert (card.measured.f1, card.measured.f1_interval) == (record.test.f1, record.test.f1_interval)
    assert card.plugins.detector.package == "mitobench-toys"
    assert card.plugins.detector.options == record.plugins["detector"].options


@pytest.mark.usefixtures("toys")
def test_data_sets_used_for_training_only_have_no_validation_frames(small_data: Path, tmp_path: Path) -> None:
    trained = run_and_pack(tmp_path, small_data, train_on=["synthetic", "synthetic-centroids"])
    train_on = cards.read(trained.model).train_on
    assert {name: list(parts) for name, parts in train_on.items()} == {
        "synthetic": ["train", "val"],
        "synthetic-centroids": ["train"],
    }


@pytest.mark.usefixtures("toys")
def test_a_folder_holds_what_plugins_saved_and_the_card(packed_run: PackedRun, tmp_path: Path) -> None:
    again = tmp_path / "deeper" / "again"
    pack(packed_run.record, packed_run.store, again)
    files = sorted(path.relative_to(again).as_posix() for path in again.rglob("*") if path.is_file())
    assert files == ["detector/side.json", "fuser/w.json", "model.json", "verifier/middle.json"]
    assert (again / "model.json").read_bytes() == (packed_run.model / "model.json").read_bytes()
    assert [path.name for path in again.parent.iterdir()] == ["again"]


@pytest.mark.usefixtures("plain")
def test_plugins_that_learn_nothing_need_no_folder(small_data: Path, tmp_path: Path) -> None:
    roles = {"detector": ["plain"], "verifier": ["none"], "fuser": ["detector-only"]}
    (record,) = tiny_runs.run(tmp_path, small_data, roles)
    tiny_runs.reseal(record, lambda content: content["chosen"]["point"].update(threshold=0.5, reason=None))
    pack(record, tmp_path / "store", tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["model.json"]
    found = Model.load(tmp_path / "model").predict(frame(np.zeros((40, 40, 3), dtype=np.uint8)))
    assert (found.score.tolist(), found.verifier, found.is_mitosis.tolist()) == ([0.5], None, [True])


@pytest.mark.usefixtures("plain")
def test_a_pickle_is_refused(small_data: Path, tmp_path: Path) -> None:
    roles = {"detector": ["pickling"], "verifier": ["none"], "fuser": ["detector-only"]}
    (record,) = tiny_runs.run(tmp_path, small_data, roles)
    tiny_runs.reseal(record, lambda content: content["chosen"]["point"].update(threshold=0.5, reason=None))
    with pytest.raises(MitobenchError, match=r"weights\.pth: the detector saved a \.pth"):
        pack(record, tmp_path / "store", tmp_path / "model")
    assert not list(tmp_path.glob("*model*"))
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.mark.usefixtures("toys")
def test_half_halves_the_weights_and_changes_the_scores_a_little(small_data: Path, tmp_path: Path) -> None:
    packed_run = run_and_pack(tmp_path, small_data, {"verifier": ["toy-net"]}, sets=["verifier.iterations=5"])
    card = pack(packed_run.record, packed_run.store, tmp_path / "half", half=True)
    tensors = load_file(tmp_path / "half" / "verifier" / "weights.safetensors")
    assert {(tensor.ndim, tensor.dtype.name) for tensor in tensors.values()} == {(2, "float16"), (1, "float32")}
    assert card.half
    whole, half = (Model.load(tmp_path / name) for name in ("model", "half"))
    picture = frame(np.random.default_rng(0).integers(0, 120, (90, 90, 3), dtype=np.uint8), 0.25)
    verifier_scores = whole.predict(picture).verifier, half.predict(picture).verifier
    assert verifier_scores[0] is not None
    assert len(verifier_scores[0]) > 0
    np.testing.assert_allclose(*verifier_scores, atol=1e-3)


@pytest.mark.parametrize(("role", "kind"), [("detector", "fit-detector"), ("fusion", "fusion")])
def test_a_stage_that_the_store_no_longer_has_is_named(
    packed_run: PackedRun, tmp_path: Path, role: str, kind: str
) -> None:
    key = records.read(packed_run.record).stages[role]
    store = Path(shutil.copytree(packed_run.store, tmp_path / "store"))
    Store(store).discard(kind, key)
    with pytest.raises(MitobenchError, match=rf"stage {kind} {key}.*mitobench reproduce {packed_run.record}"):
        pack(packed_run.record, store, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_failed_run_cannot_be_packed(packed_run: PackedRun, tmp_path: Path) -> None:
    path = Path(shutil.copy(packed_run.record, tmp_path))
    gone = dict.fromkeys([*SCORES, "frames", "boxes", "validation_detections"])
    tiny_runs.reseal(path, lambda content: content.update(gone, status="failed", reason="it fell over"))
    with pytest.raises(RecordError, match="it fell over"):
        pack(path, packed_run.store, tmp_path / "model")


def test_a_run_without_a_threshold_cannot_be_packed(packed_run: PackedRun, tmp_path: Path) -> None:
    path = Path(shutil.copy(packed_run.record, tmp_path))
    tiny_runs.reseal(path, lambda content: content["chosen"]["point"].update(threshold=None, reason="no detection"))
    with pytest.raises(RecordError, match=r"no threshold \(no detection\)"):
        pack(path, packed_run.store, tmp_path / "model")


def test_an_existing_folder_is_not_overwritten(packed_run: PackedRun) -> None:
    with pytest.raises(MitobenchError, match="exists already"):
        pack(packed_run.record, packed_run.store, packed_run.model)


@pytest.mark.skipif(os.name != "posix", reason="a file in the place of a folder")
def test_a_folder_that_cannot_be_written_is_an_error(packed_run: PackedRun, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MitobenchError, match="cannot be written"):
        pack(packed_run.record, packed_run.store, tmp_path / "file" / "model")


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("content", [b"24", b"24\0\xff" + bytes(200_000)], ids=["text", "binary"])
@pytest.mark.parametrize("after", ["changed", "gone"])
def test_a_packed_model_does_not_need_the_files_that_its_options_refer_to(
    small_data: Path, tmp_path: Path, content: bytes, after: str
) -> None:
    file = tmp_path / "side.cfg"
    file.write_bytes(content)
    given = {"sets": [f"detector.config={file}"]}
    (record,) = tiny_runs.run(tmp_path, small_data, {"detector": ["toy-configured"]}, **given)
    file.write_bytes(b"44") if after == "changed" else file.unlink()
    pack(record, tmp_path / "store", tmp_path / "model")
    assert (tmp_path / "model" / "files" / "detector" / "config" / "side.cfg").read_bytes() == content
    shutil.move(tmp_path / "model", tmp_path / "moved")
    image = np.full((60, 60, 3), 255, dtype=np.uint8)
    image[20:30, 20:30] = 0
    found = Model.load(tmp_path / "moved").predict(frame(image, 0.25), threshold=0).detections.boxes
    assert set((found[:, 2] - found[:, 0]).tolist()) == {24.0}


@pytest.mark.usefixtures("toys")
def test_another_option_gets_a_threshold_of_its_own(packed_run: PackedRun, small_data: Path, tmp_path: Path) -> None:
    record = records.read(packed_run.record)
    most = record.plugins["detector"].options["most"]
    pack(packed_run.record, packed_run.store, tmp_path / "few", data=small_data, settings=["detector.most=3"])
    card = cards.read(tmp_path / "few")
    assert card.plugins.detector.options == {**record.plugins["detector"].options, "most": 3}
    assert card.repacked is not None
    assert card.repacked.options == {"detector.most": (most, 3)}
    assert record.chosen is not None
    assert card.measured_threshold == record.chosen.point.threshold
    assert card.repacked.f1_before == record.chosen.point.f1
    model = Model.load(tmp_path / "few")
    workspace = LocalDatasets(small_data).workspace(record, "val")
    frames = []
    for key in workspace.part(workspace.datasets, "val"):
        item = workspace.item(key)
        found = model.predict(item.frame)
        frames.append(replace(FramePrediction.of(item.frame, item.mitoses, found.detections), score=found.score))
    point = choose_threshold(frames, str(record.pipeline["matcher"]), float(record.pipeline["radius_um"]))
    assert (card.threshold, card.repacked.f1) == (point.threshold, point.f1)


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("detector.shrink=2", "toy-dark has no option 'shrink' that is read only at prediction time"),
        ("detector.most=0", "most"),
        ("fuser.step=1", r"is not detector\.OPTION=VALUE"),
    ],
)
def test_an_option_that_a_model_cannot_change_is_refused(
    packed_run: PackedRun, small_data: Path, tmp_path: Path, setting: str, message: str
) -> None:
    with pytest.raises(RecordError, match=message):
        pack(packed_run.record, packed_run.store, tmp_path / "model", data=small_data, settings=[setting])
    with pytest.raises(MitobenchError, match="--set needs --data"):
        pack(packed_run.record, packed_run.store, tmp_path / "model", settings=["detector.most=3"])
    assert not (tmp_path / "model").exists()
