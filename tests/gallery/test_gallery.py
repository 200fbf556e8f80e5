"""Galleries: a page with pictures from a record and its frames, or an error that says why not."""

from __future__ import annotations

import errno
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from records import DETECTIONS, failed, ok

from mitobench import gallery
from mitobench.errors import DataError, MitobenchError, RecordError
from mitobench.gallery import drawing
from mitobench.report import html_page
from mitobench.report.colours import OUTCOMES
from mitobench.results import record

from .toy_galleries import items_of, write

pytestmark = pytest.mark.slow

SMALLEST_SHOWN_PX = 376  # the width of a thumbnail in a window of 400 px, in which it is smallest


def missed_and_invented(folder: Path, small_data: Path) -> Path:
    """Writes a record with one miss (the first mitosis) and one false positive."""
    items = items_of(small_data)
    every = [(item.frame.id, *xy, index) for item in items for index, xy in enumerate(item.mitoses.xy.tolist())]
    scores = [0.3, *(0.9 for _ in every[1:])]
    found = [(id, x, y, score, index) for (id, x, y, index), score in zip(every, scores, strict=True)]
    return write(folder, small_data, *found, (items[0].frame.id, 1, 1, 0.8, None))


@pytest.fixture
def path(tmp_path: Path, small_data: Path) -> Path:
    return missed_and_invented(tmp_path, small_data)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, small_data: Path) -> gallery.Gallery:
    """The gallery of all frames of such a record."""
    folder = tmp_path_factory.mktemp("whole")
    return gallery.write(missed_and_invented(folder, small_data), folder / "out", data=small_data)


def test_a_page_shows_every_test_frame_the_misses_and_the_errors(whole: gallery.Gallery, small_data: Path) -> None:
    assert (whole.n_frames, whole.n_misses, whole.n_errors) == (len(items_of(small_data)), 1, 1)
    page = whole.page.read_text(encoding="utf-8")
    files = set(re.findall(r'(?:src|href)="([^"#:]+)"', page))
    assert files == {str(p.relative_to(whole.page.parent)) for p in whole.page.parent.rglob("*.png")}
    assert {"misses.png", "errors.png", "crops/misses-001.png", "crops/errors-001.png"} < files
    assert "score .300 &lt; .500" in page
    assert re.search(r"\d um from the nearest mitosis", page)
    assert "made by a program: no tissue, no patient" in page


def test_scores_on_thumbnails_can_be_read(whole: gallery.Gallery, small_data: Path) -> None:
    """At least 12 px high where a page shows them smallest, and bright on a dark ground."""
    frame = items_of(small_data)[0].frame
    thumbnail = Image.open(whole.page.parent / "thumbnails" / f"{frame.id}.png").convert("RGB")
    assert max(thumbnail.size) == drawing.THUMBNAIL_PX
    assert drawing.THUMBNAIL_FONT_PX * SMALLEST_SHOWN_PX / drawing.THUMBNAIL_PX > 12
    dark = np.abs(np.asarray(thumbnail).astype(int) - [0x10, 0x10, 0x1C]).max(axis=2) < 8
    yellow = np.array([int(OUTCOMES["fp"].colour[i : i + 2], 16) for i in (1, 3, 5)])
    bright = np.abs(np.asarray(thumbnail).astype(int) - yellow).max(axis=2) < 40
    edge = round(drawing.MARK_UM / frame.mpp[1] * drawing.THUMBNAIL_PX / max(frame.size))  # of the mark in the corner
    below = slice(edge, edge + 40), slice(0, 60)
    assert dark[below].mean() > 0.1
    assert bright[below].sum() > 20


def test_a_gallery_has_the_look_of_the_other_pages(whole: gallery.Gallery, tmp_path: Path) -> None:
    shared = (html_page.TEMPLATES / "shared.css").read_text(encoding="utf-8")
    assert shared in whole.page.read_text(encoding="utf-8")
    assert shared in html_page.render(tmp_path, [])


def test_the_same_record_gives_the_same_bytes(path: Path, small_data: Path, tmp_path: Path) -> None:
    once, again = (gallery.write(path, tmp_path / name, data=small_data, max_frames=2).page.parent for name in "ab")
    for file in (p for p in once.rglob("*") if p.is_file()):
        assert file.read_bytes() == (again / file.relative_to(once)).read_bytes()


def test_fewer_frames_are_those_with_the_most_errors(path: Path, small_data: Path, tmp_path: Path) -> None:
    written = gallery.write(path, tmp_path / "out", data=small_data, max_frames=1, max_crops=1, kind="jpeg")
    (shown,) = (written.page.parent / "frames").iterdir()
    assert shown.name == f"{items_of(small_data)[0].frame.id}.jpeg"


