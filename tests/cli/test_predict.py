"""`mitobench predict`."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model.toy_models import PackedRun, only_toys, run_and_pack
from PIL import Image

from mitobench import registry
from mitobench.model import card, image_run

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
        Image.open(path).save(folder / path.name, dpi=(101_600, 101_600))  # 0.25 um/px
    return folder


def test_it_describes_the_model_and_shows_the_results(
    mitobench: Callable[..., Any], packed_run: PackedRun, images: Path, tmp_path: Path
) -> None:
    answer = mitobench("predict", images, "--model", packed_run.model, "--out", tmp_path / "out", "--device", "cpu")
    assert answer.code == 0, answer.err
    assert "Model model: toy-dark + toy-mean + toy-sum, trained on synthetic." in answer.out
    out = " ".join(answer.out.split())
    assert re.search(
        r"In a test on synthetic it reached F1 \S+?( \(95 % interval \S+ to \S+\))?, where 1 means that every "
        r"mitosis and nothing else is found\. Candidates with a score of \S+ or more are mitoses\.",
        out,
    )
    same = "the image is smaller than the 2 mm2 of a hot spot: the count is that of the whole image"
    assert out.count(same) == out.count(f"3 images: {same}") == 1, "what all images have in common is said once"
    assert (tmp_path / "out" / "summary.csv").read_text().count(same) == 3
    assert "the slide" not in out
    assert f"Overlays {tmp_path / 'out' / 'NAME.png'}: copies of the images with green rings around mitoses" in out
    assert "ound before" not in out
    assert "not for diagnosis" in answer.out
    assert "per mm2" in answer.out
    assert (tmp_path / "out" / "summary.html").is_file()
    for path in images.iterdir():
        assert path.name in answer.out
        assert (tmp_path / "out" / f"{path.stem}.geojson").is_file()


def test_a_repeated_command_says_that_nothing_was_searched_again(
    mitobench: Callable[..., Any], packed_run: PackedRun, images: Path, tmp_path: Path
) -> None:
    arguments = ("predict", images, "--model", packed_run.model, "--out", tmp_path / "out")
    assert mitobench(*arguments).code == 0
    (images / "new.bmp").write_bytes(next(images.iterdir()).read_bytes())
    seconds = (tmp_path / "out" / "summary.csv").read_text().splitlines()
    answer = mitobench(*arguments)
    assert answer.out.count("found before") == 3
    assert "Found before: same image, model and options, so not searched again." in " ".join(answer.out.split())
    assert set(seconds) < set((tmp_path / "out" / "summary.csv").read_text().splitlines())


def test_a_bad_file_is_reported_and_the_exit_code_is_1(
    mitobench: Callable[..., Any], packed_run: PackedRun, images: Path, tmp_path: Path
) -> None:
    (images / "bad.png").write_text("no image")
    answer = mitobench("predict", images, "--model", packed_run.model, "--out", tmp_path / "out")
    assert answer.code == 1
    assert f"skipped: {images / 'bad.png'}: cannot be read as an image" in answer.out
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
        features = [
            feature["properties"]["classification"]["name"]
            for path in (tmp_path / threshold).glob("*.geojson")
            for feature in json.loads(path.read_text())["features"]
        ]
        called.append(features.count("Mitosis"))
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
    write = image_run.Run._write

    def interrupted(run: image_run.Run, image: Any, report: Any) -> list[str]:
        if report.findings.name == sorted(path.stem for path in images.iterdir())[1]:
            raise KeyboardInterrupt
        return write(run, image, report)

    monkeypatch.setattr(image_run.Run, "_write", interrupted)
    answer = mitobench("predict", images, "--model", packed_run.model, "--out", tmp_path / "out")
    assert answer.code == 130
    assert "Finished parts are kept" in answer.err
    assert len(list((tmp_path / "out").glob("*.geojson"))) == 1
    assert (tmp_path / "out" / "summary.csv").read_text().count("\n") == 2


def test_help_shows_an_example(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("predict", "--help")
    assert "mitobench predict slide.svs --out found" in answer.out
    assert "not for diagnosis" in answer.out


# ----------------------------------------------------------------------- arguments, checked before a model is loaded


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes loading a model an error of the test."""

    def load(*arguments: object) -> None:
        raise AssertionError("a model is loaded")

    monkeypatch.setattr(card, "find", load)


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.tif"], "gone.tif: does not exist"),
        (["slides/*.svs"], "slides/*.svs: does not exist"),
        (["empty"], "Give a folder with images, or --recursive for those in folders within it."),
        (["empty", "--recursive"], "Give a folder with images."),
        (["hpf.png", "--mpp", "0,25"], "0,25: is not a number. Write 0.25."),
        (["hpf.png", "--mpp", "about 0,25"], "about 0,25: is not a number."),
        ([], "Give at least one image"),
        (["hpf.png"], "no um/px. Give them with --mpp, for example --mpp 0.25"),
        (["hpf.png", "--mpp", "0.25", "--threshold", "1.5"], "--threshold 1.5: must be from 0 to 1"),
        (["hpf.png", "--mpp", "0.25", "--threshold", "-0.1"], "--threshold -0.1: must be from 0 to 1"),
        (["hpf.png", "--mpp", "0.25", "--threshold", "nan"], "--threshold nan: must be from 0 to 1"),
        (["hpf.png", "--mpp", "nan"], "--mpp nan: must be from 0.1 to 1.0"),
        (["hpf.png", "--mpp", "0.25", "--device", "gpu"], "--device gpu: must be auto, cpu or cuda"),
        (["hpf.png", "--mpp", "0.25", "--roi", "gone.geojson"], "gone.geojson: cannot be read"),
        (["hpf.png", "b.png", "--mpp", "0.25", "--roi", "hpf.png"], "--roi is for one image, and 2 are given"),
        (["hpf.png", "--mpp", "0.25", "--jobs", "0"], "jobs"),
        (["hpf.png", "--mpp", "0.25", "--page", "0"], "page"),
        (["hpf.png", "--mpp", "0.25", "--hotspot", "star"], "Unknown shape 'star'"),
        (["hpf.png", "--mpp", "0.25", "--area-mm2", "0"], "hot spot of 0 mm2"),
        (["hpf.png", "--mpp", "0.25", "--example"], "Give images, or --example"),
        (["hpf.png", "--mpp", "0.25", "--roi", "cut.geojson"], "cut.geojson"),
        (["hpf.png", "--mpp", "0.25", "--roi", "outside.geojson"], "outside.geojson: lies outside hpf.png"),
        (["hpf.png", "--mpp", "0.25", "--tissue", "wide.png"], "wide.png: has 60 x 20 px, which is not the form"),
        (["pages.tif", "--mpp", "0.25", "--page", "3"], "has pages 1 to 2, and no page 3"),
        (["."], "b.png, hpf.png, wide.png: these 3 files have no um/px. Give them with --mpp, for example --mpp 0.25"),
        (["b.png", "hpf.png"], "b.png, hpf.png: these 2 files have no um/px. Give them with --mpp"),
        (["hpf.png", "--mpp", "0.25", "--executor", "ray:x"], "--executor ray"),
    ],
)
def test_wrong_arguments_are_errors_before_a_model_is_loaded(
    mitobench: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name in ("hpf.png", "b.png"):
        Image.new("RGB", (50, 50), (200, 100, 150)).save(tmp_path / name)
    Image.new("L", (60, 20), 255).save(tmp_path / "wide.png")
    pages = [Image.new("RGB", (50, 50), (200, 100, shade)) for shade in (140, 150)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    (tmp_path / "cut.geojson").write_text('{"type": "FeatureColl')
    outside = [[[500, 500], [600, 500], [600, 600], [500, 500]]]
    (tmp_path / "outside.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": outside}))
    answer = mitobench("predict", *arguments, "--out", "out/deeper")
    assert answer.code == 2
    assert not (tmp_path / "out").exists()
    assert message in " ".join(answer.err.replace("│", " ").split())


