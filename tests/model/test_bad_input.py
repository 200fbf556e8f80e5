"""Slides that are damaged, vanish or cannot be read as H&E, and images of every form: right, or refused by name."""

from __future__ import annotations

import csv
import functools
import os
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from mitobench.model import Model, grid
from mitobench.model.batch import Options, Progress, predict_files
from mitobench.model.outputs import ImageSummary
from model.test_independence import MPP, field
from model.toy_models import blobs_model, dots


@pytest.fixture(autouse=True)
def small_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "CORE_UM", 100.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model.load(blobs_model(tmp_path_factory.mktemp("models") / "blobs", 0.3))


RESOLUTION = {"resolution": (10_000 / MPP, 10_000 / MPP), "resolutionunit": 3}


def pyramid(path: Path, pixels: NDArray[np.uint8]) -> Path:
    """A tiled TIFF pyramid with LZW-free deflate tiles, whose full resolution tifffile decodes tile by tile."""
    with tifffile.TiffWriter(path) as tiff:
        options = {"tile": (128, 128), "compression": "zlib", "photometric": "rgb"}
        tiff.write(pixels, subifds=1, metadata=None, extratags=[(274, 3, 1, 3, True)], **options, **RESOLUTION)
        tiff.write(pixels[::4, ::4], subfiletype=1, metadata=None, **options)
    return path


def damage(path: Path, tile: int) -> None:
    """Overwrites the bytes of a tile of the full resolution."""
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages[0].dataoffsets[tile], tiff.pages[0].databytecounts[tile]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\x55" * count)


def run(model: Model, path: Path, **options: object) -> ImageSummary:
    (row,) = predict_files(model, [path], path.parent / "out", options=Options(**options))  # type: ignore[arg-type]
    return row


def places(folder: Path, name: str) -> NDArray[np.float64]:
    with (folder / f"{name}.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["mitosis"] == "1"]
    return np.array([[float(row["x"]), float(row["y"])] for row in rows]).reshape(-1, 2)


def test_a_tile_that_cannot_be_decoded_is_reported_with_its_place_and_the_rest_goes_on(
    model: Model, tmp_path: Path
) -> None:
    pixels = np.tile(field(0, 150), (2, 2, 1))
    whole = run(model, pyramid(tmp_path / "whole.tif", pixels))
    damaged = pyramid(tmp_path / "damaged.tif", pixels)
    damage(damaged, 5 * 7 + 5)  # the orientation tag turns it by 180 degrees: the tile is at x and y 32 to 160
    row = run(model, damaged)
    assert row.done
    assert whole.unread_parts == 0
    places_ = re.search(r"could not be decoded and (was|were) not searched: (.*?)(; |$)", row.note)
    assert places_, row.note
    x1, x2, y1, y2 = map(int, re.findall(r"\d+", places_[2]))
    assert 0 <= x1 <= 32 < 160 <= x2 <= 192, "the part is about as large as the tile"
    assert 0 <= y1 <= 32 < 160 <= y2 <= 192
    one, other = (places(tmp_path / "out", name) for name in ("whole", "damaged"))
    outside = one[((one < 32 - 16) | (one >= 192 + 16)).any(axis=1)]
    assert {tuple(xy) for xy in outside.tolist()} <= {tuple(xy) for xy in other.tolist()}
    assert len(outside) <= len(other) < len(one)


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.thorough)])
def test_with_a_damaged_tile_the_image_is_not_finished_and_is_tried_again(tmp_path: Path, jobs: int) -> None:
    folder = blobs_model(tmp_path / "blobs", 0.3)
    path = pyramid(tmp_path / "a.tif", np.tile(field(0, 150), (2, 2, 1)))
    content = path.read_bytes()
    damage(path, 24)
    options = {"jobs": jobs, "load": functools.partial(Model.load, folder)}
    first, again = (run(Model.load(folder), path, **options) for _ in range(2))
    assert first.unread_parts == again.unread_parts != 0
    assert first.mitoses == again.mitoses
    path.write_bytes(content)
    assert run(Model.load(folder), path, **options).unread_parts == 0


def test_what_was_found_beside_a_damaged_tile_is_kept_from_other_images_of_the_name(
    model: Model, tmp_path: Path
) -> None:
    path = pyramid(tmp_path / "a.tif", field(0, 150)[:256, :256])
    damage(path, 0)
    assert run(model, path).unread_parts
    before = (tmp_path / "out" / "a.csv").read_bytes()
    (tmp_path / "other").mkdir()
    other = pyramid(tmp_path / "other" / "a.tif", field(1, 150)[:256, :256])
    (row,) = predict_files(model, [other], tmp_path / "out")
    assert "its files are named a-2" in row.note
    assert (tmp_path / "out" / "a.csv").read_bytes() == before


