"""`record:` finds what the fit of a record stored, by its key, and reads tensors only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mitobench.errors import MitobenchError, PluginError
from mitobench.training import copy_own_weights, copy_trained, find_weights, save_weights
from mitobench.weights_search import MAX_LEARNED_FROM, MAX_LEARNED_FROM_TEXT, UNKNOWN_FRAMES, WHOLE, searching

DETECTOR, VERIFIER, ESTIMATOR = ("1" * 64, "2" * 64, "3" * 64)
RECORD = {
    "combination": {"detector": "heatmap:tf/../x", "verifier": "resnet18"},
    "stages": {"detector": DETECTOR, "verifier": VERIFIER, "boxes": "b" * 64},
    "specs": {"b" * 64: {"upstream": {"estimator": ESTIMATOR}}},
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with the fits of RECORD; the weights folder is beside it."""
    monkeypatch.setenv("MITOBENCH_WEIGHTS", str(tmp_path / "weights"))
    store = tmp_path / "store"
    for role, key, value in (("detector", DETECTOR, 1.0), ("verifier", VERIFIER, 2.0), ("estimator", ESTIMATOR, 3.0)):
        folder = store / "stages" / f"fit-{role}" / key
        folder.mkdir(parents=True)
        save_file({"weight": torch.full((2,), value)}, folder / "weights.safetensors")
        (folder / "manifest.json").write_text("{}")
    return store


def _record(tmp_path: Path, content: Any = RECORD) -> str:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(content))
    return f"record:{path}"


@pytest.mark.parametrize(("role", "value"), [("detector", 1), ("verifier", 2), ("estimator", 3)])
def test_a_plugin_starts_from_the_fit_of_its_own_role(tmp_path: Path, store: Path, role: str, value: float) -> None:
    with searching(role, store):
        path = find_weights(_record(tmp_path), "any")
    assert path is not None
    assert path.parent == tmp_path / "weights"
    assert load_file(path)["weight"].tolist() == [value, value]


def test_the_name_of_the_file_follows_from_its_content(tmp_path: Path, store: Path) -> None:
    fitted = store / "stages" / "fit-detector" / DETECTOR / "weights.safetensors"
    names = []
    for value in (1.0, 1.0, 5.0):
        save_file({"weight": torch.full((2,), value)}, fitted)
        with searching("detector", store):
            path = find_weights(_record(tmp_path), "any")
        assert path is not None
        names.append(path.name)
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("heatmap-tf-..-x-")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"stages": {}}, "the record has no fitted detector"),
        ({"stages": {"detector": "../../../etc"}}, "the record has no fitted detector"),
        ({"stages": {"detector": 7}}, "the record has no fitted detector"),
        (["stages"], "the record has no fitted detector"),
        (
            {"stages": {"detector": "f" * 64}},
            r"does not have the fit of its detector \(ffffffffffff.*mitobench reproduce",
        ),
    ],
)
def test_a_record_without_such_a_fit_is_an_error(tmp_path: Path, store: Path, content: Any, message: str) -> None:
    with searching("detector", store), pytest.raises(MitobenchError, match=message):
        find_weights(_record(tmp_path, content), "any")


def test_a_record_that_cannot_be_read_is_an_error(tmp_path: Path, store: Path) -> None:
    with searching("detector", store):
        with pytest.raises(MitobenchError, match=r"pretrained=record: has no record file after `record:`"):
            find_weights("record:", "any")
        with pytest.raises(MitobenchError, match=r"absent\.json: cannot be read"):
            find_weights(f"record:{tmp_path / 'absent.json'}", "any")
        (tmp_path / "run.json").write_text("{")
        with pytest.raises(MitobenchError, match=r"run\.json"):
            find_weights(f"record:{tmp_path / 'run.json'}", "any")


@pytest.mark.parametrize("files", [[], ["a.safetensors", "b.safetensors"], ["weights.pth"]])
def test_a_fit_must_have_saved_one_file_of_tensors(tmp_path: Path, store: Path, files: list[str]) -> None:
    folder = store / "stages" / "fit-detector" / DETECTOR
    (folder / "weights.safetensors").unlink()
    for name in files:
        (folder / name).write_bytes(b"anything")
    with searching("detector", store), pytest.raises(MitobenchError, match=r"must have saved one \.safetensors file"):
        find_weights(_record(tmp_path), "any")


