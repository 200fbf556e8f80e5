"""TIFF in the forms that microscopes and converters write: right pixels, or refused with the reason."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps

from mitobench.errors import DataError
from mitobench.slides.reader import open_image, optional

from .pictures import picture

RGB = NDArray[np.uint8]


def notes(path: Path) -> str:
    with open_image(path) as image:
        return "; ".join(image.notes)


def pixels(path: Path) -> RGB:
    with open_image(path) as image:
        return image.read()


def write(path: Path, data: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path, data, **{"metadata": None, **options})
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "field.tif"


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits"])
@pytest.mark.parametrize("form", [{}, {"tile": (16, 32)}, {"rowsperstrip": 5}, {"bigtiff": True}, {"byteorder": ">"}])
def test_8_bit_rgb_is_read_as_it_is_without_a_note(path: Path, rgb: RGB, compression: str | None, form: Any) -> None:
    write(path, rgb, photometric="rgb", compression=compression, **form)
    np.testing.assert_array_equal(pixels(path), rgb)
    assert notes(path) == ""
    with open_image(path) as image:
        assert image.decoder == ""  # Pillow, as ever: the keys of stages must not change


@pytest.mark.parametrize("compression", [None, "lzw", "zstd"])
@pytest.mark.parametrize("form", [{}, {"tile": (16, 32)}, {"rowsperstrip": 6}])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_planar_rgb_is_put_together(path: Path, rgb: RGB, compression: str | None, form: Any, dtype: Any) -> None:
    data = rgb.astype(dtype) * (257 if dtype is np.uint16 else 1)
    planar = {"photometric": "rgb", "planarconfig": "separate", "compression": compression, **form}
    write(path, np.moveaxis(data, 2, 0), **planar)
    np.testing.assert_array_equal(pixels(path), rgb)
    assert ("16-bit RGB" in notes(path)) == (dtype is np.uint16)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("form", [{}, {"planarconfig": "separate"}])
def test_fewer_bits_in_16_are_scaled_from_their_own_range(path: Path, rgb: RGB, bits: int, form: Any) -> None:
    deep = rgb.astype(np.uint16) << (bits - 8)
    deep[0, 0] = (1 << bits) - 1
    write(path, np.moveaxis(deep, 2, 0) if form else deep, photometric="rgb", **form)
    np.testing.assert_array_equal(pixels(path)[1:], rgb[1:])
    assert f"values use {bits} bits" in notes(path)


def test_a_region_is_scaled_by_the_range_of_the_whole_image(path: Path, rgb: RGB) -> None:
    deep = rgb.astype(np.uint16) << 4
    deep[5:15, 5:15] >>= 4  # a dark part, whose own values would fit into 8 bits
    write(path, deep, photometric="rgb", tile=(16, 16))
    with open_image(path) as image:
        np.testing.assert_array_equal(image.region(5, 5, 10, 10), deep[5:15, 5:15] >> 4)


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_transparency_everywhere_is_taken_for_an_error(path: Path, rgb: RGB, kind: str, dtype: Any) -> None:
    data = np.concatenate([rgb, np.zeros((*rgb.shape[:2], 1), np.uint8)], axis=2).astype(dtype)
    data *= 257 if dtype is np.uint16 else 1
    write(path, data, photometric="rgb", extrasamples=[kind])
    np.testing.assert_array_equal(pixels(path), rgb)
    assert "transparent everywhere" in notes(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_some_transparency_is_composited_on_white(path: Path, rgb: RGB, dtype: Any) -> None:
    alpha = np.full((*rgb.shape[:2], 1), 255, np.uint8)
    alpha[:, :9] = 0
    data = np.concatenate([rgb, alpha], axis=2).astype(dtype) * (257 if dtype is np.uint16 else 1)
    write(path, data.astype(dtype), photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(pixels(path)[:, 9:], rgb[:, 9:])
    assert (pixels(path)[:, :9] == 255).all()
    assert "composited on white" in notes(path)


def test_a_fourth_channel_of_unknown_meaning_is_ignored_with_a_note(path: Path, rgb: RGB) -> None:
    data = np.concatenate([rgb, rgb[..., :1]], axis=2)
    write(path, data, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(pixels(path), rgb)
    assert "channel of unknown meaning is ignored" in notes(path)


# Steps that turn a stored image upright, written out once more: transposed, mirrored, flipped.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", [".tif", ".jpg", ".png", ".webp"])
def test_every_format_is_turned_upright_alike(tmp_path: Path, rgb: RGB, orientation: int, suffix: str) -> None:
    path = tmp_path / f"turned{suffix}"
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {".jpg": {"quality": 95}, ".webp": {"lossless": True}}.get(suffix, {})
    if suffix == ".tif":
        write(path, rgb, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    else:
        Pillow.fromarray(rgb).save(path, exif=exif, **options)
    expected = np.asarray(UPRIGHT[orientation](rgb))
    with open_image(path) as image:
        read = image.read()
        assert image.size == (read.shape[1], read.shape[0]) == (expected.shape[1], expected.shape[0])
        assert ("orientation tag" in "; ".join(image.notes)) == (orientation != 1)
        np.testing.assert_array_equal(image.region(4, 7, 20, 11), read[7:18, 4:24])
    difference = np.abs(read.astype(int) - expected)
    assert difference.mean() < 8 if suffix == ".jpg" else not difference.any()


def test_a_thumbnail_as_first_page_is_not_taken_for_the_image(path: Path, rgb: RGB) -> None:
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(rgb[::4, ::4], photometric="rgb", metadata=None)
        tiff.write(rgb, photometric="rgb", metadata=None)
    np.testing.assert_array_equal(pixels(path), rgb)
    assert "the first page (14 x 10 px) is a smaller image; the largest page (53 x 37 px)" in notes(path)


def test_a_thumbnail_as_second_page_is_noted(path: Path, rgb: RGB) -> None:
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(rgb, photometric="rgb", metadata=None)
        tiff.write(rgb[:9, :20], photometric="rgb", metadata=None)
    np.testing.assert_array_equal(pixels(path), rgb)
    assert "1 further pages of other sizes are ignored" in notes(path)


APERIO = "Aperio Image Library v12\r\n"


def scanned(path: Path, rgb: RGB, maker: str = "") -> Path:
    """A slide with its thumbnail, label and a macro image that is larger than the slide."""
    macro = np.tile(rgb, (2, 3, 1))
    with tifffile.TiffWriter(path) as tiff:
        options: dict[str, Any] = {"photometric": "rgb", "metadata": None, "tile": (16, 16)}
        tiff.write(rgb, description=f"{maker}{rgb.shape[1]}x{rgb.shape[0]}|MPP = 0.25", **options)
        tiff.write(rgb[::2, ::2], photometric="rgb", metadata=None, description=f"{maker}thumbnail")
        tiff.write(rgb[:9, :20], photometric="rgb", metadata=None, description=f"{maker}label 20x9")
        tiff.write(macro, photometric="rgb", metadata=None, description=f"{maker}macro {macro.shape[1]}")
    return path


@pytest.mark.parametrize("maker", ["", APERIO])
def test_label_and_macro_image_are_never_read(path: Path, rgb: RGB, maker: str) -> None:
    scanned(path, rgb, maker)
    np.testing.assert_array_equal(pixels(path), rgb)
    known = bool(maker) and optional.is_installed("openslide")
    for page, reason in ((2, "smaller copy"), (3, "label or the macro"), (4, "label or the macro")):
        with pytest.raises(DataError, match="whole slide .*Leave out --page" if known else f"page {page} is.*{reason}"):
            open_image(path, page)


def test_a_file_that_holds_only_a_label_is_refused(path: Path, rgb: RGB) -> None:
    write(path, rgb, photometric="rgb", description="label 53x37")
    with pytest.raises(DataError, match="holds only the label or the macro image"):
        open_image(path)


@pytest.mark.parametrize("text", ["Label: H&E, block 3", "Labels=2", "macro lens", "unlabelled"])
def test_a_description_that_mentions_a_label_is_that_of_an_image(path: Path, rgb: RGB, text: str) -> None:
    write(path, rgb, photometric="rgb", description=text)
    np.testing.assert_array_equal(pixels(path), rgb)


def test_images_that_ome_names_label_or_macro_are_not_read(path: Path, rgb: RGB) -> None:
    path = path.with_suffix(".ome.tif")
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(rgb, photometric="rgb", metadata={"axes": "YXS", "Name": "slide"})
        tiff.write(np.tile(rgb, (2, 2, 1)), photometric="rgb", metadata={"axes": "YXS", "Name": "macro image"})
    np.testing.assert_array_equal(pixels(path), rgb)
    with pytest.raises(DataError, match="page 2 is the label or the macro image"):
        open_image(path, 2)


def test_um_px_of_the_first_page_are_used_for_pages_of_its_size_only(path: Path, rgb: RGB) -> None:
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(rgb, photometric="rgb", metadata=None, description="Aperio|MPP = 0.25")
        tiff.write(rgb[::-1], photometric="rgb", metadata=None)
        tiff.write(rgb[:9, :40], photometric="rgb", metadata=None)
    for page, mpp in ((2, (0.25, 0.25)), (3, None)):
        with open_image(path, page) as image:
            assert image.mpp == mpp


def test_a_stack_of_rgb_is_refused_with_the_option_to_choose_a_page(path: Path, rgb: RGB) -> None:
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(rgb, photometric="rgb", metadata=None)
        tiff.write(rgb, photometric="rgb", metadata=None)
    with pytest.raises(DataError, match=r"holds 2 images of the same size.*Choose one with --page"):
        open_image(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_inverted_grey_is_turned_into_grey(path: Path, rgb: RGB, dtype: Any) -> None:
    grey = rgb[..., 1].astype(dtype) * (257 if dtype is np.uint16 else 1)
    write(path, np.iinfo(dtype).max - grey, photometric="miniswhite")
    np.testing.assert_array_equal(pixels(path), np.repeat(rgb[..., 1:2], 3, axis=2))
    assert "inverted grey" in notes(path)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_inverted_grey_of_fewer_bits_is_scaled_from_all_of_them(path: Path, rgb: RGB, bits: int) -> None:
    bright = rgb[..., 1].astype(np.uint16) // 4 + 192
    write(path, (1 << bits) - 1 - (bright << (bits - 8)), photometric="miniswhite", bitspersample=bits)
    np.testing.assert_array_equal(pixels(path), np.repeat(bright[..., None], 3, axis=2))


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("orientation", [1, 3])
def test_grey_of_few_bits_is_as_bright_as_pillow_shows_it(
    path: Path, rgb: RGB, bits: int, photometric: str, orientation: int
) -> None:
    options: dict[str, Any] = {"photometric": photometric, "bitspersample": bits}
    write(path, rgb[..., 1] >> (8 - bits), extratags=[(274, 3, 1, orientation, True)], **options)
    with Pillow.open(path) as image:
        shown = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(pixels(path), shown)


def test_rgb_of_few_bits_is_stretched(path: Path, rgb: RGB) -> None:
    write(path, rgb >> 4, photometric="rgb", bitspersample=4)
    np.testing.assert_array_equal(pixels(path), (rgb >> 4) * 17)


def test_fax_is_black_and_white(path: Path, rgb: RGB) -> None:
    Pillow.fromarray(rgb).convert("1").save(path, compression="group4")
    assert set(np.unique(pixels(path))) == {0, 255}


@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}, {"extratags": [(274, 3, 1, 3, True)]}])
@pytest.mark.parametrize("depth", [1, 257])  # of the colours: 8 bits, as some programs write them, and 16
def test_a_palette_is_looked_up_whatever_decodes_it(path: Path, rgb: RGB, options: Any, depth: int) -> None:
    indices = rgb[..., 1]
    colours = np.random.default_rng(1).integers(0, 256, (256, 3)).astype(np.uint8)
    write(path, indices, photometric="palette", colormap=colours.T.astype(np.uint16) * depth, **options)
    expected = colours[indices]
    np.testing.assert_array_equal(pixels(path), expected[::-1, ::-1] if "extratags" in options else expected)


def test_a_palette_of_two_colours_is_looked_up_when_it_is_turned_upright(path: Path, rgb: RGB) -> None:
    image = Pillow.fromarray(rgb).quantize(2)
    colours = np.array(image.getpalette()[:6], np.uint16).reshape(2, 3).T * 257
    tags = [(274, 3, 1, 3, True), (320, 3, 6, colours.ravel().tolist(), True)]
    write(path, np.asarray(image), photometric="minisblack", bitspersample=1, extratags=tags)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["PhotometricInterpretation"].overwrite(3)
    np.testing.assert_array_equal(pixels(path), np.asarray(image.convert("RGB"))[::-1, ::-1])


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_ycbcr_without_jpeg_is_converted_as_pillow_does(path: Path, rgb: RGB, compression: str | None) -> None:
    image = Pillow.fromarray(rgb).convert("YCbCr")
    image.save(path, **({"compression": compression} if compression else {}))
    np.testing.assert_array_equal(pixels(path), np.asarray(image.convert("RGB")))
    assert notes(path) == "image is YCbCr, converted to RGB"
    with Pillow.open(path) as shown:
        assert np.abs(pixels(path).astype(int) - np.asarray(shown.convert("RGB"))).max() <= 1


@pytest.mark.parametrize("form", [{"tile": (16, 32)}, {"compression": "zstd"}, {"planarconfig": "separate"}])
def test_ycbcr_is_converted_in_every_form(path: Path, rgb: RGB, form: Any) -> None:
    image = Pillow.fromarray(rgb).convert("YCbCr")
    data = np.asarray(image)
    write(path, np.moveaxis(data, 2, 0) if "planarconfig" in form else data, photometric="ycbcr", **form)
    np.testing.assert_array_equal(pixels(path), np.asarray(image.convert("RGB")))


_CCIR = (532, 5, 6, (15, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1), True)
_HDTV = (529, 5, 3, (2126, 10000, 7152, 10000, 722, 10000), True)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"photometric": "ycbcr", "extratags": [_CCIR]}, "YCbCr of another range"),
        ({"photometric": "ycbcr", "extratags": [_HDTV]}, "other coefficients"),
        ({"photometric": "ycbcr", "compression": "jpeg2000"}, "YCbCr in JPEG2000"),
        ({"photometric": "rgb", "compression": "aperio_jp2000_ycbc"}, "by OpenSlide only"),
        ({"photometric": "separated", "extratags": [(332, 3, 1, 2, True)]}, "its inks are not CMYK"),
    ],
)
def test_unusual_colours_are_refused_by_name(path: Path, rgb: RGB, options: Any, reason: str) -> None:
    write(path, np.dstack([rgb, rgb[..., 0]]) if options["photometric"] == "separated" else rgb, **options)
    with pytest.raises(DataError, match=rf"field\.tif.*{reason}"):
        pixels(path)


def test_subsampled_ycbcr_without_jpeg_is_refused(path: Path, rgb: RGB) -> None:
    write(path, rgb, photometric="ycbcr")
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["YCbCrSubSampling"].overwrite((2, 2))
    with pytest.raises(DataError, match="subsampled YCbCr without JPEG"):
        pixels(path)


def test_a_palette_is_looked_up(path: Path, rgb: RGB) -> None:
    image = Pillow.fromarray(rgb).quantize(7)
    image.save(path)
    np.testing.assert_array_equal(pixels(path), np.asarray(image.convert("RGB")))
    assert "palette" in notes(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cmyk_is_converted(path: Path, rgb: RGB, dtype: Any) -> None:
    cmyk = np.concatenate([255 - rgb, np.zeros((*rgb.shape[:2], 1), np.uint8)], axis=2)
    write(path, cmyk.astype(dtype) * dtype(257 if dtype is np.uint16 else 1), photometric="separated")
    np.testing.assert_array_equal(pixels(path), rgb)
    assert "CMYK" in notes(path)


def test_jpeg_and_jpeg_2000_in_tiff(tmp_path: Path, rgb: RGB) -> None:
    write(tmp_path / "lossless.tif", rgb, photometric="rgb", compression="jpeg2000", tile=(16, 16))
    np.testing.assert_array_equal(pixels(tmp_path / "lossless.tif"), rgb)
    for colours in ("rgb", "ycbcr"):
        encoded = (
            {"compression": "jpeg", "compressionargs": {"outcolorspace": colours}}
            if colours == "rgb"
            else {"compression": "jpeg"}
        )
        path = write(tmp_path / f"{colours}.tif", rgb, photometric="rgb", tile=(16, 16), **encoded)
        with Pillow.open(path) as image:
            np.testing.assert_array_equal(pixels(path), np.asarray(image.convert("RGB")))
        assert np.abs(pixels(path).astype(int) - rgb).mean() < 8


@pytest.mark.parametrize(
    ("data", "options", "reason"),
    [
        (np.zeros((20, 30), np.float32), {}, "floating-point"),
        (np.zeros((20, 30, 3), np.float32), {"photometric": "rgb"}, "floating-point"),
        (np.zeros((20, 30), np.int16), {"photometric": "minisblack"}, "signed"),
        (np.zeros((20, 30), np.uint32), {"photometric": "minisblack"}, "32 bits"),
        (np.zeros((5, 20, 30), np.uint8), {"photometric": "minisblack"}, "5 images of the same size"),
        (np.zeros((2, 20, 30, 3), np.uint8), {"photometric": "rgb"}, "2 images of the same size"),
        (np.zeros((3, 20, 30), np.uint16), {"photometric": "minisblack"}, "does not say which are red"),
        (np.zeros((20, 30, 6), np.uint8), {"photometric": "minisblack", "planarconfig": "contig"}, "6 channels"),
        (np.zeros((20, 30, 2), np.uint8), {"photometric": "minisblack", "planarconfig": "contig"}, "2 channels"),
        (np.zeros((20, 30, 3), np.uint8), {"photometric": "cielab"}, r"its colours \(CIELAB\) cannot be converted"),
    ],
)
def test_what_has_no_meaning_as_rgb_is_refused_by_name(path: Path, data: np.ndarray, options: Any, reason: str) -> None:
    write(path, data, **options)
    with pytest.raises(DataError, match=rf"field\.tif.*{reason}"):
        pixels(path)


def ome(path: Path, rgb: np.ndarray, channels: list[dict[str, Any]] | None = None, **metadata: Any) -> Path:
    """One page a channel, described by OME-XML."""
    described = {"axes": "CYX", **metadata}
    if channels:
        described["Channel"] = {key: [channel[key] for channel in channels] for key in channels[0]}
    tifffile.imwrite(path, np.moveaxis(rgb, 2, 0), photometric="minisblack", ome=True, metadata=described)
    return path


def test_one_page_a_channel_is_put_together_if_the_channels_are_named(path: Path, rgb: RGB) -> None:
    ome(path, rgb[..., [2, 0, 1]], [{"Name": "Blue"}, {"Name": "Red"}, {"Name": "Green"}])
    np.testing.assert_array_equal(pixels(path), rgb)
    assert "put together as red, green and blue" in notes(path)


@pytest.mark.parametrize("names", [None, ["DAPI", "FITC", "Cy5"], ["Red", "Red", "Blue"]])
def test_one_page_a_channel_is_refused_if_they_are_not_red_green_and_blue(
    path: Path, rgb: RGB, names: list[str] | None
) -> None:
    ome(path, rgb, [{"Name": name} for name in names] if names else None)
    with pytest.raises(DataError, match="does not say which are red, green and blue"):
        pixels(path)


def test_stacks_of_imagej_are_refused(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((4, 2, 20, 30), np.uint8), imagej=True, metadata={"axes": "ZCYX"})
    with pytest.raises(DataError, match="2 channels, 4 slices"):
        pixels(path)


def test_a_description_that_defines_entities_is_not_parsed(path: Path, rgb: RGB) -> None:
    text = '<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY a "aaaa">]><OME><Pixels SizeZ="3">&a;</Pixels></OME>'
    write(path, rgb, photometric="rgb", description=text)
    np.testing.assert_array_equal(pixels(path), rgb)


@pytest.mark.parametrize("form", [{}, {"tile": (16, 16)}, {"planarconfig": "separate"}])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.95])
def test_truncated_files_are_refused(path: Path, rgb: RGB, form: Any, share: float) -> None:
    write(path, np.moveaxis(rgb, 2, 0) if "planarconfig" in form else rgb, photometric="rgb", **form)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=r"field\.tif"):
        open_image(path)


def test_a_page_that_leads_back_to_itself_ends(path: Path, rgb: RGB) -> None:
    write(path, rgb, photometric="rgb")
    content = bytearray(path.read_bytes())
    start = int.from_bytes(content[4:8], "little")
    after = start + 2 + 12 * int.from_bytes(content[start : start + 2], "little")
    content[after : after + 4] = content[4:8]
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"field\.tif"):
        open_image(path)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_damaged_files_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("damaged") / "field.tif"
    write(path, picture(20, 30).astype(np.uint16), photometric="rgb", tile=(16, 16), compression="deflate")
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        assert pixels(path).dtype == np.uint8
    except DataError as reason:
        assert "field.tif" in str(reason)  # noqa: PT017


# -------------------------------------------------------------------------------------------------- um/px


_HALF = {"resolution": (20_000, 20_000), "resolutionunit": "centimeter"}
_TWO = "the file says 0.25 um/px in its description and 0.5 in its resolution tags; 0.25 is used"


@pytest.mark.parametrize(
    ("options", "mpp", "note"),
    [
        ({"resolution": (40_000, 20_000), "resolutionunit": "centimeter"}, (0.25, 0.5), ""),
        ({"resolution": (101_600, 101_600), "resolutionunit": "inch"}, (0.25, 0.25), ""),
        ({"resolution": (72, 72), "resolutionunit": "inch"}, None, ""),
        ({"resolution": (10_000, 10_000), "resolutionunit": "inch"}, (2.54, 2.54), ""),
        ({"resolution": (4e6, 4e6), "resolutionunit": "centimeter"}, None, "outside 0.1-10"),
        ({"resolution": (40_000, 40_000), "resolutionunit": "none"}, None, ""),
        ({"description": "Aperio Image Library\n53x37|AppMag = 40|MPP = 0.2520|Date = 1"}, (0.252, 0.252), ""),
        ({"description": "Aperio Image Library\n53x37|MPP = 0,2520"}, (0.252, 0.252), ""),
        ({"description": "Aperio Image Library\n53x37|MPP = 0"}, None, "is not a positive number"),
        ({"description": "Aperio Image Library\n53x37|MPP = 0.25.2"}, None, "(MPP '0.25.2') is not a number"),
        (
            {"description": "Aperio Image Library\n53x37|MPP = 0.25 um|Date = 1"},
            None,
            "(MPP '0.25 um') is not a number",
        ),
        ({"description": "Aperio Image Library|MPP = 0.25", **_HALF}, (0.25, 0.25), _TWO),
        ({"description": "Aperio Image Library|MPP = 0.49", **_HALF}, (0.49, 0.49), ""),
        ({"description": "Aperio Image Library|MPP = half", **_HALF}, (0.5, 0.5), "(MPP 'half') is not a number"),
        (
            {"description": "Aperio Image Library|MPP = 0.25", "resolution": (300, 300), "resolutionunit": 2},
            (0.25, 0.25),
            "",
        ),
        ({"description": "ImageJ=1.53\nunit=micron\n", "resolution": (4, 4)}, (0.25, 0.25), ""),
    ],
)
def test_um_px_of_the_tags(path: Path, rgb: RGB, options: Any, mpp: tuple[float, float] | None, note: str) -> None:
    write(path, rgb, photometric="rgb", **options)
    with open_image(path) as image:
        assert image.mpp == (pytest.approx(mpp) if mpp else None)
        assert note in "; ".join(image.notes)
        assert bool(note) == bool(image.notes)


def test_um_px_of_ome(path: Path, rgb: RGB) -> None:
    metadata = {"axes": "YXS", "PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5}
    tifffile.imwrite(path, rgb, photometric="rgb", ome=True, metadata=metadata)
    with open_image(path) as image:
        assert image.mpp == pytest.approx((0.25, 0.5))


def test_um_px_of_ome_and_of_the_tags_are_compared(path: Path, rgb: RGB) -> None:
    metadata = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    tifffile.imwrite(path, rgb, photometric="rgb", ome=True, metadata=metadata, **_HALF)
    assert notes(path) == _TWO.replace("description", "OME-XML")


def test_um_px_are_turned_with_the_image(path: Path, rgb: RGB) -> None:
    tags = {"resolution": (40_000, 20_000), "resolutionunit": "centimeter", "extratags": [(274, 3, 1, 6, True)]}
    write(path, rgb, photometric="rgb", **tags)
    with open_image(path) as image:
        assert image.mpp == pytest.approx((0.5, 0.25))


# ------------------------------------------------------------------------------------------------- regions


def pyramid(path: Path, image: RGB, **options: Any) -> Path:
    """An OME-TIFF with two reduced resolutions as SubIFDs, the means of 2 x 2 and 4 x 4 pixels."""
    height, width, _ = image.shape
    with tifffile.TiffWriter(path, ome=True) as tiff:
        kept = {"photometric": "rgb", "tile": (32, 32), **options}
        metadata = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
        tiff.write(image, subifds=2, metadata=metadata, **kept)
        for factor in (2, 4):
            blocks = image.reshape(height // factor, factor, width // factor, factor, 3).astype(float)
            tiff.write(blocks.mean(axis=(1, 3)).round().astype(image.dtype), subfiletype=1, **kept)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_pyramid_is_read_from_its_best_resolution(path: Path, dtype: Any) -> None:
    image = picture(160, 240)
    pyramid(path, image.astype(dtype) * dtype(257 if dtype is np.uint16 else 1), compression="deflate")
    with open_image(path) as opened:
        assert opened.levels == ((240, 160), (120, 80), (60, 40))
        assert [opened.level_for(factor) for factor in (1, 1.9, 2, 3.9, 4, 9)] == [0, 0, 1, 1, 2, 2]
        np.testing.assert_array_equal(opened.read(), image)
        half = opened.region(40, 20, 80, 60, mpp=0.5)
        means = image.reshape(80, 2, 120, 2, 3).mean(axis=(1, 3))[10:40, 20:60]
        assert np.abs(half - means).max() <= 1
        assert opened.region(0, 0, 240, 160, mpp=1.0).shape == (40, 60, 3)
        assert opened.region(0, 0, 240, 160, mpp=0.125).shape == (320, 480, 3)


def test_um_px_outside_the_stored_ones_are_averaged(tmp_path: Path) -> None:
    image = picture(60, 90)
    path = write(tmp_path / "a.tif", image, photometric="rgb", resolution=(40_000,) * 2, resolutionunit="centimeter")
    with open_image(path) as opened:
        third = opened.region(0, 0, 90, 60, mpp=0.75)
    means = image.reshape(20, 3, 30, 3, 3).mean(axis=(1, 3))
    assert third.shape == (20, 30, 3)
    assert np.abs(third - means).mean() < 6


@settings(max_examples=25, deadline=None)
@given(st.integers(-20, 60), st.integers(-20, 60), st.integers(1, 50), st.integers(1, 50), st.booleans())
def test_a_region_is_a_part_of_the_image_and_white_outside(
    tmp_path_factory: pytest.TempPathFactory, x: int, y: int, width: int, height: int, planar: bool
) -> None:
    image = picture()
    path = tmp_path_factory.mktemp("region") / "field.tif"
    form = {"planarconfig": "separate", "tile": (16, 16)} if planar else {"rowsperstrip": 7}
    write(path, np.moveaxis(image, 2, 0) if planar else image, photometric="rgb", **form)
    canvas = np.full((200, 200, 3), 255, np.uint8)
    canvas[50 : 50 + image.shape[0], 50 : 50 + image.shape[1]] = image
    with open_image(path) as opened:
        region = opened.region(x, y, width, height)
    np.testing.assert_array_equal(region, canvas[50 + y :, 50 + x :][:height, :width])


def test_an_open_image_can_be_pickled(path: Path, rgb: RGB) -> None:
    write(path, np.moveaxis(rgb, 2, 0), photometric="rgb", planarconfig="separate")
    with open_image(path) as image:
        image.read()
        with pickle.loads(pickle.dumps(image)) as copy:
            np.testing.assert_array_equal(copy.region(1, 2, 9, 8), rgb[2:10, 1:10])


def test_a_region_of_no_pixels_or_at_unknown_um_px_is_refused(path: Path, rgb: RGB) -> None:
    write(path, rgb, photometric="rgb")
    with open_image(path) as image:
        with pytest.raises(DataError, match=r"field\.tif: a region of 0 x 5 px"):
            image.region(0, 0, 0, 5)
        with pytest.raises(DataError, match="has no um/px"):
            image.region(0, 0, 5, 5, mpp=0.5)


# ------------------------------------------------------------------------------------- without the extra


@pytest.fixture
def core_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if OpenSlide, imagecodecs and pydicom were not installed."""
    for name in ("openslide", "imagecodecs", "pydicom"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    monkeypatch.setattr(optional, "is_installed", lambda module: False)


@pytest.mark.usefixtures("core_alone")
def test_ordinary_images_need_no_extra(tmp_path: Path, rgb: RGB) -> None:
    for compression in (None, "lzw", "deflate"):
        path = write(tmp_path / f"{compression}.tif", rgb, photometric="rgb", compression=compression)
        np.testing.assert_array_equal(pixels(path), rgb)
    path = write(tmp_path / "planar.tif", np.moveaxis(rgb, 2, 0), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(pixels(path), rgb)


@pytest.mark.usefixtures("core_alone")
def test_what_needs_the_extra_says_so(path: Path, rgb: RGB) -> None:
    write(path, rgb.astype(np.uint16), photometric="rgb", compression="lzw")
    with pytest.raises(DataError, match=r"LZW compression.*imagecodecs.*pip install 'mitobench\[slides\]'"):
        open_image(path)
    slide = path.with_suffix(".mrxs")
    slide.write_bytes(b"[HIERARCHICAL]")
    with pytest.raises(DataError, match=r"whole slide.*openslide-python.*mitobench\[slides\]"):
        open_image(slide)
    dicom = path.with_suffix(".dcm")
    dicom.write_bytes(bytes(128) + b"DICM")
    with pytest.raises(DataError, match=r"DICOM.*pydicom.*mitobench\[slides\]"):
        open_image(dicom)
