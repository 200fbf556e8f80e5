"""Images that are searched elsewhere, each as one task: the output folder is that of a search here."""

from __future__ import annotations

import csv
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mitobench.errors import MitobenchError
from mitobench.model.batch import Options, Progress, predict_files
from mitobench.model.output_folder import FILES
from model.toy_models import dots, stained


def backwards(function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Calls the function as a process of a cluster does, and ends the last task first."""
    for number in reversed(range(len(tasks))):
        yield number, pickle.loads(pickle.dumps(function(pickle.loads(pickle.dumps(tasks[number])))))


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Three images with 0, 1 and 2 dots, and one that is damaged."""
    made = [tmp_path / f"dots{number}.png" for number in range(3)]
    for number, path in enumerate(made):
        Image.fromarray(stained(60, 40, np.array([[10, 20], [40, 20]])[:number])).save(path)
    damaged = tmp_path / "damaged.png"
    damaged.write_text("no image")
    return [*made, damaged]


def options(**more: Any) -> Options:
    return Options(mpp=0.5, load=dots, **more)


def content(folder: Path) -> dict[str, Any]:
    """Returns the content of all files but what differs by time: the report's date, and the seconds."""
    with (folder / "summary.csv").open(newline="") as file:
        rows = [{**row, "seconds": ""} for row in csv.DictReader(file)]
    exact = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".csv", ".geojson", ".png")}
    return {**exact, "summary.csv": rows, "names": {path.name for path in folder.iterdir()}}


def test_the_folder_is_that_of_a_search_here(paths: list[Path], tmp_path: Path) -> None:
    here = list(predict_files(dots(), paths, tmp_path / "here", options=options()))
    there = list(predict_files(dots(), paths, tmp_path / "there", options=options(), spread=backwards))
    assert [row.image for row in there] == [row.image for row in reversed(here)], "as they end"
    assert content(tmp_path / "there") == content(tmp_path / "here"), "in the order of the images"
    assert not list((tmp_path / "there").glob(".mitobench*"))


def test_finished_images_are_not_searched_again(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mitobench.model.search import Searcher

    list(predict_files(dots(), paths[:3], tmp_path / "out", options=options(), spread=backwards))
    before = (tmp_path / "out" / FILES).read_text()
    monkeypatch.delattr(Searcher, "search")
    rows = list(predict_files(dots(), paths[:3], tmp_path / "out", options=options(), spread=backwards))
    assert [row.mitoses for row in rows] == [2, 1, 0]
    assert (tmp_path / "out" / FILES).read_text() == before


def test_progress_is_reported_after_every_image(paths: list[Path], tmp_path: Path) -> None:
    reported: list[Progress] = []
    list(predict_files(dots(), paths, tmp_path / "out", options=options(), progress=reported.append, spread=backwards))
    assert [progress.share for progress in reported] == [0.25, 0.5, 0.75, 1.0]
    assert reported[-1].seconds_left == 0


def test_a_file_that_is_not_ours_is_not_replaced(paths: list[Path], tmp_path: Path) -> None:
    def meddle(function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        for number, answer in backwards(function, tasks):
            (tmp_path / "out" / "dots2.csv").write_text("mine")
            yield number, answer

    with pytest.raises(MitobenchError, match=r"dots2\.csv: exists, and was not written by"):
        list(predict_files(dots(), paths[2:3], tmp_path / "out", options=options(), spread=meddle))
    assert (tmp_path / "out" / "dots2.csv").read_text() == "mine"
