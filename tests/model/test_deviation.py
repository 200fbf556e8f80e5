"""Images that differ from the training frames get a note, and those that cannot be judged get no counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from slides.reader.pictures import picture

from mitobench.api import Frame
from mitobench.model import card as cards
from mitobench.model.batch import Options, predict_files
from mitobench.model.card import ModelCard, Range, TrainingRanges
from mitobench.model.deviation import DOUBT, Judgement, _outside, judge, judge_image, ranges_of
from mitobench.slides.appearance import MEASURES, patches_of
from mitobench.slides.reader import open_image
from mitobench.slides.tissue import everywhere, find
from model.toy_models import card, dots, frame

MPP = 0.25


def training_frames() -> list[Frame]:
    return [frame(picture(800, 800, seed), MPP) for seed in range(4)]


@pytest.fixture(scope="module")
def ranges() -> TrainingRanges:
    found = ranges_of(training_frames(), MPP)
    assert found is not None
    return found


@pytest.fixture
def model_card(ranges: TrainingRanges) -> ModelCard:
    return card(mpp=MPP, ranges=ranges)


def judged(card: ModelCard, pixels: NDArray[np.uint8], mpp: float = MPP) -> Judgement:
    return judge(card, pixels, patches_of(pixels, (mpp, mpp), card.mpp), (mpp, mpp))


def test_ranges_have_every_measure(ranges: TrainingRanges) -> None:
    assert (ranges.frames, ranges.patches) == (4, 36)
    assert (ranges.mpp.low, ranges.mpp.high) == (MPP, MPP)
    assert set(ranges.values) == set(MEASURES)
    assert all(one.low < one.high for one in ranges.values.values())


def test_a_source_with_few_frames_counts_as_much_as_one_with_many() -> None:
    """A scanner is not left out of the ranges because another one has more frames."""
    pale = replace(frame((255 - (255 - picture(800, 800, 9).astype(int)) * 0.5).astype(np.uint8), MPP), scanner="B")
    many = ranges_of([*training_frames()] * 3, MPP)
    both = ranges_of([*[*training_frames()] * 3, pale, pale], MPP)
    assert many is not None
    assert both is not None
    assert both.frames == 14
    for name in ("eosin", "haematoxylin"):
        assert both.values[name].low < 0.7 * many.values[name].low
        assert both.values[name].high == many.values[name].high


def test_frames_of_glass_have_no_ranges() -> None:
    glass = np.full((800, 800, 3), 245, dtype=np.uint8)
    assert ranges_of([frame(glass, MPP)], MPP) is None
    assert ranges_of([], MPP) is None


def test_an_image_like_the_training_frames_has_no_note(model_card: ModelCard) -> None:
    assert judged(model_card, picture(800, 800, 77)) == Judgement()


def test_a_model_without_ranges_has_no_note() -> None:
    assert judged(card(mpp=MPP), np.clip(picture(800, 800).astype(int) + 20, 0, 255).astype(np.uint8)) == Judgement()


def test_a_pale_image_and_a_blurred_one_are_noted(model_card: ModelCard) -> None:
    pixels = picture(800, 800, 77)
    pale = (255 - (255 - pixels.astype(int)) * 0.5).astype(np.uint8)
    notes = judged(model_card, pale).notes
    assert any(note.startswith("density of eosin is lower than in the training frames: ") for note in notes)
    blurred = np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(2)))
    assert any(note.startswith("sharpness is lower than") for note in judged(model_card, blurred).notes)


def test_another_resolution_is_noted(model_card: ModelCard) -> None:
    (note, *_) = judged(model_card, picture(800, 800, 77), 0.5).notes
    assert note == "coarser um/px than the training frames: 0.5, and they have 0.25"
    assert not any("um/px" in note for note in judged(model_card, picture(800, 800, 77), 0.23).notes)


@pytest.mark.parametrize(
    ("pixels", "note"),
    [
        (np.zeros((300, 300, 3), dtype=np.uint8), "one colour"),
        (np.repeat(picture(300, 300)[..., :1], 3, axis=2), "no colour"),
        (255 - picture(300, 300), "inverted"),
        (picture(300, 300) // 20, "black"),
    ],
)
def test_grey_black_and_inverted_images_are_not_judged(
    model_card: ModelCard, pixels: NDArray[np.uint8], note: str
) -> None:
    for any_card in (model_card, card(mpp=MPP)):
        judgement = judged(any_card, pixels)
        assert not judgement.judged
        assert note in judgement.notes[0]


RNG = np.random.default_rng(4)


def noisy(*colour: int, noise: int = 4) -> NDArray[np.uint8]:
    return (np.array(colour) + RNG.integers(-noise, noise + 1, (300, 300, 3))).clip(0, 255).astype(np.uint8)


def fluorescence() -> NDArray[np.uint8]:
    """Blue nuclei and red membranes on black."""
    pixels = noisy(6, 0, 8)
    pixels[40:90, 40:90] = (10, 0, 220)
    pixels[150:250, 100:110] = (230, 20, 0)
    return pixels


@pytest.mark.parametrize(
    "pixels",
    [
        fluorescence(),
        noisy(244, 243, 245),  # glass with noise
        noisy(190, 190, 182),  # grey with a tint
        noisy(150, 150, 150, noise=3),
        noisy(190, 160, 120),  # sepia
        noisy(150, 100, 50),  # DAB
    ],
    ids=["fluorescence", "glass", "tinted grey", "grey with noise", "sepia", "DAB"],
)
def test_an_image_on_which_nothing_has_the_colours_of_he_is_not_judged(
    model_card: ModelCard, tmp_path: Path, pixels: NDArray[np.uint8]
) -> None:
    for any_card in (model_card, card(mpp=MPP)):
        judgement = judged(any_card, pixels)
        assert not judgement.judged
        assert "no part of the image has the colours of H&E" in judgement.notes[0]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (row,) = predict_files(dots(), [tmp_path / "a.png"], tmp_path / "out", MPP)
    assert (row.mitoses, row.mitoses_per_mm2, row.tissue_mm2, row.hot_spot_mitoses) == (None,) * 4
    assert row.note.startswith("not judged: no part of the image has the colours of H&E")
    assert "searched" not in row.note
    assert "Not judged" in (tmp_path / "out" / "a.html").read_text()
    assert not (tmp_path / "out" / "a.csv").exists()


def test_a_slide_of_glass_and_dust_is_not_judged_unless_the_user_says_where_tissue_is(tmp_path: Path) -> None:
    pixels = np.tile(noisy(244, 243, 245), (2, 2, 1))
    pixels[100:103, 100:103] = 90
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.new("L", (10, 10), 255).save(tmp_path / "mask.bmp")
    (row,) = predict_files(dots(), [tmp_path / "a.png"], tmp_path / "out", 1.0)
    assert row.mitoses is None
    options = Options(mpp=1.0, tissue=tmp_path / "mask.bmp")
    (row,) = predict_files(dots(), [tmp_path / "a.png"], tmp_path / "given", options=options)
    assert row.mitoses == 0


def test_a_region_without_the_stain_is_noted(model_card: ModelCard) -> None:
    """Its stain cannot be compared with that of the training frames."""
    judgement = judge(model_card, picture(300, 300), [noisy(150, 150, 150)], (MPP, MPP), found=True)
    assert judgement.judged
    assert any("does not have the colours of H&E" in note for note in judgement.notes)


def test_both_ways_of_judging_need_the_stain_where_the_user_did_not_say_that_there_is_tissue(
    model_card: ModelCard, tmp_path: Path
) -> None:
    pixels = noisy(150, 110, 60)
    Image.fromarray(pixels).save(tmp_path / "brown.png")
    with open_image(tmp_path / "brown.png") as image:
        where = everywhere(image, (MPP, MPP))
        for options, judged in (({}, False), ({"found": True}, True)):
            assert judge(model_card, pixels, [pixels], (MPP, MPP), **options).judged is judged
            assert judge_image(model_card, image, (MPP, MPP), where, **options).judged is judged


def test_a_slide_is_judged_by_its_tissue(model_card: ModelCard, tmp_path: Path) -> None:
    slide = np.full((2400, 2400, 3), 245, dtype=np.uint8)
    slide[800:1600, 800:1600] = picture(800, 800, 77)
    Image.fromarray(slide).save(tmp_path / "slide.png")
    with open_image(tmp_path / "slide.png") as image:
        tissue = find(image, (MPP, MPP))
        assert judge_image(model_card, image, (MPP, MPP), tissue) == Judgement()
        coarse = judge_image(model_card, image, (0.5, 0.5), tissue, found=True)
    assert "coarser um/px" in coarse.notes[0]


def test_cards_without_ranges_keep_their_digest(tmp_path: Path, ranges: TrainingRanges) -> None:
    for name, one in (("old", card()), ("new", card(ranges=ranges))):
        (tmp_path / name).mkdir()
        cards.write(tmp_path / name, one)
        assert cards.read(tmp_path / name).ranges == one.ranges
    assert '"ranges"' not in (tmp_path / "old" / "model.json").read_text()


def test_a_value_hardly_beyond_a_range_has_no_note() -> None:
    """By less than a twentieth of its width: what is noted looks different from the end of the range."""
    trained = Range(low=0.31, high=0.6183)
    for value in (0.30, 0.61842, 0.63):
        assert not _outside("saturation", value, trained)
    (note,) = _outside("saturation", 0.64, trained)
    assert note == "saturation is higher than in the training frames: 0.64, and theirs is 0.31 to 0.618"
    assert _outside("saturation", 0.29, trained)


@pytest.mark.parametrize(("stored", "doubtful"), [(0.25, False), (0.5, False), (4.6, True)])
def test_counts_at_um_px_far_from_those_of_the_file_are_doubtful(tmp_path: Path, stored: float, doubtful: bool) -> None:
    """The summary and the top of the report say so; the file may be wrong, so it is judged."""
    path = tmp_path / "a.tif"
    tags = {282: 10_000 / stored, 283: 10_000 / stored, 296: 3}
    Image.fromarray(picture(400, 400)).save(path, tiffinfo=tags)
    (row,) = predict_files(dots(), [path], tmp_path / "out", options=Options(mpp=0.25))
    report = " ".join((tmp_path / "out" / "a.html").read_text().split())
    assert row.done
    assert (DOUBT in row.note) == doubtful
    assert ("Do not trust these counts" in report) == doubtful
    assert (f"the file says {stored:g} um/px, and 0.25 is used" in row.note) == (stored != 0.25)


def test_an_image_that_is_not_judged_has_no_doubtful_counts(tmp_path: Path) -> None:
    path = tmp_path / "grey.tif"
    tags = {282: 10_000 / 4.6, 283: 10_000 / 4.6, 296: 3}
    Image.fromarray(np.full((400, 400, 3), 120, dtype=np.uint8)).save(path, tiffinfo=tags)
    (row,) = predict_files(dots(), [path], tmp_path / "out", options=Options(mpp=0.25))
    assert not row.done
    assert DOUBT not in row.note
