"""`mitobench predict`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model.toy_models import PackedRun, only_toys, run_and_pack

from mitobench import registry
from mitobench.model import batch

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toys")]


@pytest.fixture(scope="module")
def packed_run(
    small_data: Path, toy_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> PackedRun:
    """A record of toy plugins with its model."""
    with only_toys(toy_environment):
        return run_and_pack(tmp_path_factory.mktemp("packed_run"), small_data)


@pytest.fixture
def images(small_data: Path, tmp_path: Path) -> Path:
    """A folder with three images."""
    folder = tmp_path / "images"
    folder.mkdir()
    for path in sorted((small_data / "synthetic").rglob("*.bmp"))[:3]:
        shutil.copy(path, folder)
    return folder


def test_it_describes_the_model_and_shows_the_results(
    mitobench: Callable[..., Any], packed_run: PackedRun, images: Path, tmp_path: Path
) -> None:
    answer = mitobench("predict", images, "--model", packed_run.model, "--out", tmp_path / "out", "--device", "cpu")
    assert answer.code == 0, answer.err
    assert "Model model: toy-dark + toy-mean + toy-sum, trained on synthetic." in answer.out
    assert "on the test part of synthetic (by-slide, seed 0) at a threshold of" in answer.out
    assert "not for diagnosis" in answer.out
    assert "No --mpp given: assuming the model's 0.25 um/px for all images." in answer.out
    assert "per mm2" in answer.out
    for path in images.iterdir():
        assert path.name in answer.out
        assert (tmp_path / "out" / f"{path.stem}.geojson").is_file()


def test_a_bad_file_is_reported_and_the_exit_code_is_1(
    mitobench: Callable[..., Any], packed_run: PackedRun, images: Path, tmp_path: Path
) -> None:
    (images / "bad.png").write_text("no image")
    answer = mitobench("predict", images, tmp_path / "gone.tif", "--model", packed_run.model, "--out", tmp_path / "out")
    assert answer.code == 1
    assert f"skipped: {images / 'bad.png'}: cannot be read as an image" in answer.out
    assert f"skipped: {tmp_path / 'gone.tif'}: does not exist" in answer.out
    assert len(list((tmp_path / "out").glob("*.geojson"))) == 3


def test_a_higher_threshold_finds_fewer_mitoses(
    mitobench: Callable[..., Any], packed_run: PackedRun, images: Path, tmp_path: Path
) -> None:
    called = []
    for threshold in ("0", "0.99"):
        arguments = (
            "--model",
            packed_run.model,
            "--out",
            tmp_path / threshold,
            "--threshold",
            threshold,
            "--mpp",
            0.25,
        )
        answer = mitobench("predict", images, *arguments)
        assert f"Using --threshold {threshold} instead" in answer.out
        assert "No --mpp" not in answer.out
        files = (tmp_path / threshold).glob("*.geojson")
        called.append(sum(len(json.loads(path.read_text())["features"]) for path in files))
    assert called[0] > called[1] == 0


@pytest.mark.parametrize("mpp", [0.05, 1.5, "nan"])
def test_an_implausible_resolution_is_an_error_before_any_work(
    mitobench: Callable[..., Any], packed_run: PackedRun, images: Path, tmp_path: Path, mpp: float
) -> None:
    answer = mitobench("predict", images, "--model", packed_run.model, "--out", tmp_path / "out", "--mpp", mpp)
    assert answer.code == 2
    assert f"--mpp {mpp}: must be from 0.1 to 1.0" in answer.err
    assert not (tmp_path / "out").exists()


def test_without_a_model_the_error_says_how_to_make_one(
    mitobench: Callable[..., Any], images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    answer = mitobench("predict", images, "--out", tmp_path / "out")
    assert answer.code == 2
    assert answer.err.startswith("error: ")
    assert "mitobench pack" in answer.err


def test_the_bundled_model_is_the_default(
    mitobench: Callable[..., Any], packed_run: PackedRun, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(packed_run.model, tmp_path / "models" / "small")
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    answer = mitobench("predict", images, "--out", tmp_path / "out")
    assert answer.code == 0, answer.err
    assert "Model small: " in answer.out


def test_a_folder_that_cannot_be_written_is_an_error_on_one_line(
    mitobench: Callable[..., Any], packed_run: PackedRun, images: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file")
    answer = mitobench("predict", images, "--model", packed_run.model, "--out", tmp_path / "out")
    assert answer.code == 2
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1


def test_an_interrupt_keeps_finished_images(
    mitobench: Callable[..., Any], packed_run: PackedRun, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = batch._write

    def interrupted(target: Path, *given: Any) -> None:
        if target.name == sorted(path.stem for path in images.iterdir())[1]:
            raise KeyboardInterrupt
        write(target, *given)

    monkeypatch.setattr(batch, "_write", interrupted)
    answer = mitobench("predict", images, "--model", packed_run.model, "--out", tmp_path / "out")
    assert answer.code == 130
    assert "Finished images are kept" in answer.err
    assert len(list((tmp_path / "out").glob("*.geojson"))) == 1
    assert (tmp_path / "out" / "summary.csv").read_text().count("\n") == 2


def test_help_shows_an_example(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("predict", "--help")
    assert "mitobench predict hpf.tif --mpp 0.25" in answer.out
    assert "not for diagnosis" in answer.out
