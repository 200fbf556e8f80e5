"""The report on a slide says what was found, needs no other file, and stays small."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mitobench.errors import DataError
from mitobench.gallery.drawing import CROP_UM
from mitobench.model.deviation import Judgement
from mitobench.model.pages import write_report
from mitobench.model.pages.crops import CROP_PX
from mitobench.model.pages.slide_page import MAX_MITOSES, MAX_NEAREST
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
    assert (
        "F1 .500 on the test part of synthetic (by-slide, seed 0) at a threshold of .500, as its record says." in text
    )
    assert "keeps more candidates than in that run, so F1 may differ. It may be lower on slides" in text
    assert "0.5 um/px; the model works at 1 um/px" in text
    assert "trained on little" in text
    assert "not for diagnosis" in text


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
    assert text_of(path).count("This part of the slide cannot be decoded.") == 2
