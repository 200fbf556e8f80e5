"""Slides of scanners, made here: what OpenSlide and pydicom read of them, and which files are one slide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model.test_independence import MPP, field
from model.toy_models import dots

from mitobench.errors import DataError
from mitobench.model import inputs
from mitobench.model.batch import Options, predict_files
from mitobench.slides.reader import open_image, optional
from mitobench.slides.reader.dicom import one_a_slide, other_files

from .generated_slides import RGB, write_dicom_slide, write_svs
from .pictures import picture


@pytest.fixture
def rgb() -> RGB:
    return picture(200, 300)


def test_openslide_reads_an_aperio_slide(tmp_path: Path, rgb: RGB) -> None:
    pytest.importorskip("openslide")
    with open_image(write_svs(tmp_path / "a.svs", rgb, 0.25)) as image:
        assert image.decoder.startswith("openslide")
        assert (image.size, image.mpp, len(image.levels)) == ((300, 200), (0.25, 0.25), 2)
        np.testing.assert_array_equal(image.read(), rgb)
        np.testing.assert_array_equal(image.region(70, 30, 150, 100), rgb[30:130, 70:220])
        assert np.abs(image.reduced((0, 0, 300, 200), (75, 50)).astype(int) - rgb[::4, ::4]).mean() < 1


@pytest.mark.parametrize("with_openslide", [True, False])
@pytest.mark.parametrize(
    ("text", "mpp", "note"),
    [
        ("0,25", 0.25, ""),
        ("0.25", 0.25, "um/px in its %s and 0.5 in its resolution tags; 0.25 is used"),
        ("0.25.1", 0.5, "the um/px in the file (MPP '0.25.1') is not a number and is ignored"),
    ],
)
def test_two_um_px_of_an_aperio_slide_and_odd_numbers_are_noted(
    tmp_path: Path, rgb: RGB, monkeypatch: pytest.MonkeyPatch, with_openslide: bool, text: str, mpp: float, note: str
) -> None:
    if with_openslide:
        pytest.importorskip("openslide")
    else:
        found = optional.is_installed
        monkeypatch.setattr(optional, "is_installed", lambda name: name != "openslide" and found(name))
    tags = {"resolution": (20_000, 20_000), "resolutionunit": "centimeter"} if note else {}
    with open_image(write_svs(tmp_path / "a.svs", rgb, text, **tags)) as image:
        if mpp == 0.5 and with_openslide:
            assert image.mpp is None  # OpenSlide does not fall back on the tags
        else:
            assert image.mpp == pytest.approx((mpp, mpp))
        shown = [one for one in image.notes if "um/px" in one]
        expected = note.replace("%s", "header" if with_openslide else "description")
        assert expected in "; ".join(shown)
        assert bool(shown) == bool(note)


def test_two_um_px_of_a_dicom_slide_are_noted(tmp_path: Path, rgb: RGB, monkeypatch: pytest.MonkeyPatch) -> None:
    pydicom = pytest.importorskip("pydicom", minversion="3")
    found = optional.is_installed
    monkeypatch.setattr(optional, "is_installed", lambda name: name != "openslide" and found(name))
    full = write_dicom_slide(tmp_path / "slide", rgb, 0.25)
    header = pydicom.dcmread(full)
    header.ImagedVolumeWidth *= 2
    header.save_as(full)
    with open_image(full) as image:
        assert image.mpp == pytest.approx((0.25, 0.25))
        assert "0.25 um/px in its pixel spacing and 0.5 x 0.25 in its imaged volume; 0.25 is used" in image.notes[0]


def test_a_slide_for_openslide_is_searched(tmp_path: Path) -> None:
    pytest.importorskip("openslide")
    pixels = field(0, 5)
    (row,) = predict_files(dots(), [write_svs(tmp_path / "a.svs", pixels, MPP)], tmp_path / "out")
    assert row.done, row.note
    assert (row.width_px, row.height_px, row.mpp) == (pixels.shape[1], pixels.shape[0], pytest.approx(MPP))


@pytest.fixture
def full(tmp_path: Path, rgb: RGB) -> Path:
    pytest.importorskip("pydicom", minversion="3")
    return write_dicom_slide(tmp_path / "slide", rgb, 0.25)


@pytest.mark.parametrize("with_openslide", [True, False])
def test_a_dicom_slide_of_several_files_is_one_slide(
    full: Path, rgb: RGB, monkeypatch: pytest.MonkeyPatch, with_openslide: bool
) -> None:
    if with_openslide:
        pytest.importorskip("openslide")
    else:
        found = optional.is_installed
        monkeypatch.setattr(optional, "is_installed", lambda name: name != "openslide" and found(name))
    assert inputs.images_of([full.parent]) == inputs.images_of(sorted(full.parent.iterdir())) == [full]
    with open_image(full) as image:
        assert image.decoder.startswith("openslide" if with_openslide else "pydicom")
        assert (image.size, image.mpp) == ((300, 200), (pytest.approx(0.25), pytest.approx(0.25)))
        np.testing.assert_array_equal(image.region(70, 30, 150, 100), rgb[30:130, 70:220])
    for name in ("label", "overview"):
        with pytest.raises(DataError, match=f"is the {name} of a DICOM slide"):
            open_image(full.parent / f"{name}.dcm")


def test_the_other_files_of_a_dicom_slide_are_noted_and_may_not_change(full: Path, tmp_path: Path, rgb: RGB) -> None:
    second = write_dicom_slide(tmp_path / "second", rgb[::-1], 0.25).rename(full.parent / "c.dcm")
    files = inputs.images_of([full.parent])
    assert files == [full, second]
    assert [path.name for path in other_files(full)] == ["a-small.dcm", "label.dcm", "overview.dcm"]
    rows = list(predict_files(dots(), files, tmp_path / "out", options=Options()))
    assert all(row.done for row in rows)
    assert (
        "same slide, and is not searched by itself: a-small.dcm, label.dcm (label), overview.dcm (over" in rows[0].note
    )
    assert "same slide" not in rows[1].note


def test_a_label_without_its_slide_is_refused(full: Path, tmp_path: Path) -> None:
    label = full.with_name("label.dcm").rename(tmp_path / "label.dcm")
    assert one_a_slide([label]) == [label]
    (row,) = predict_files(dots(), [label], tmp_path / "out", 0.25)
    assert "is the label of a DICOM slide" in row.note