@pytest.mark.parametrize("levels", ["both", "full"])
def test_mitoses_per_mm2_refer_to_the_tissue_that_was_searched(model: Model, tmp_path: Path, levels: str) -> None:
    """A tile that cannot be decoded is not tissue, on tissue and on glass; a smaller copy may show what it held."""
    tissue = field(0, 50)[:256, :256]
    pixels = np.full((256, 768, 3), 245, np.uint8)
    pixels[:, :256] = tissue[::-1, ::-1]
    areas = []
    for name, tile in (("whole", None), ("tissue", 1 * 6 + 5), ("glass", 0)):  # it is turned by 180 degrees
        path = tmp_path / f"{name}.tif"
        if levels == "both":
            pyramid(path, pixels[::-1, ::-1])
        else:
            options = {"tile": (128, 128), "compression": "zlib", "photometric": "rgb", "metadata": None}
            tifffile.imwrite(path, pixels[::-1, ::-1], extratags=[(274, 3, 1, 3, True)], **options, **RESOLUTION)
        if tile is not None:
            damage(path, tile)
        row = run(model, path)
        areas.append(row.tissue_mm2 or 0)
        assert row.mitoses_per_mm2 == pytest.approx((row.mitoses or 0) / areas[-1])
        assert bool(row.unread_parts) == (name == "tissue" or (name == "glass" and levels == "full"))
    a_tile = (128 * MPP / 1000) ** 2
    assert areas[0] - areas[1] == pytest.approx(a_tile, rel=0.3)
    assert areas[2] == pytest.approx(areas[0], rel=0.02)


def test_a_slide_whose_tissue_cannot_be_decoded_has_no_counts(model: Model, tmp_path: Path) -> None:
    pixels = np.full((256, 768, 3), 245, np.uint8)
    pixels[:, 512:] = field(0, 50)[:256, :256]
    path = pyramid(tmp_path / "a.tif", pixels)
    for tile in (4, 5, 10, 11):
        damage(path, tile)
    row = run(model, path)
    assert row.mitoses is None
    assert "none of its tissue can be decoded" in row.note


def test_a_slide_whose_tiles_all_fail_is_a_failed_image(model: Model, tmp_path: Path) -> None:
    path = pyramid(tmp_path / "a.tif", field(0, 50)[:256, :256])
    for tile in range(4):
        damage(path, tile)
    row = run(model, path)
    assert not row.done
    assert "cannot be read as an image" in row.note


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_slide_is_refused_by_name(model: Model, tmp_path: Path, share: float) -> None:
    path = pyramid(tmp_path / "a.tif", field(0, 50))
    os.truncate(path, int(path.stat().st_size * share))
    row = run(model, path, mpp=MPP)
    assert not row.done
    assert str(path) in row.note


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(path.read_bytes() + b"more")])
def test_a_slide_that_vanishes_or_changes_midway_is_a_failed_image_and_the_others_go_on(
    model: Model, tmp_path: Path, change: object
) -> None:
    first = pyramid(tmp_path / "a.tif", np.tile(field(0, 50), (2, 1, 1)))
    second = pyramid(tmp_path / "b.tif", field(1, 50))

    def progress(state: Progress) -> None:
        if state.image == 0 and state.searched == 2:
            change(first)  # type: ignore[operator]

    rows = list(predict_files(model, [first, second], tmp_path / "out", progress=progress))
    assert [row.done for row in rows] == [False, True]
    assert "while it was read" in rows[0].note
    assert not (tmp_path / "out" / "a.csv").exists()


def test_a_slide_without_mitoses_has_all_its_files(model: Model, tmp_path: Path) -> None:
    row = run(model, pyramid(tmp_path / "a.tif", field(0, 0)))
    assert (row.mitoses, row.mitoses_per_mm2) == (0, 0)
    assert (tmp_path / "out" / "a.html").is_file()
    assert (tmp_path / "out" / "a.csv").read_text().count("\n") == 1


@pytest.mark.parametrize("name", ["größe.tif", "a b.tif", "片.tif", b"caf\xe9.tif"])
def test_file_names_in_any_encoding(model: Model, tmp_path: Path, name: str | bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(pyramid(tmp_path / "source.tif", field(0, 50)).read_bytes())
    row = run(model, path)
    assert row.done, row.note
    assert (tmp_path / "out" / f"{path.stem}.html").is_file()
    assert run(model, path) == row, "it is known as finished"
    assert run(model, path, threshold=0.9).mitoses == 0, "its files are known as ours"


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (31, 31)])
def test_a_tiny_image_is_searched_or_refused_by_name(model: Model, tmp_path: Path, size: tuple[int, int]) -> None:
    Image.fromarray(field(0, 50)[: size[1], : size[0]]).save(tmp_path / "a.png")
    row = run(model, tmp_path / "a.png", mpp=MPP)
    assert row.searched or "a.png" in row.note


def test_an_image_that_is_too_small_for_a_network_is_refused_by_name(tmp_path: Path) -> None:
    class Fails(type(dots().detector)):  # type: ignore[misc]
        def predict(self, frame: object) -> object:
            raise RuntimeError("Calculated padded input size per channel: (1 x 1)")

    small = dots()
    Image.fromarray(field(0, 50)[:20, :20]).save(tmp_path / "a.png")
    row = run(Model(small.card, Fails(), None, small.fuser), tmp_path / "a.png", mpp=MPP)
    assert not row.done
    assert "a.png: has 20 x 20 px, which is too small for the model (RuntimeError: Calculated padded" in row.note


