"""A search that is killed at any moment continues, and ends with the same files."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from preloaded import Command, Preloaded

from mitobench.api import Detections
from mitobench.errors import MitobenchError
from mitobench.model import Model, grid, inputs
from mitobench.model.batch import Options, Progress, predict_files
from mitobench.model.inputs import Searched
from mitobench.model.journal import Journal
from mitobench.model.model import CellCandidates
from mitobench.model.output_folder import FILES, LOCK, WORK
from mitobench.model.outputs import ImageSummary
from model.test_independence import MPP, field
from model.toy_models import blobs_model, dots, stained


@pytest.fixture(autouse=True)
def small_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cores of 100 um, so that a small slide has several."""
    monkeypatch.setattr(grid, "CORE_UM", CORE_UM)


# ------------------------------------------------------------------------------------------------------ the journal


def candidates(number: int, count: int) -> CellCandidates:
    rng = np.random.default_rng(number)
    detections = Detections.from_points(
        rng.random((count, 2)), rng.random(count), kind=["a"] * count, extra={"votes": rng.integers(0, 9, count)}
    )
    return CellCandidates(number, detections, rng.random(count))


def assert_equal(one: CellCandidates, other: CellCandidates) -> None:
    np.testing.assert_array_equal(one.detections.xy, other.detections.xy)
    np.testing.assert_array_equal(one.detections.boxes, other.detections.boxes)
    np.testing.assert_array_equal(one.detections.score, other.detections.score)
    np.testing.assert_array_equal(one.verifier, other.verifier)
    assert len(one) == 0 or one.detections.form == other.detections.form


def test_a_journal_holds_every_cell_exactly(tmp_path: Path) -> None:
    written = [candidates(number, number % 4) for number in range(9)]
    journal = Journal(tmp_path / "a", {"model": "m"})
    for found in written:
        journal.add(found)
    journal.close()
    again = Journal(tmp_path / "a", {"model": "m"})
    assert list(again.done) == list(range(9))
    for found in written:
        assert_equal(again.done[found.number], found)


def test_a_journal_cut_or_damaged_anywhere_keeps_whole_entries_and_goes_on(tmp_path: Path) -> None:
    journal, ends = Journal(tmp_path / "a", {"model": "m"}), []
    for number in range(4):
        journal.add(candidates(number, 2))
        ends.append((tmp_path / "a").stat().st_size)
    journal.close()
    content = (tmp_path / "a").read_bytes()
    for cut in [*ends, *random.Random(0).sample(range(len(content)), 30)]:
        (tmp_path / "b").write_bytes(content[:cut])
        journal = Journal(tmp_path / "b", {"model": "m"})
        assert len(journal.done) == sum(end <= cut for end in ends)
        journal.add(candidates(7, 1))
        journal.close()
        assert 7 in Journal(tmp_path / "b", {"model": "m"}).done
    damaged = bytearray(content)
    damaged[ends[1] + 40] ^= 255
    (tmp_path / "b").write_bytes(damaged)
    assert list(Journal(tmp_path / "b", {"model": "m"}).done) == [0, 1]