def test_a_mark_is_drawn_around_its_mitosis_in_its_colour(whole: gallery.Gallery, small_data: Path) -> None:
    item = next(item for item in items_of(small_data)[1:] if len(item.mitoses))
    pixels = np.asarray(Image.open(whole.page.parent / "frames" / f"{item.frame.id}.png").convert("RGB"))
    factor = round(drawing.MIN_OVERLAY_PX / item.frame.size[0])
    green = np.array([int(OUTCOMES["tp"].colour[i : i + 2], 16) for i in (1, 3, 5)])
    rows, columns = np.nonzero(np.abs(pixels[: item.frame.size[1] * factor].astype(int) - green).max(axis=2) < 8)
    x, y = item.mitoses.xy[0] * factor
    reach = np.hypot(columns - x, rows - y)
    radius = drawing.MARK_UM / item.frame.mpp[0] * factor
    assert ((reach > radius - 4) & (reach < radius + 4)).sum() > radius  # a quarter of the circle at least
    assert not (reach < radius / 2).any() or len(item.mitoses) > 1


def test_a_crop_is_grey_outside_the_frame(whole: gallery.Gallery) -> None:
    crop = np.asarray(Image.open(whole.page.parent / "crops" / "errors-001.png"))  # of a detection in the corner
    assert crop.shape == (drawing.CROP_PX, drawing.CROP_PX, 3)
    assert (crop[20, 20] == drawing.OUTSIDE_GREY).all()


def test_names_are_escaped(path: Path, small_data: Path, tmp_path: Path) -> None:
    written = record.read(path)
    evil_name = "<script>alert(1)</script>"
    plugins = written.plugins | {"detector": written.plugins["detector"].model_copy(update={"name": evil_name})}
    named = written.model_copy(
        update={"combination": written.combination | {"detector": evil_name}, "plugins": plugins}
    )
    assert written.detections is not None
    evil = record.write(tmp_path / "evil", named, record.text_of(path, written.detections))
    page = gallery.write(evil, tmp_path / "out", data=small_data, max_frames=1).page.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_failed_record_has_nothing_to_show(tmp_path: Path) -> None:
    path = record.write(tmp_path, failed(), None)
    with pytest.raises(RecordError, match="the run failed"):
        gallery.write(path, tmp_path / "out")


def test_different_annotation_is_refused(path: Path, small_data: Path, tmp_path: Path) -> None:
    other = shutil.copytree(small_data, tmp_path / "other")
    item = next(item for item in items_of(other) if len(item.mitoses))
    item.files[-1].write_text(item.files[-1].read_text() + "1,1,2,1,2,2\n")
    with pytest.raises(DataError, match="the test frames of synthetic are not those that the record was made with"):
        gallery.write(path, tmp_path / "out", data=other)


def test_a_missing_frame_is_named(path: Path, small_data: Path, tmp_path: Path) -> None:
    other = shutil.copytree(small_data, tmp_path / "other")
    ids = [item.frame.id for item in items_of(small_data)]
    for file in items_of(other)[-1].files:
        file.unlink()
    with pytest.raises(DataError, match=f"lacks 1 of the record's {len(ids)} test frames: {ids[-1]}"):
        gallery.write(path, tmp_path / "out", data=other)


def test_a_corrupt_frame_is_named(path: Path, small_data: Path, tmp_path: Path) -> None:
    other = shutil.copytree(small_data, tmp_path / "other")
    image = items_of(other)[0].files[0]
    image.write_bytes(image.read_bytes()[:500])
    with pytest.raises(DataError, match=re.escape(str(image))):
        gallery.write(path, tmp_path / "out", data=other)


def test_real_data_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(MitobenchError, match="mitos2012: no folder of data sets is given"):
        gallery.write(record.write(tmp_path, ok(), DETECTIONS), tmp_path / "out")


def test_detections_without_their_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="the columns are frame,x,y; they must be"):
        gallery.write(record.write(tmp_path, ok(), "frame,x,y\n"), tmp_path / "out")


def test_an_unknown_image_format(tmp_path: Path) -> None:
    with pytest.raises(MitobenchError, match=r"Unknown image format .jpg.\..*Available: jpeg, png"):
        gallery.write(tmp_path / "x.json", tmp_path, kind="jpg")


def test_a_full_disk_is_an_error(path: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mitobench.atomic.atomic_file", full)
    with pytest.raises(MitobenchError, match="cannot be written: No space left on device"):
        gallery.write(path, tmp_path / "out", data=small_data)


def test_an_output_folder_that_is_a_file(path: Path, small_data: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(MitobenchError, match="cannot be written"):
        gallery.write(path, tmp_path / "out", data=small_data)
