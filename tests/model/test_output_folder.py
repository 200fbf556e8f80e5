"""The output folder: files that mitobench did not write, or that were changed since, are never replaced."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mitobench.errors import MitobenchError
from mitobench.model.batch import Options, predict_files
from mitobench.model.output_folder import FILES, OutputFolder
from model.toy_models import dots, stained


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.fromarray(stained(60, 40, np.array([[10, 20]]))).save(path)
    return path


def write(folder: OutputFolder, name: str, content: str) -> None:
    with folder.staged() as stage:
        (stage / name).write_text(content)


@pytest.mark.parametrize("name", ["a.csv", "a.geojson", "a.png", "summary.csv"])
def test_files_of_others_are_kept(image: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(MitobenchError, match=r"was not written by `mitobench predict`.*--overwrite"):
        next(predict_files(dots(), [image], tmp_path / "out", 0.5))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {name}
    assert (tmp_path / "out" / name).read_text() == "mine"
    list(predict_files(dots(), [image], tmp_path / "out", options=Options(mpp=0.5, overwrite=True)))
    assert (tmp_path / "out" / name).read_bytes() != b"mine"


def test_corrections_in_a_file_that_mitobench_wrote_are_kept(image: Path, tmp_path: Path) -> None:
    list(predict_files(dots(), [image], tmp_path / "out", 0.5))
    (tmp_path / "out" / "a.geojson").write_text("{}")
    with pytest.raises(MitobenchError, match="changed since"):
        next(predict_files(dots(), [image], tmp_path / "out", 0.5, 0.9))
    assert (tmp_path / "out" / "a.geojson").read_text() == "{}"


def test_other_files_in_the_folder_do_not_matter(image: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    (row,) = predict_files(dots(), [image], tmp_path / "out", 0.5)
    assert row.done
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_a_file_is_known_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a command that is killed in between can be run again."""
    with OutputFolder(tmp_path) as folder:
        write(folder, "a", "first")
        with monkeypatch.context() as patch:
            patch.setattr("mitobench.atomic.os.replace", lambda *paths: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                write(folder, "a", "second")
    with OutputFolder(tmp_path) as folder:
        write(folder, "a", "third")
    (tmp_path / "a").write_text("second")
    with OutputFolder(tmp_path) as folder:
        write(folder, "a", "fourth")
        folder.close()
    (tmp_path / "a").write_text("first")
    with OutputFolder(tmp_path) as folder, pytest.raises(MitobenchError, match="changed since"):
        write(folder, "a", "fifth")


@pytest.mark.parametrize("damage", ["", "\x00", "[]\n", '{"file": 3}\n', '{"image": "a"}\n', '{"file": "a", "sha'])
def test_a_damaged_list_protects_all_files(tmp_path: Path, damage: str) -> None:
    (tmp_path / "a").write_text("mine")
    (tmp_path / FILES).write_text(damage)
    with OutputFolder(tmp_path) as folder:
        with pytest.raises(MitobenchError, match="was not written by"):
            folder.check(["a"])
        assert folder.finished("a", {}) is None
        write(folder, "b", "ours")
    with OutputFolder(tmp_path) as folder:
        folder.check(["b"])


@pytest.mark.parametrize("pattern", ["*.cells", "stage-*/*/new", FILES])
def test_a_full_disk_ends_the_run_with_one_message_and_keeps_what_is_finished(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    list(predict_files(dots(), [image], tmp_path / "out", 0.5))
    before = (tmp_path / "out" / "a.csv").read_bytes()

    opened = Path.open

    def full(path: Path, mode: str = "r", *more: object, **named: object) -> object:
        if path.match(pattern) and mode[0] in "wa":
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, mode, *more, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(MitobenchError, match="No space left"):
        list(predict_files(dots(), [image, image.with_name("b.png")], tmp_path / "out", 0.5, 0.9))
    assert (tmp_path / "out" / "a.csv").read_bytes() == before


def test_a_folder_in_place_of_a_file_is_an_error(image: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "a.csv").mkdir(parents=True)
    with pytest.raises(MitobenchError, match="is a directory"):
        next(predict_files(dots(), [image], tmp_path / "out", 0.5))


def kinds_of(folder: Path, name: str) -> set[str]:
    """The endings of an image's files."""
    return {path.name.removeprefix(name) for path in folder.iterdir() if path.name.startswith(name)}


@pytest.mark.parametrize(("grey", "left"), [(True, {".html"}), (False, set())], ids=["not judged", "broken"])
def test_an_image_that_has_no_mitoses_now_keeps_none_of_an_earlier_run(
    image: Path, tmp_path: Path, grey: bool, left: set[str]
) -> None:
    out = tmp_path / "out"
    list(predict_files(dots(), [image], out, 0.5))
    assert {".csv", ".geojson", ".html", ".png"} <= kinds_of(out, "a")
    if grey:
        Image.new("L", (60, 40), 128).save(image)
    else:
        image.write_bytes(image.read_bytes()[:50])
    (row,) = predict_files(dots(), [image], out, 0.5)
    assert row.mitoses is None
    assert kinds_of(out, "a") == left


def test_an_unchanged_image_that_fails_for_another_reason_keeps_its_results(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    list(predict_files(dots(), [image], out, 0.5))
    before = kinds_of(out, "a")
    failing = dots()

    def too_little_memory(*_: object, **__: object) -> None:
        raise MemoryError("out of memory")

    monkeypatch.setattr(failing.detector, "predict", too_little_memory, raising=False)
    (row,) = predict_files(failing, [image], out, 0.5, threshold=0.9)
    assert not row.done
    assert kinds_of(out, "a") == before


def test_files_of_an_earlier_run_that_were_changed_since_are_kept(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as folder:
        write(folder, "a.csv", "1")
        write(folder, "a.geojson", "1")
        folder.finish("a", {}, ["a.csv", "a.geojson"], {})
        (tmp_path / "a.csv").write_text("mine")
        folder.failed("a", [])
    assert (tmp_path / "a.csv").read_text() == "mine"
    assert not (tmp_path / "a.geojson").exists()