def test_a_journal_of_another_model_starts_anew(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a", {"model": "m"})
    journal.add(candidates(0, 1))
    journal.close()
    assert not Journal(tmp_path / "a", {"model": "n"}).done
    assert not Journal(tmp_path / "a", {"model": "m"}).done


# ----------------------------------------------------------------------------------------------- a real process


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of 16 cells, with um/px in the file."""
    path = tmp_path_factory.mktemp("slide") / "slide.tif"
    piece = field(0, 150)
    dots_per_cm = 10_000 / MPP
    tags = {282: dots_per_cm, 283: dots_per_cm, 296: 3}
    Image.fromarray(np.tile(piece, (2, 2, 1))).save(path, compression="tiff_deflate", tiffinfo=tags)
    return path


def outputs(folder: Path) -> dict[str, bytes]:
    """The files of a folder; of the summary, all columns but the seconds."""
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != FILES}
    lines = found["summary.csv"].decode().splitlines()
    column = lines[0].split(",").index("seconds")
    found["summary.csv"] = "\n".join(",".join(np.delete(line.split(","), column)) for line in lines).encode()
    return found


CORE_UM = 100.0
Start = Callable[..., Command]


@pytest.fixture(scope="module")
def start(preloaded: Preloaded) -> Start:
    """Starts a search in a process of its own, with cells as small as in this one."""

    def start(slide: Path, model: Path, out: Path, *more: object) -> Command:
        command = ["predict", slide, "--out", out, "--model", model, *more]
        small = f"from mitobench.model import grid; grid.CORE_UM = {CORE_UM}"
        return preloaded.start(command, {**os.environ, "OMP_NUM_THREADS": "1"}, before=small)

    return start


def end(running: Command) -> None:
    """Waits for the end of a search that finds no fault."""
    _, errors = running.communicate(timeout=300)
    assert running.returncode == 0, errors


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blobs_model(tmp_path_factory.mktemp("model") / "blobs", 0.3)


@pytest.fixture(scope="module")
def undisturbed(
    slide: Path, model: Path, start: Start, tmp_path_factory: pytest.TempPathFactory
) -> tuple[float, dict[str, bytes]]:
    """The duration (s) and the files of a search that runs to its end."""
    folder, began = tmp_path_factory.mktemp("undisturbed"), time.monotonic()
    end(start(slide, model, folder))
    return time.monotonic() - began, outputs(folder)


@pytest.mark.slow
@pytest.mark.thorough
def test_a_process_killed_at_random_moments_ends_with_the_same_files(
    slide: Path, model: Path, start: Start, undisturbed: tuple[float, dict[str, bytes]], tmp_path: Path
) -> None:
    seconds, wanted = undisturbed
    assert wanted["slide.csv"].count(b"\n") > 100
    rng, cells, journal = random.Random(1), [], tmp_path / "out" / WORK / "slide.cells"
    for moment in (0.75, *(rng.uniform(0.3, 1.0) for _ in range(4))):
        running = start(slide, model, tmp_path / "out")
        try:
            running.wait(seconds * moment)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        if journal.is_file():
            cells.append(journal.stat().st_size)
    end(start(slide, model, tmp_path / "out"))
    assert cells == sorted(cells), "no finished cell is lost"
    assert outputs(tmp_path / "out") == wanted
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*wanted, FILES}, "work and lock are removed"


def test_killed_after_every_second_cell_it_continues_there(slide: Path, model: Path, tmp_path: Path) -> None:
    loaded = Model.load(model)
    all_cells = len(list(grid.cells((800, 800), (MPP, MPP))))
    assert all_cells == 16
    list(predict_files(loaded, [slide], tmp_path / "whole"))
    wanted = outputs(tmp_path / "whole")

    class Killed(BaseException):
        pass

    done: list[int] = []

    def kill(state: Progress) -> None:
        done.append(state.cells)
        if state.searched == 2:
            raise Killed

    for _ in range(20):
        try:
            list(predict_files(loaded, [slide], tmp_path / "out", progress=kill))
            break
        except Killed:
            continue
    assert outputs(tmp_path / "out") == wanted
    assert sorted(set(done)) == list(range(all_cells + 1))
    assert done == sorted(done), "no finished cell is searched again"


def test_two_commands_never_write_to_one_folder(slide: Path, model: Path, tmp_path: Path) -> None:
    loaded = Model.load(model)

    def second(state: Progress) -> None:
        with pytest.raises(MitobenchError, match="another `mitobench predict` is writing"):
            next(predict_files(loaded, [slide], tmp_path / "out"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(predict_files(loaded, [slide], tmp_path / "out", progress=second))
    assert not (tmp_path / "out" / LOCK).exists()


@pytest.mark.thorough
@pytest.mark.slow
def test_several_processes_give_the_same_files(
    slide: Path, model: Path, start: Start, undisturbed: tuple[float, dict[str, bytes]], tmp_path: Path
) -> None:
    end(start(slide, model, tmp_path, "--jobs", 2))
    assert outputs(tmp_path) == undisturbed[1]


def test_a_finished_image_is_not_searched_again_unless_something_changed(
    slide: Path, model: Path, tmp_path: Path
) -> None:
    loaded = Model.load(model)
    cells: list[int] = []

    def count(*others: Path, **changes: object) -> int:
        cells.clear()
        options = Options(**changes)  # type: ignore[arg-type]
        images = [slide, *others]
        list(
            predict_files(
                loaded, images, tmp_path / "out", options=options, progress=lambda s: cells.append(s.searched)
            )
        )
        return max(cells, default=0)

    first = count()
    assert first > 5
    before = outputs(tmp_path / "out")
    assert count() == 0
    assert outputs(tmp_path / "out") == before
    assert count(tmp_path / "missing.png") == 0, "with another image beside it"
    assert count(threshold=0.4) == first
    assert count(threshold=0.4, overwrite=True) == first
    (tmp_path / "out" / "slide.png").unlink()
    assert count(threshold=0.4) == first


# -------------------------------------------------------------------------- images of one name in several commands


def image_at(path: Path, *white: int) -> Path:
    """A small image with a mitosis for the model `dots` at each x."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(stained(60, 40, np.array([[x, 20] for x in white]))).save(path)
    return path


def found_of(out: Path, *images: Path, **changes: object) -> list[ImageSummary]:
    return list(predict_files(dots(), list(images), out, mpp=0.5, options=Options(**changes)))  # type: ignore[arg-type]


@pytest.mark.parametrize("overwrite", [False, True])
def test_another_image_of_the_same_name_in_a_later_command_gets_a_name_of_its_own(
    tmp_path: Path, overwrite: bool
) -> None:
    first, second = image_at(tmp_path / "x" / "a.png", 10), image_at(tmp_path / "y" / "a.png", 10, 30)
    out = tmp_path / "out"
    found_of(out, first)
    before = (out / "a.csv").read_bytes()
    (row,) = found_of(out, second, overwrite=overwrite)
    assert (out / "a.csv").read_bytes() == before
    assert len((out / "a-2.csv").read_text().splitlines()) == 3
    assert "its files are named a-2" in row.note


def test_images_keep_their_names_whatever_is_given_beside_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = image_at(tmp_path / "x" / "a.png", 10), image_at(tmp_path / "y" / "a.png", 10, 30)
    out = tmp_path / "out"
    found_of(out, first, second)
    new = image_at(tmp_path / "new" / "a.png", 10, 30, 50)
    assert [row.found_before for row in found_of(out, second)] == [True]
    assert [row.found_before for row in found_of(out, new, second, first)] == [False, True, True]
    assert len((out / "a-3.csv").read_text().splitlines()) == 4
    monkeypatch.chdir(tmp_path / "x")
    assert [row.found_before for row in found_of(out, Path("a.png"))] == [True]


def test_an_image_that_was_moved_or_changed_keeps_its_name(tmp_path: Path) -> None:
    image, out = image_at(tmp_path / "x" / "a.png", 10), tmp_path / "out"
    found_of(out, image)
    moved = image.rename(tmp_path / "a.png")
    assert [row.found_before for row in found_of(out, moved)] == [True]
    found_of(out, image_at(image, 10, 30))
    found_of(out, image_at(image, 10, 30, 50))
    assert len((out / "a-2.csv").read_text().splitlines()) == 4
    assert not (out / "a-3.csv").exists()


def test_another_image_of_the_same_name_size_and_time_is_searched(tmp_path: Path) -> None:
    """Unpacked from an archive, uncompressed images often have the same size and time."""
    first, second = image_at(tmp_path / "x" / "a.bmp", 10), image_at(tmp_path / "y" / "a.bmp", 10, 30)
    os.utime(first, ns=(0, 0))
    os.utime(second, ns=(0, 0))
    out = tmp_path / "out"
    found_of(out, first)
    assert [row.found_before for row in found_of(out, second)] == [False]
    assert len((out / "a-2.csv").read_text().splitlines()) == 3


def test_links_to_one_image_have_names_of_their_own(tmp_path: Path) -> None:
    first, second = image_at(tmp_path / "x" / "a.png", 10), tmp_path / "y" / "a.png"
    second.parent.mkdir()
    second.symlink_to(first)
    for _ in range(2):
        found_of(tmp_path / "out", first, second)
        files = {path.name for path in (tmp_path / "out").glob("*.csv")}
        assert files == {"a.csv", "a-2.csv", "summary.csv"}
    assert len(set(inputs.names([first, second], {"a": Searched(str(first), [])}))) == 2


def test_a_name_is_free_again_when_its_files_are_deleted(tmp_path: Path) -> None:
    out = tmp_path / "out"
    found_of(out, image_at(tmp_path / "x" / "a.png", 10))
    for path in out.glob("a.*"):
        path.unlink()
    found_of(out, image_at(tmp_path / "y" / "a.png", 10, 30))
    assert len((out / "a.csv").read_text().splitlines()) == 3
