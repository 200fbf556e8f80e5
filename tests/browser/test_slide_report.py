"""The report on a slide in a browser: it fits every width, and its links and switches work by keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from model.pages.slides import written
from model.pages.test_index_page import ROWS
from model.toy_models import card

from mitobench.model.pages import write_index

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_width(browser: Browser, tmp_path: Path, scheme: str) -> None:
    write_index(tmp_path / "index.html", ROWS, 2.0, card(title="a model"), 0.6, len(ROWS))
    page = browser.new_page(color_scheme=scheme)  # type: ignore[arg-type]
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    for path in (written(tmp_path), tmp_path / "index.html"):
        page.goto(path.as_uri())
        assert page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
        for width in (400, 1024, 1600):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
    assert problems == []


def test_pictures_switches_and_places_work_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    page = browser.new_page(viewport={"width": 1024, "height": 900})
    page.goto(written(tmp_path).as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus("#show-tissue")
    assert page.locator("svg .tissue").is_visible()
    page.keyboard.press("Space")
    assert not page.locator("svg .tissue").is_visible()
    page.focus("#c3 a")
    page.keyboard.press("Enter")
    assert page.url.endswith("#m3")
    assert page.evaluate("getComputedStyle(document.querySelector('#m3 .line')).strokeWidth") == "17px"
    box = page.locator("#m3").bounding_box()
    assert box is not None
    assert 0 <= box["y"] <= 900
    page.close()


def test_it_prints_light_and_without_controls(browser: Browser, tmp_path: Path) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(written(tmp_path).as_uri())
    page.emulate_media(media="print")
    assert not page.locator(".switches").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(format="A4")[:5] == b"%PDF-"
    page.close()
