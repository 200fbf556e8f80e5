"""`reproduce` runs a record's combination again from the record alone, and detects forged records."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import tiny_runs
from records import frame, ok, write_complete_record

from mitobench import discovery
from mitobench.api import Detections, Floats, Frame, Verifier
from mitobench.errors import MitobenchError, RecordError
from mitobench.pipeline.executors import ProgressListener
from mitobench.reproduce import check_path, reproduce
from mitobench.results import record
from mitobench.results.check import check
from mitobench.results.folder import check_all
from mitobench.results.reproducibility import Reproducibility

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toys")]


def again(path: Path, **options: Any) -> Reproducibility:
    return reproduce(
        path, show_progress=lambda _: contextlib.nullcontext(ProgressListener()), notify=lambda _: None, **options
    )


@pytest.fixture
def board(tmp_path: Path) -> Path:
    return tmp_path / "board"


def test_an_honest_record_is_equal(board: Path, small_data: Path, tmp_path: Path) -> None:
    (path,) = tiny_runs.run(board, small_data, seeds=[3])
    found = again(path, data=small_data, out=tmp_path / "again")
    assert (found.verdict, found.differing, found.changed) == ("equal", [], [])
    (kept,) = (tmp_path / "again" / "records").glob("*.json")
    assert record.read(kept).test == record.read(path).test


class OfPaths(Verifier):
    """A family whose arguments are paths."""

    @classmethod
    def is_path(cls, argument: str) -> bool:
        return True

    def score(self, frame: Frame, detections: Detections) -> Floats:
        return detections.score


@pytest.mark.parametrize("path", ["/etc/encoder", "../encoder", "below/../../encoder", "~/encoder", "C:/encoder"])
def test_a_path_of_a_record_that_leads_out_of_the_current_directory_is_not_opened(path: str) -> None:
    with pytest.raises(RecordError, match="which is not opened"):
        check_path(OfPaths, f"family:{path}")


@pytest.mark.parametrize("spec", ["family:encoder", "family:./below/encoder", "family"])
def test_a_path_below_the_current_directory_may_be_opened(spec: str) -> None:
    check_path(OfPaths, spec)


def test_arguments_that_are_not_paths_may_look_like_one() -> None:
    check_path(discovery.load("verifier", "toy-mean"), "family:/etc/encoder")


def test_a_forged_record_that_agrees_with_itself_and_the_annotation_is_different(board: Path, small_data: Path) -> None:
    (path,) = tiny_runs.run(board, small_data)
    tiny_runs.without_false_positives(path)
    assert check_all([path], small_data).problems == []
    found = again(path, data=small_data)
    assert found.verdict == "different"
    assert {"test", "detections"} <= set(found.differing)
    assert found.changed == []


@pytest.mark.parametrize("changed", [False, True], ids=["nothing changed", "another version"])
def test_a_forged_record_is_different_even_with_an_honest_record_of_another_seed(
    board: Path, small_data: Path, changed: bool
) -> None:
    forged, honest = tiny_runs.run(board, small_data, seeds=[0, 1])
    tiny_runs.without_false_positives(forged)
    if changed:
        for path in (forged, honest):
            tiny_runs.reseal(path, lambda content: content["versions"].update(numpy="0"))
    found = again(forged, data=small_data)
    assert (found.verdict, found.spread, bool(found.changed)) == ("different", None, changed)


def test_a_record_that_contradicts_itself_is_different_and_nothing_is_run(board: Path, small_data: Path) -> None:
    (path,) = tiny_runs.run(board, small_data)
    tiny_runs.reseal(path, lambda content: content["test"].update(f1=0.99))
    found = again(path, data=small_data)
    assert (found.verdict, found.again) == ("different", None)
    assert "test.f1 is 0.99; it must be" in found.reasons[0]


def test_an_edited_record_is_an_error_because_of_its_digest(board: Path, small_data: Path) -> None:
    (path,) = tiny_runs.run(board, small_data)
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(RecordError, match="its digest does not match"):
        again(path, data=small_data)


def test_options_matcher_candidate_threshold_and_seed_come_from_the_record(board: Path, small_data: Path) -> None:
    sets = ["detector.most=7", "pipeline.candidate_threshold=0.6", "pipeline.candidates=out-of-fold(2)"]
    (path,) = tiny_runs.run(board, small_data, sets=sets, matcher="greedy", seeds=[5])
    (board / "toys.toml").unlink()  # the profile is not needed
    found = again(path, data=small_data)
    assert (found.verdict, found.changed) == ("equal", [])
    assert found.again is not None
    assert found.again.plugins["detector"].options["most"] == 7
    assert found.again.pipeline == found.recorded.pipeline


@pytest.mark.parametrize("detector", ["toy-boxless", "toy-child", "union:toy-child+blobs"])
def test_records_with_an_unused_estimator_or_a_required_detector_can_be_reproduced(
    board: Path, small_data: Path, detector: str
) -> None:
    (path,) = tiny_runs.run(board, small_data, {"detector": [detector]}, sets=["detector.most=9"])
    found = again(path, data=small_data)
    assert (found.verdict, found.changed) == ("equal", [])


def test_a_failed_record_is_equal_if_the_run_fails_again(board: Path, small_data: Path) -> None:
    (path,) = tiny_runs.run(board, small_data, {"detector": ["toy-fails"]})
    assert again(path, data=small_data).verdict == "equal"


def test_the_records_of_an_experiment_can_be_reproduced(
    board: Path, small_data: Path, mitobench: Any, tmp_path: Path
) -> None:
    (tmp_path / "toys.toml").write_text('title = "toys"\n')
    (tmp_path / "mine.toml").write_text(
        'title = "Mine"\ndataset = "synthetic"\nprotocol = "by-slide"\nestimator = "toy-boxes"\n'
        'detector = "toy-dark"\n\n[[row]]\nname = "most 9"\nset = ["detector.most=9"]\n'
    )
    places = ["--data", small_data, "--store", tmp_path / "store", "--out", board, "--device", "cpu"]
    answer = mitobench("experiment", tmp_path / "mine.toml", "--profile", tmp_path / "toys.toml", *places)
    assert answer.code == 0, answer.out + answer.err
    (path,) = (board / "experiments" / "records").glob("*.json")
    assert check(path).problems == []
    assert again(path, data=small_data).verdict == "equal"


def test_a_users_split_is_taken_from_the_record(board: Path, small_data: Path, tmp_path: Path) -> None:
    parts = {"train": ["00", "01", "02", "03"], "val": ["04", "05", "06"], "test": ["09", "10", "11", "12", "13"]}
    groups = {part: {"groups": slides} for part, slides in parts.items()}
    content = {"name": "mine", "dataset": "synthetic", "protocol": "mine", "disjoint_by": "group", "parts": groups}
    split = tmp_path / "mine.json"
    split.write_text(json.dumps(content))
    (path,) = tiny_runs.run(board, small_data, protocol=str(split))
    split.unlink()
    assert again(path, data=small_data).verdict == "equal"


def test_pretrained_weights_are_found_by_name_and_digest(
    board: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MITOBENCH_WEIGHTS", str(tmp_path / "weights"))
    weights = tmp_path / "side.txt"
    weights.write_text("12")
    (path,) = tiny_runs.run(
        board, small_data, {"detector": ["toy-pretrained"]}, sets=[f"detector.toy-pretrained.pretrained={weights}"]
    )
    monkeypatch.chdir(tmp_path)
    assert again(path, data=small_data).verdict == "equal", "in the current directory"
    (tmp_path / "weights").mkdir()
    weights.rename(tmp_path / "weights" / "side.txt")
    assert again(path, data=small_data).verdict == "equal", "or in the folder of weights"
    (tmp_path / "weights" / "side.txt").write_text("13")
    with pytest.raises(MitobenchError, match=r"The record's fit started from side\.txt \(SHA-256"):
        again(path, data=small_data)


@pytest.mark.parametrize("value", ["/etc/passwd.npz", "hf-hub:org/name", "record:/tmp/x.json", "auto"])
def test_weights_that_a_record_names_without_a_digest_are_not_read(board: Path, small_data: Path, value: str) -> None:
    def name(content: dict[str, Any]) -> None:
        for entry in tiny_runs.of_detector(content):
            entry["options"]["pretrained"] = value

    (path,) = tiny_runs.run(board, small_data, {"detector": ["toy-pretrained"]})
    with pytest.raises(RecordError, match=f"names the weights '{value}' without their SHA-256"):
        again(tiny_runs.forge(path, name), data=small_data)


def test_pretrained_weights_that_a_plugin_provides_are_written_again(
    board: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights" / "side.txt"
    plugin = discovery.load("detector", "toy-pretrained")

    def provided(options: Any) -> Path:
        if options.pretrained == "auto":
            file.write_text("12")
        return file

    file.parent.mkdir()
    monkeypatch.setenv("MITOBENCH_WEIGHTS", str(file.parent))
    monkeypatch.setattr(plugin, "pretrained", provided)
    auto = ["detector.toy-pretrained.pretrained=auto"]
    (path,) = tiny_runs.run(board, small_data, {"detector": ["toy-pretrained"]}, sets=auto)
    file.unlink()
    assert again(path, data=small_data).verdict == "equal"


def test_a_record_of_other_test_frames_is_different_and_nothing_is_run(
    board: Path, small_data: Path, tmp_path: Path
) -> None:
    from mitobench.datasets import synthetic

    (path,) = tiny_runs.run(board, small_data)
    synthetic.write(tmp_path / "other" / "synthetic", seed=2, frames=2, size=128)
    found = again(path, data=tmp_path / "other")
    assert (found.verdict, found.again) == ("different", None)
    assert "by their digest" in found.reasons[0]


def test_an_error_about_missing_data_names_the_option(board: Path) -> None:
    path = write_complete_record(board, ok(), [frame("A00_00", 1, 0, 0)])
    with pytest.raises(MitobenchError, match=r"mitos2012: no folder of data sets is given\. Give it with"):
        again(path)


def test_an_option_that_no_longer_exists_is_reported(board: Path, small_data: Path) -> None:
    def more(content: dict[str, Any]) -> None:
        for entry in tiny_runs.of_detector(content):
            entry["options"]["gone"] = 1

    (path,) = tiny_runs.run(board, small_data)
    found = again(tiny_runs.forge(path, more), data=small_data)
    assert (found.verdict, found.changed) == ("equal", ["detector gone: 1 then, absent now"])


def test_a_plugin_that_is_not_installed_is_named(board: Path, small_data: Path) -> None:
    def rename(content: dict[str, Any]) -> None:
        content["combination"]["detector"] = "mine"
        for entry in tiny_runs.of_detector(content):
            entry["name"] = "mine"

    (path,) = tiny_runs.run(board, small_data)
    with pytest.raises(MitobenchError, match="Unknown detector 'mine'"):
        again(tiny_runs.forge(path, rename), data=small_data)


def test_an_option_file_is_taken_from_the_record(board: Path, small_data: Path, tmp_path: Path) -> None:
    file = tmp_path / "side.txt"
    file.write_text("24")
    (path,) = tiny_runs.run(board, small_data, {"detector": ["toy-configured"]}, sets=[f"detector.config={file}"])
    file.write_text("44")
    assert again(path, data=small_data).verdict == "equal"


def test_an_error_about_an_option_file_that_is_not_in_the_record_explains_where_to_put_it(
    board: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "side.bin"
    file.write_bytes(b"24\0\xff")
    (path,) = tiny_runs.run(board, small_data, {"detector": ["toy-configured"]}, sets=[f"detector.config={file}"])
    monkeypatch.chdir(tmp_path)
    assert again(path, data=small_data).verdict == "equal", "in the current directory"
    file.write_bytes(b"44\0\xff")
    with pytest.raises(MitobenchError, match=r"side\.bin \(SHA-256 [0-9a-f]{64}\) is missing\. Put it into the cur"):
        again(path, data=small_data)
