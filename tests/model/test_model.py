"""A loaded model predicts what the harness did, and refuses altered files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from mitobench import datasets, discovery
from mitobench.errors import MitobenchError, PluginError
from mitobench.model import Model
from mitobench.model import card as cards
from mitobench.model.batch import predict_files
from mitobench.results import record as records
from model.toy_models import PackedRun, black, blobs_model, dots, frame, run_and_pack

pytestmark = pytest.mark.slow


def expected(path: Path) -> list[list[str]]:
    """A record's candidates as a model writes them: frame, coordinates, scores, and whether it is a mitosis."""
    record = records.read(path)
    assert record.chosen is not None
    threshold = record.chosen.point.threshold or 0
    stored = records.read_detections(path, record)
    places = np.column_stack([stored.xy, stored.boxes])
    scores = np.column_stack([stored.detector, stored.verifier, stored.score])
    return [
        [
            str(stored.frame[row]),
            *(f"{value:.2f}" for value in places[row]),
            *("" if np.isnan(value) else repr(value) for value in scores[row].tolist()),
            str(int(stored.score[row] >= threshold)),
        ]
        for row in np.flatnonzero(stored.is_candidate)
    ]


def predicted(packed_run: PackedRun, data: Path, out: Path) -> list[list[str]]:
    """The model's candidates, from the files that it writes for the record's test frames."""
    items = datasets.load("synthetic", data).items
    frames = dict.fromkeys(records.read_detections(packed_run.record, records.read(packed_run.record)).frame.tolist())
    paths = [items[id].files[0] for id in frames]
    mpp = items[next(iter(frames))].frame.mpp[0]
    assert all(row.done for row in predict_files(Model.load(packed_run.model), paths, out, mpp))
    rows = []
    for id in frames:
        with (out / f"{id}.csv").open(newline="") as file:
            rows += [[id, *row[1:11]] for row in list(csv.reader(file))[1:]]
    return rows


def by_score(rows: list[list[str]]) -> list[list[str]]:
    """The rows of each frame, the highest score first, as models write them."""
    order = {id: number for number, id in enumerate(dict.fromkeys(row[0] for row in rows))}
    return sorted(rows, key=lambda row: (order[row[0]], -float(row[9]), float(row[2]), float(row[1])))


@pytest.mark.usefixtures("toys")
def test_it_predicts_what_the_harness_did(packed_run: PackedRun, small_data: Path, tmp_path: Path) -> None:
    wanted = expected(packed_run.record)
    assert {row[-1] for row in wanted} == {"0", "1"}, "or nothing is compared"
    assert predicted(packed_run, small_data, tmp_path) == by_score(wanted)


@pytest.mark.usefixtures("toys")
def test_it_applies_the_candidate_threshold_as_the_harness_did(small_data: Path, tmp_path: Path) -> None:
    packed_run = run_and_pack(tmp_path, small_data, sets=["pipeline.candidate_threshold=0.5"])
    wanted = expected(packed_run.record)
    assert len(wanted) < len(records.read_detections(packed_run.record, records.read(packed_run.record)))
    assert predicted(packed_run, small_data, tmp_path / "out") == by_score(wanted)


@pytest.mark.usefixtures("toys")
def test_without_a_verifier_it_predicts_what_the_harness_did(small_data: Path, tmp_path: Path) -> None:
    packed_run = run_and_pack(tmp_path, small_data, {"verifier": ["none"], "fuser": ["detector-only"]})
    rows = predicted(packed_run, small_data, tmp_path / "out")
    assert rows == by_score(expected(packed_run.record))
    assert {row[8] for row in rows} == {""}


def test_a_score_at_the_threshold_is_a_mitosis() -> None:
    picture = frame(black(50, 50, np.array([[20, 30]])))
    assert dots().predict(picture, threshold=0.75).is_mitosis.tolist() == [True]
    assert dots().predict(picture, threshold=0.76).is_mitosis.tolist() == [False]
    assert dots(threshold=0.8).predict(picture).is_mitosis.tolist() == [False]


def test_it_says_which_networks_onnx_runtime_runs() -> None:
    model = dots()
    assert model.computed_on == "cpu"
    model.exported.add("verifier")
    assert model.computed_on == "cpu; ONNX Runtime runs the verifier's network"
    model.exported.add("detector")
    assert model.computed_on == "cpu; ONNX Runtime runs the detector's and the verifier's networks"


def test_a_frame_without_candidates_has_none() -> None:
    found = dots().predict(frame(black(50, 50)))
    assert (len(found), found.detections.boxes.shape) == (0, (0, 4))


def test_a_plugin_that_is_not_installed_is_named_with_its_package(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MITOBENCH_PACKAGES", "mitobench")
    discovery.found.cache_clear()
    with pytest.raises(MitobenchError) as raised:
        Model.load(folder)
    discovery.found.cache_clear()
    message = str(raised.value)
    assert "Not installed: the model's detector 'toy-dark' (packed with 1 (mitobench-toys 1.0)) and verifier" in message
    assert message.endswith("Install the packages mitobench-toys.")


def test_all_packages_of_a_model_are_installed_with_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = blobs_model(tmp_path / "model")
    card = cards.read(folder)
    packages = {"detector": ("frcnn", "mitobench-mmdet"), "verifier": ("resnet18", "mitobench-networks")}
    changes = {
        role: getattr(card.plugins, role).model_copy(update={"name": name, "package": package})
        for role, (name, package) in packages.items()
    }
    cards.write(folder, card.model_copy(update={"plugins": card.plugins.model_copy(update=changes)}))
    monkeypatch.setenv("MITOBENCH_PACKAGES", "mitobench")
    discovery.found.cache_clear()
    with pytest.raises(MitobenchError, match=r"`pip install \./plugins/mmdet \./plugins/networks` in a checkout"):
        Model.load(folder)
    discovery.found.cache_clear()


@pytest.mark.usefixtures("toys")
def test_options_of_another_version_are_an_error_with_both_versions(folder: Path) -> None:
    card = cards.read(folder)
    older = card.plugins.detector.model_copy(update={"options": {"least": 3}, "version": "0 (mitobench-toys 0.9)"})
    cards.write(folder, card.model_copy(update={"plugins": card.plugins.model_copy(update={"detector": older})}))
    with pytest.raises(PluginError, match=r"0 \(mitobench-toys 0\.9\), but version 1 \(mitobench-toys 1\.0\).*least"):
        Model.load(folder)


def test_files_of_another_version_that_cannot_be_read_are_an_error_with_both_versions(tmp_path: Path) -> None:
    folder = blobs_model(tmp_path / "model")
    card = cards.read(folder)
    older = card.plugins.fuser.model_copy(update={"name": "logit-linear", "version": "0 (mitobench 0.1)"})
    (folder / "fuser").mkdir()
    (folder / "fuser" / "weight.json").write_text("{}")
    cards.write(folder, card.model_copy(update={"plugins": card.plugins.model_copy(update={"fuser": older})}))
    with pytest.raises(PluginError, match=r"with version 0 \(mitobench 0\.1\), but version 1 is installed"):
        Model.load(folder)