@pytest.mark.usefixtures("no_model")
def test_a_folder_that_cannot_be_written_is_an_error_before_a_model_is_loaded(
    mitobench: Callable[..., Any], images: Path
) -> None:
    answer = mitobench("predict", images, "--out", "/proc/mine")
    assert answer.code == 2
    assert "--out /proc/mine: cannot be written" in answer.err


def test_in_a_folder_images_without_um_px_are_skipped_and_listed_once(
    mitobench: Callable[..., Any], packed_run: PackedRun, images: Path, tmp_path: Path
) -> None:
    for name in ("y.png", "z.png"):
        Image.new("RGB", (50, 50), (200, 100, 150)).save(images / name)
    answer = mitobench("predict", images, "--model", packed_run.model, "--out", tmp_path / "out")
    assert answer.code == 1
    skipped = f"{images / 'y.png'}, {images / 'z.png'}"
    assert f"2 of 5 images have no um/px and will be skipped: {skipped}. Give them with --mpp" in answer.out
    assert answer.out.count("no um/px") == 1
    assert (tmp_path / "out" / "summary.csv").read_text().count("the file has no um/px. Give them with --mpp") == 2


def test_if_nothing_can_be_searched_the_exit_code_is_2(
    mitobench: Callable[..., Any], packed_run: PackedRun, tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.tif").write_text("no image")
    answer = mitobench("predict", tmp_path / "images", "--model", packed_run.model, "--out", tmp_path / "out")
    assert answer.code == 2


def test_a_grey_image_is_not_judged(
    mitobench: Callable[..., Any], packed_run: PackedRun, images: Path, tmp_path: Path
) -> None:
    path = next(images.iterdir())
    grey = images / "grey.png"
    Image.open(path).convert("L").save(grey, dpi=(101_600, 101_600))
    answer = mitobench("predict", images, "--model", packed_run.model, "--out", tmp_path / "out")
    assert answer.code == 1
    assert f"{grey}: not judged: the image has no colour" in answer.out
    assert not (tmp_path / "out" / "grey.csv").exists()


def test_what_is_there_is_not_overwritten_without_being_asked(
    mitobench: Callable[..., Any], packed_run: PackedRun, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.csv").write_text("mine")
    arguments = ("predict", images, "--model", packed_run.model, "--out", out)
    answer = mitobench(*arguments)
    assert answer.code == 2
    assert "--overwrite" in answer.err
    assert (out / "summary.csv").read_text() == "mine"
    assert mitobench(*arguments, "--overwrite").code == 0


def test_a_line_a_minute_says_how_far_it_is_where_there_is_no_terminal(
    mitobench: Callable[..., Any],
    packed_run: PackedRun,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mitobench.cli.predict_output.SECONDS_A_LINE", 0.0)
    answer = mitobench("predict", images, "--model", packed_run.model, "--out", tmp_path / "out")
    assert "image 2 of 3, part 1 of 1, 67 %, about" in answer.out
    assert "s left" in answer.out
    monkeypatch.setattr("mitobench.cli.predict_output.SECONDS_A_LINE", 60.0)
    answer = mitobench("predict", images, "--model", packed_run.model, "--out", tmp_path / "more")
    assert "s left" not in answer.out


def test_the_example_ships_with_the_package(
    mitobench: Callable[..., Any], packed_run: PackedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mitobench.model import example

    monkeypatch.setenv("MITOBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(example, "SIZE", 256)
    answer = mitobench("predict", "--example", "--model", packed_run.model, "--out", tmp_path / "out")
    assert answer.code == 0, answer.err
    assert f"The example is {tmp_path / 'cache' / example.NAME}" in answer.out
    assert (tmp_path / "out" / f"{Path(example.NAME).stem}.html").is_file()
