"""What is known of frames' pixels: remembered in a cache that may be damaged, and said where they are odd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mitos2014_frames import mitos2014
from PIL import Image

from mitobench import file_cache
from mitobench.datasets import load, looks
from mitobench.datasets.looks import FOLDER, fingerprints, looked_at
from mitobench.errors import MitobenchError
from mitobench.results import record

pytestmark = pytest.mark.slow

GREEN = "1 of 4 frames: the image is green where it is coloured"


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(file_cache.FOLDER, str(tmp_path / "cache"))
    return tmp_path / "cache"


def inverted(folder: Path, id: str) -> None:
    path = folder / id[:3] / "frames" / "x40" / f"{id}.png"
    pixels = np.zeros((200, 200, 3), dtype=np.uint8) + np.array([200, 120, 180], dtype=np.uint8)
    pixels[50:80, 60:90] = 90, 50, 140
    Image.fromarray(255 - pixels).save(path)


def test_fingerprints_are_cached_and_a_damaged_cache_is_made_again(tmp_path: Path, cache: Path) -> None:
    dataset = load("mitos2014", mitos2014(tmp_path / "data", "A03_00Aa", "A04_00Aa"))
    items = {id: (dataset, item) for id, item in dataset.items.items()}
    first = fingerprints(items)
    files = sorted((cache / FOLDER).iterdir())
    assert len(files) == 2
    again = fingerprints(items)
    for key, found in first.items():
        np.testing.assert_array_equal(found.bits[1], again[key].bits[1])
        np.testing.assert_allclose(found.points[0], again[key].points[0], atol=1e-3)
    files[0].write_bytes(b"damaged")
    files[1].write_bytes(files[1].read_bytes()[:100])
    assert {key: found.pixels for key, found in fingerprints(items).items()} == {
        key: found.pixels for key, found in first.items()
    }


def test_a_cache_that_cannot_be_written_does_not_matter(tmp_path: Path, cache: Path) -> None:
    cache.write_text("a file in place of the folder")
    dataset = load("mitos2014", mitos2014(tmp_path / "data", "A03_00Aa"))
    assert len(fingerprints({id: (dataset, item) for id, item in dataset.items.items()})) == 1


def test_a_data_set_without_odd_frames_has_no_remark(tmp_path: Path) -> None:
    assert looked_at(load("mitos2014", mitos2014(tmp_path / "data", "A03_00Aa"))).looks == ()


def test_that_many_new_frames_are_read_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "MANY", 2)
    dataset = load("mitos2014", mitos2014(tmp_path / "data", "A03_00Aa", "A04_00Aa"))
    said: list[str] = []
    looked_at(dataset, said.append)
    looked_at(dataset, said.append)
    assert said == ["mitos2014: looking at 2 frames that are new to this machine, once."]


def test_how_many_frames_were_looked_at_is_said_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "MANY", 2)
    monkeypatch.setattr(looks, "NOTE_SECONDS", -1.0)
    said: list[str] = []
    looked_at(load("mitos2014", mitos2014(tmp_path / "data", "A03_00Aa", "A04_00Aa", "A07_00Aa")), said.append)
    assert said[1:] == [f"mitos2014: {done} of 3 frames have been looked at." for done in (1, 2)]


def test_a_frame_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path, cache: Path) -> None:
    folder = mitos2014(tmp_path / "data", "A03_00Aa", "A04_00Aa")
    dataset = load("mitos2014", folder)
    (path,) = folder.rglob("A04_00Aa.*")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(MitobenchError, match="A04_00Aa"):
        looked_at(dataset)


def test_inverted_colours_reach_run_record_and_score(
    toys: dict[str, str], mitobench: Callable[..., Any], tmp_path: Path
) -> None:
    folder = mitos2014(tmp_path / "data", "A03_00Aa", "A04_00Aa", "A07_00Aa", "A11_00Aa")
    inverted(folder, "A03_00Aa")
    (tmp_path / "toys.toml").write_text('title = "toys"\n')
    data = ("--data", folder, "--dataset", "mitos2014", "--protocol", "by-slide")
    answer = mitobench(
        *("run", "-e", "toy-boxes", "-d", "toy-dark", "-v", "none", "-f", "toy-sum", *data, "--device", "cpu"),
        *("--profile", tmp_path / "toys.toml", "--store", tmp_path / "store", "--out", tmp_path / "out"),
    )
    assert answer.code == 0, answer.out + answer.err
    assert GREEN in " ".join(answer.out.split())
    ((_, found),) = record.read_all(tmp_path / "out" / "records")
    assert any(note.startswith(f"mitos2014: {GREEN}") for note in found.notes)
    (detections,) = (tmp_path / "out" / "records").glob("*.detections.csv.gz")
    answer = mitobench("score", detections, *data)
    assert answer.code == 0, answer.out + answer.err
    assert GREEN in " ".join(answer.out.split())