def test_outside_a_run_the_role_is_not_known(tmp_path: Path, store: Path) -> None:
    with pytest.raises(MitobenchError, match="weights of a record work in `mitobench run` alone"):
        find_weights(_record(tmp_path), "any")


def test_a_network_takes_over_its_own_weights_as_a_whole(tmp_path: Path) -> None:
    one, other = nn.Linear(2, 1), nn.Linear(2, 1)
    save_weights(one, tmp_path)
    assert copy_own_weights(tmp_path / "weights.safetensors", other)
    assert torch.equal(one.weight, other.weight)
    assert not copy_own_weights(tmp_path / "weights.safetensors", nn.Linear(3, 1))


def _learned(tmp_path: Path, store: Path, **changes: Any) -> list[str]:
    """What the search says of a record of two data sets, with these changes."""
    data = {"mitos2012": {"split": {"protocol": "official"}}, "x|y": {"split": {"protocol": "by slide\n"}}}
    plugins = {"detector": {"options": {"iterations": 5}}}
    combination = {**RECORD["combination"], "train_on": list(data)}
    content = {**RECORD, "data": data, "plugins": plugins, "combination": combination, **changes}
    with searching("detector", store) as search:
        find_weights(_record(tmp_path, content), "any")
    return search.learned_from


def test_a_record_says_what_its_fit_learned_from(tmp_path: Path, store: Path) -> None:
    own = ["mitos2012 (official)", "x-y (by slide-)"]
    assert _learned(tmp_path, store) == own
    before = {"detector": {"options": {"iterations": 5}, "learned_from": ["midogpp (published)"]}}
    assert _learned(tmp_path, store, plugins=before) == ["midogpp (published)", *own], "also the fit before it"


def test_a_fit_without_steps_learned_only_what_the_one_before_it_did(tmp_path: Path, store: Path) -> None:
    taken_over = {"options": {"iterations": 0}, "learned_from": ["midogpp (published)"]}
    assert _learned(tmp_path, store, plugins={"detector": taken_over}) == ["midogpp (published)"]
    of_file = {"detector": {"options": {"iterations": 0}}}
    whole = {"detector": {WHOLE: True}}
    assert _learned(tmp_path, store, plugins=of_file, training_info=whole) == [UNKNOWN_FRAMES]


@pytest.mark.parametrize("odd", [{"plugins": []}, {"data": None}, {"combination": {"train_on": [5], "detector": "x"}}])
def test_of_a_record_that_does_not_say_the_frames_are_unknown(tmp_path: Path, store: Path, odd: Any) -> None:
    assert _learned(tmp_path, store, **odd) == [UNKNOWN_FRAMES]


def test_a_hostile_record_makes_no_long_text(tmp_path: Path, store: Path) -> None:
    many = {
        "detector": {"options": {}, "learned_from": [f"{number} <b>\x1b[31m{'x' * 10_000}" for number in range(500)]}
    }
    found = _learned(tmp_path, store, plugins=many)
    assert len(found) == MAX_LEARNED_FROM
    assert all(len(text) <= MAX_LEARNED_FROM_TEXT and "<" not in text and "\x1b" not in text for text in found)


class TestTakenOver:
    def test_all_tensors_are_copied(self, tmp_path: Path) -> None:
        one, other = nn.Linear(2, 1), nn.Linear(2, 1)
        save_weights(one, tmp_path)
        copy_trained(tmp_path / "weights.safetensors", other)
        assert torch.equal(one.weight, other.weight)

    def test_without_weights_there_is_nothing_to_take_over(self) -> None:
        with pytest.raises(PluginError, match=r"iterations = 0 .*: give its weights with pretrained=record:"):
            copy_trained(None, nn.Linear(2, 1))

    def test_weights_of_a_part_of_the_network_are_refused(self, tmp_path: Path) -> None:
        save_file({"weight": torch.zeros(1, 2)}, tmp_path / "encoder.safetensors")
        with pytest.raises(PluginError, match=r"encoder\.safetensors: is not a trained network.*missing bias"):
            copy_trained(tmp_path / "encoder.safetensors", nn.Linear(2, 1))
