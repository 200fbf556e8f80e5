"""The report on a slide says what was found, needs no other file, and stays small."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mitobench.api import Detections
from mitobench.errors import DataError
from mitobench.gallery.drawing import CROP_UM
from mitobench.model.deviation import Judgement
from mitobench.model.model import Prediction
from mitobench.model.pages import write_report
from mitobench.model.pages.crops import CROP_PX
from mitobench.model.pages.slide_page import MAX_MITOSES, MAX_NEAREST, MAX_NUMBERS
from mitobench.slides.overview import Copies
from mitobench.slides.reader import Image as ReaderImage
from mitobench.slides.reader import open_image
from mitobench.slides.tissue import Tissue
from model.pages.slides import MPP, findings, pixels, report_of, written

IMAGE = re.compile(r'<img src="data:image/jpeg;base64,([^"]+)"')


def text_of(path: Path) -> str:
    """The text of a page, without pictures, style and tags."""
    html = re.sub(r"<style>.*?</style>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def pictures_of(path: Path) -> list[np.ndarray]:
    return [np.array(Image.open(io.BytesIO(base64.b64decode(code)))) for code in IMAGE.findall(path.read_text())]


def test_it_shows_counts_interval_model_and_notes(tmp_path: Path) -> None:
    text = text_of(written(tmp_path, notes=("um/px was given",)))
    assert "6 mitoses on 0.156 mm2 of tissue" in text
    assert "Candidates below the threshold 6 with a score below .500" in text
    assert re.search(r"Hot spot: 0\.02 mm2 with the most mitoses \d+ 95% interval [\d.]+ to [\d.]+", text)
    assert "um/px was given" in text
    assert "In a test on synthetic it reached F1 .500, where 1 means that every mitosis and nothing else" in text
    assert "0.5 um/px; the model works at 1 um/px" in text
    assert "slide.png in this folder is a copy of the image with green rings" in text
    assert "not for diagnosis" in text


def test_an_image_smaller_than_the_hot_spot_has_one_count_and_one_density(tmp_path: Path) -> None:
    path = written(tmp_path, area_mm2=2.0)
    html, text = path.read_text(), text_of(path)
    assert "Mitoses on the whole image 6 95% interval 2.2 to 13.1" in text
    assert "Mitoses per mm2 of tissue 38.4 95% interval 14.1 to 83.6; 6 mitoses on 0.156 mm2 of tissue" in text
    assert text.count("the count is that of the whole image") == 1
    assert text.lower().count("hot spot") == 1, "in that note"
    assert "slide has" not in text
    assert "Heat map" not in text
    assert 'class="label' not in html
    assert len(pictures_of(path)) == 1 + 12


def test_a_crop_says_in_which_hot_spot_it_lies_on_a_line_of_its_own(tmp_path: Path) -> None:
    assert "<span>hot spot 1</span>" in written(tmp_path).read_text()


def test_the_place_is_in_mm_and_in_px_of_the_file(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).uniform((120, 100), (1080, 700), (12, 2))[0]
    assert f"{(x + 0.5) / 2000:.3f}, {(y + 0.5) / 2000:.3f} mm {x:.0f}, {y:.0f} px" in text_of(written(tmp_path))


def test_mitoses_have_their_numbers_on_the_picture_unless_there_are_many(tmp_path: Path) -> None:
    html = written(tmp_path, 2 * MAX_NUMBERS).read_text()
    assert html.count('<span class="number') == MAX_NUMBERS
    assert f"<title>Mitosis {MAX_NUMBERS}</title>" in html
    html = written(tmp_path, 2 * MAX_NUMBERS + 2).read_text()
    assert '<span class="number' not in html
    assert f"<title>Mitosis {MAX_NUMBERS + 1}</title>" in html


def test_a_score_that_only_repeats_another_is_explained_once(tmp_path: Path) -> None:
    text = text_of(written(tmp_path))
    assert "It is the detector's alone." in text
    assert "detector ." not in text
    assert "verifier .475" in text


@pytest.mark.parametrize(
    ("verifier", "shown"),
    [
        ([0.95, 0.1], "It is the verifier's alone; the detector's has no weight in it."),
        ([0.95, 0.1001], "counts as a mitosis. Further digits"),
        (None, "counts as a mitosis. Further digits"),
    ],
)
def test_the_weight_of_the_verifier_is_said(tmp_path: Path, verifier: list[float] | None, shown: str) -> None:
    score = np.array([0.95, 0.1])
    xy = np.array([[300.0, 300.0], [400.0, 400.0]])
    scores = None if verifier is None else np.array(verifier)
    found = Prediction(Detections.from_points(xy, score / 3), scores, score, score >= 0.5)
    assert shown in text_of(written(tmp_path, found=found))


def test_the_um_px_have_four_digits(tmp_path: Path) -> None:
    assert "800 px at 0.2456 um/px" in text_of(written(tmp_path, mpp=(0.2456, 0.2456)))


def test_notes_on_the_model_are_folded_and_in_plain_words(tmp_path: Path) -> None:
    notes = ("mitos2012: slides are shared between training and test", "anything <else>")
    html = written(tmp_path, notes_on_model=notes).read_text()
    folded = html[html.index("<details>") : html.index("</details>")]
    assert "some test images of mitos2012 are of slides it learned from" in folded
    assert "anything &lt;else&gt;" in folded
    assert "It learned from 3 images of synthetic." in folded


def test_the_pictures_are_sorted_by_score_and_cut_from_the_right_places(tmp_path: Path) -> None:
    path = written(tmp_path)
    numbers = re.findall(r'<li id="([cn]\d+)">', path.read_text())
    assert numbers == [f"{'c' if n <= 6 else 'n'}{n}" for n in range(1, 13)]
    slide, heat, *crops = pictures_of(path)
    assert slide.shape == (800, 1200, 3)
    assert np.abs(slide.astype(int) - pixels()).mean() < 6
    assert heat.shape == (600, 900, 3)
    assert {crop.shape for crop in crops} == {(CROP_PX, CROP_PX, 3)}
    xy = np.random.default_rng(0).uniform((120, 100), (1080, 700), (12, 2))
    half = CROP_UM / MPP[0] / 2
    for crop, (x, y) in zip(crops, xy, strict=True):
        left, top = round(x + 0.5 - half), round(y + 0.5 - half)
        expected = pixels()[max(0, top) : top + round(2 * half), max(0, left) : left + round(2 * half)]
        assert np.abs(crop.mean(axis=(0, 1)) - expected.mean(axis=(0, 1))).max() < 4


def test_it_needs_no_network_and_no_script(tmp_path: Path) -> None:
    html = written(tmp_path).read_text()
    assert "<script" not in html
    assert "default-src 'none'" in html
    sources = re.findall(r'(?:src|href)="([^"]{1,40})', html)
    assert all(source.startswith(("data:", "#", "index.html")) for source in sources)
    assert "url(" not in html


def test_every_link_leads_to_a_place_on_the_page(tmp_path: Path) -> None:
    html = written(tmp_path).read_text()
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(re.findall(r' id="([^"]+)"', html))


@pytest.mark.parametrize("field", ["name", "path", "notes"])
def test_foreign_text_is_escaped(tmp_path: Path, field: str) -> None:
    evil = "<script>alert(1)</script>\u202e\x07"
    value: object = {"name": evil, "path": tmp_path / evil.replace("/", ""), "notes": (evil,)}[field]
    shown = "&lt;script&gt;alert(1)&lt;" + ("script" if field == "path" else "/script")
    html = written(tmp_path, **{field: value}).read_text(encoding="utf-8")
    assert "<script" not in html
    assert shown in html
    assert "\u202e" not in html
    assert "\x07" not in html
    assert "dots &lt;i&gt;" in html


def test_many_candidates_stay_a_few_mb_and_the_page_says_how_many_are_shown(tmp_path: Path) -> None:
    path = written(tmp_path, 3000)
    text = text_of(path)
    assert f"Shown are {MAX_MITOSES} of 1,500" in text
    assert f"Shown are {MAX_NEAREST} of 1,500" in text
    assert path.stat().st_size < 6e6


def test_without_mitoses_it_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, 0)
    text = text_of(path)
    assert "No candidate has a score of .500 or more." in text
    assert "no mitoses were found" in text
    assert "95% interval 0.0 to 3.7" in text


def test_without_tissue_there_is_no_rate(tmp_path: Path) -> None:
    text = text_of(written(tmp_path, 0, tissue=Tissue(np.zeros((50, 75), dtype=bool), 8.0)))
    assert "Hot spot – no tissue was found" in text
    assert "Mitoses per mm2 of tissue –" in text


def test_an_image_that_was_not_judged_has_no_counts(tmp_path: Path) -> None:
    text = text_of(written(tmp_path, judgement=Judgement(False, ("the image is black",))))
    assert "Not judged: this image has no counts. The image is black." in text
    assert "per mm2" not in text
    assert "Hot spot" not in text
    assert "It was not searched." in text
    assert "outline" not in text
    assert 'class="tissue"' not in (tmp_path / "slide.html").read_text()
    assert len(pictures_of(tmp_path / "slide.html")) == 1


def test_a_candidate_at_the_border_has_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "slide.png"
    Image.fromarray(pixels()).save(path)
    report = report_of(findings(path, np.array([[0.0, 0.0], [1199, 799]]), np.array([0.9, 0.8])))
    with open_image(path) as image:
        write_report(tmp_path / "slide.html", Copies(image), report)
    first, last = pictures_of(tmp_path / "slide.html")[2:]
    assert first[: CROP_PX // 2 - 4].min() > 240  # white above the slide
    assert last[CROP_PX // 2 + 4 :].min() > 240


def test_a_candidate_that_cannot_be_decoded_does_not_stop_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(image: object, box: tuple[int, int, int, int], out: tuple[int, int]) -> np.ndarray:
        if out == (CROP_PX, CROP_PX):
            raise DataError("a broken tile")
        return np.zeros((out[1], out[0], 3), dtype=np.uint8)

    monkeypatch.setattr(ReaderImage, "reduced", broken)
    path = written(tmp_path, 2)
    assert text_of(path).count("This part of the image cannot be decoded.") == 2


def test_it_says_if_the_f1_of_the_test_refers_to_another_threshold(tmp_path: Path) -> None:
    assert "The F1 of the test refers to" not in text_of(written(tmp_path))
    text = text_of(written(tmp_path, threshold=0.6))
    assert "threshold .600; the model's own is .500. The F1 of the test refers to .500" in text
