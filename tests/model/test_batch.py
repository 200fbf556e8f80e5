"""Many images: a failing one does not stop the others, and no partial file is written."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mitobench.api import Detections, Detector, Frame
from mitobench.errors import MitobenchError
from mitobench.model import Model, batch
from mitobench.model.batch import ENDINGS, predict_files
from mitobench.model.inputs import state
from model.toy_models import dots, stained

EVERYWHERE = "no tissue was found, so the whole image was searched"


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Three images with 0, 1 and 2 dots."""
    packed_run = []
    for number in range(3):
        path = tmp_path / f"dots{number}.png"
        Image.fromarray(stained(60, 40, np.array([[10, 20], [40, 20]])[:number])).save(path)
        packed_run.append(path)
    return packed_run


def summary(out: Path) -> list[dict[str, str]]:
    with (out / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_image_has_its_files_and_a_line(paths: list[Path], tmp_path: Path) -> None:
    rows = list(predict_files(dots(), paths, tmp_path / "out", 0.5))
    assert [row.mitoses for row in rows] == [0, 1, 2]
    assert (rows[2].area_mm2, rows[2].tissue_mm2) == pytest.approx((60 * 40 / 4e6, 60 * 40 / 4e6))
    assert rows[2].mitoses_per_mm2 == pytest.approx(2 / (60 * 40 / 4e6))
    files = {f"dots{number}{ending}" for number in range(3) for ending in ENDINGS}
    files |= {"summary.csv", "summary.html", "mitobench_files.jsonl"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == files
    assert [row["mitoses"] for row in summary(tmp_path / "out")] == ["0", "1", "2"]


def test_bad_files_are_reported_and_the_others_are_predicted(paths: list[Path], tmp_path: Path) -> None:
    paths[0].write_bytes(paths[0].read_bytes()[:80])
    paths[1].write_text("no image")
    rows = list(predict_files(dots(), [*paths, tmp_path / "gone.tif"], tmp_path / "out", 0.5))
    assert [row.done for row in rows] == [False, False, True, False]
    assert all(str(path) in row.note for path, row in zip(paths, rows[:2], strict=False))
    assert [row["note"] == row_.note for row, row_ in zip(summary(tmp_path / "out"), rows, strict=True)] == [True] * 4
    assert not (tmp_path / "out" / "dots0.csv").exists()


def test_a_plugin_that_fails_on_one_image_predicts_on_the_others(paths: list[Path], tmp_path: Path) -> None:
    class Picky(Detector):
        name, version = "picky", "1"

        def predict(self, frame: Frame) -> Detections:
            if frame.id == "dots1.png":
                raise RuntimeError("not this one")
            return Detections.none()

    model = dots()
    rows = list(predict_files(Model(model.card, Picky(), None, model.fuser), paths, tmp_path / "out", 0.5))
    assert [row.done for row in rows] == [True, False, True]
    assert "RuntimeError: not this one" in rows[1].note


def test_images_with_the_same_stem_do_not_overwrite_each_other(paths: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "other" / "dots1.png"
    other.parent.mkdir()
    other.write_bytes(paths[2].read_bytes())
    rows = list(predict_files(dots(), [paths[1], other], tmp_path / "out", 0.5))
    assert all(EVERYWHERE in row.note for row in rows)
    assert ["its files are named" in row.note for row in rows] == [False, True]
    assert "its files are named dots1-2" in rows[1].note
    lines = [(tmp_path / "out" / f"{name}.csv").read_text().count("\n") - 1 for name in ("dots1", "dots1-2")]
    assert lines == [1, 2]


def test_finished_images_are_kept_after_an_interrupt(paths: list[Path], tmp_path: Path) -> None:
    running = predict_files(dots(), paths, tmp_path / "out", 0.5)
    next(running)
    running.close()
    assert [row["image"] for row in summary(tmp_path / "out")] == [str(paths[0])]
    assert (tmp_path / "out" / "dots0.geojson").is_file()


def index(out: Path) -> str:
    return " ".join((out / "summary.html").read_text().split())


def test_an_interrupted_search_leaves_an_index_of_what_is_finished(paths: list[Path], tmp_path: Path) -> None:
    running = predict_files(dots(), paths, tmp_path / "out", 0.5)
    next(running)
    next(running)
    running.close()
    page = index(tmp_path / "out")
    assert "2 of 3 images are finished." in page
    assert [path.name in page for path in paths] == [True, True, False]
    list(predict_files(dots(), paths, tmp_path / "out", 0.5))
    page = index(tmp_path / "out")
    assert "are finished" not in page
    assert all(path.name in page for path in paths)


def test_the_index_is_there_while_the_search_runs(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not written for every one of thousands of images."""
    running = predict_files(dots(), paths, tmp_path / "out", 0.5)
    next(running)
    assert "1 of 3 images are finished." in index(tmp_path / "out")
    next(running)
    assert "1 of 3 images are finished." in index(tmp_path / "out")
    monkeypatch.setattr(batch.time, "monotonic", lambda: float("inf"))
    next(running)
    assert "are finished." not in index(tmp_path / "out")


def test_finished_results_stay_until_there_are_new_ones(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(predict_files(dots(), paths, tmp_path / "out", 0.5))
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(batch.Run, "process", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(predict_files(dots(), paths, tmp_path / "out", 0.5, threshold=0.9))
    assert {name: (tmp_path / "out" / name).read_bytes() for name in before} == before


def test_the_index_shows_the_names_of_the_files(tmp_path: Path) -> None:
    """Also of images that an earlier command searched, and that failed."""
    for name in ("crop.bmp", "crop.png"):
        Image.fromarray(stained(60, 40)).save(tmp_path / name)
    (tmp_path / "crop.tif").write_text("no image")
    paths = sorted(tmp_path.glob("crop.*"))
    for _ in range(2):
        list(predict_files(dots(), paths, tmp_path / "out", 0.5))
        assert re.findall(r"crop\.(?:bmp|png|tif)(?=<)", index(tmp_path / "out")) == [path.name for path in paths]


def test_the_index_names_the_folders_of_files_of_one_name(tmp_path: Path) -> None:
    paths = [tmp_path / folder / name for folder, name in (("one", "a.png"), ("two", "a.png"), ("two", "b.png"))]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(stained(60, 40)).save(path)
    list(predict_files(dots(), paths, tmp_path / "out", 0.5))
    assert re.findall(r"[\w/]+\.png(?=<)", index(tmp_path / "out")) == ["one/a.png", "two/a.png", "b.png"]


def test_an_interrupt_is_not_hidden_by_an_index_that_cannot_be_written(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = predict_files(dots(), paths, tmp_path / "out", 0.5)
    next(running)
    next(running)

    def full(*arguments: object) -> None:
        raise MitobenchError("the disk is full")

    monkeypatch.setattr(batch, "write_index", full)
    with pytest.raises(KeyboardInterrupt):
        running.throw(KeyboardInterrupt())


def test_running_again_overwrites(paths: list[Path], tmp_path: Path) -> None:
    for threshold in (0.5, 0.9):
        list(predict_files(dots(), paths, tmp_path / "out", 0.5, threshold))
    assert [row["mitoses"] for row in summary(tmp_path / "out")] == ["0", "0", "0"]


def test_a_folder_that_cannot_be_written_is_an_error_before_any_work(paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(MitobenchError, match="cannot be written"):
        next(predict_files(dots(), paths, tmp_path / "out", 0.5))


def test_the_output_folder_may_have_the_name_of_the_image(paths: list[Path], tmp_path: Path) -> None:
    """It is not taken for the folder in which a slide keeps its parts."""
    (row,) = predict_files(dots(), [paths[2]], paths[2].with_suffix(""), 0.5)
    assert row.mitoses == 2, row.note


def test_a_part_of_a_slide_of_several_files_may_not_change_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("a.mrxs", "a/Data0001.dat"):
        (tmp_path / name).write_bytes(b"1")
    before = state(tmp_path / "a.mrxs")
    (tmp_path / "a/Data0001.dat").write_bytes(b"12")
    assert state(tmp_path / "a.mrxs") != before


def test_no_image_is_overwritten(paths: list[Path], tmp_path: Path) -> None:
    before = paths[0].read_bytes()
    with pytest.raises(MitobenchError, match="could be overwritten"):
        next(predict_files(dots(), paths, tmp_path, 0.5))
    assert paths[0].read_bytes() == before