# -------------------------------------------------------------------------------------- forms of files, folder 01


def reference() -> NDArray[np.uint8]:
    return field(3, 12)


def as_planar_16(path: Path) -> None:
    tifffile.imwrite(path, np.moveaxis(reference().astype(np.uint16) * 257, 2, 0), photometric="rgb", planarconfig=2)


def as_12_bits(path: Path) -> None:
    tifffile.imwrite(path, reference().astype(np.uint16) * 16, photometric="rgb")


def as_turned(path: Path) -> None:
    turned = np.rot90(reference(), 1)
    tifffile.imwrite(path, turned, photometric="rgb", extratags=[(274, 3, 1, 6, True)], metadata=None)


def as_transparent(path: Path) -> None:
    rgba = np.dstack([reference(), np.zeros(reference().shape[:2], np.uint8)])
    tifffile.imwrite(path, rgba, photometric="rgb", extrasamples=["unassalpha"])


def with_thumbnail_first(path: Path) -> None:
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(reference()[::8, ::8], photometric="rgb", metadata=None)
        tiff.write(reference(), photometric="rgb", metadata=None)


def with_bytes_behind(path: Path) -> None:
    Image.fromarray(reference()).save(path, format="PNG")
    path.write_bytes(path.read_bytes() + b"x" * 9000)


def as_inverted(path: Path) -> None:
    Image.fromarray(255 - reference()).save(path, format="PNG")


def as_channels(path: Path) -> None:
    tifffile.imwrite(path, np.moveaxis(reference(), 2, 0), photometric="minisblack", metadata={"axes": "CYX"})


def as_z_stack(path: Path) -> None:
    tifffile.imwrite(path, np.stack([reference()] * 3), photometric="rgb", metadata={"axes": "ZYXS"}, ome=True)


READ = (as_planar_16, as_12_bits, as_turned, as_transparent, with_thumbnail_first, with_bytes_behind)
REFUSED = (as_inverted, as_channels, as_z_stack)


@pytest.mark.parametrize("write", READ, ids=lambda write: write.__name__)
def test_the_same_mitoses_are_found_in_every_form_of_a_file_and_the_summary_says_what_was_done(
    model: Model, tmp_path: Path, write: object
) -> None:
    Image.fromarray(reference()).save(tmp_path / "reference.png")
    path = tmp_path / "other.tif"
    write(path)  # type: ignore[operator]
    (first, other) = predict_files(model, [tmp_path / "reference.png", path], tmp_path / "out", MPP)
    assert first.mitoses == other.mitoses != 0, other.note
    np.testing.assert_allclose(places(tmp_path / "out", "reference"), places(tmp_path / "out", "other"), atol=0.5)
    assert len(other.note) > len(first.note), "what was converted is noted"


@pytest.mark.parametrize("write", REFUSED, ids=lambda write: write.__name__)
def test_what_is_not_he_is_not_judged_or_refused_by_name(model: Model, tmp_path: Path, write: object) -> None:
    path = tmp_path / "other.ome.tif"
    write(path)  # type: ignore[operator]
    row = run(model, path, mpp=MPP)
    assert not row.done
    assert "not judged" in row.note or str(path) in row.note


def test_one_page_of_a_z_stack_of_rgb_can_be_searched(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "stack.ome.tif"
    as_z_stack(path)
    row = run(model, path, mpp=MPP, page=2)
    assert row.done, row.note
    assert "page 2 of 3 is read" in row.note
    assert row.mitoses
    assert "no page 4" in run(model, path, mpp=MPP, page=4).note


def test_a_page_of_one_channel_is_not_he(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "channels.ome.tif"
    as_channels(path)
    assert "page 1 is grey" in run(model, path, mpp=MPP, page=1).note


# ------------------------------------------------------------------------------------------------- real slides


@pytest.mark.thorough
@pytest.mark.real
@pytest.mark.slow
def test_the_real_slides_are_searched_or_refused_with_the_reason(
    model: Model, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    pytest.importorskip("openslide")
    slides = {path.name: path for path in sorted((real_data / "slides").iterdir())}
    rows = {Path(row.image).name: row for row in predict_files(model, list(slides.values()), tmp_path / "out")}
    assert {name for name, row in rows.items() if row.done} == {"CMU-1-Small-Region.svs", "HE_example.ome.tif"}
    assert rows["CMU-1-Small-Region.svs"].mpp == pytest.approx(0.499)
    assert 0.5 < (rows["CMU-1-Small-Region.svs"].tissue_mm2 or 0) < 0.8
    assert rows["HE_example.ome.tif"].mpp == pytest.approx(0.5001, abs=1e-4)
    assert "no um/px. Give them with --mpp" in rows["tcga-no-mpp.svs"].note
    assert "says 4.635 x 5.686 um/px, as a reduced copy does" in rows["small_dicom.dcm"].note
    assert "stack" in rows["multi-channel-z-series.ome.tif"].note
    assert "cannot be read as an image" in rows["broken.svs"].note
    (row,) = predict_files(model, [slides["small_dicom.dcm"]], tmp_path / "given", 0.25)
    assert row.done
