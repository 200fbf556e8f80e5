"""index.html as readers use it: in a browser, from a file, without network."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from itertools import combinations as pairs_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from boards import SCRIPT, board, combinations, many
from records import DETECTIONS, ok

from mitobench.report import html_page
from mitobench.report.build import read_sections
from mitobench.results import record

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Open = Callable[..., "Page"]
SYNTHETIC = "Synthetic, by slide"
MITOS = "MITOS 2012, official split"
NAMES = [" + ".join(name for name in names.values() if name != "-") for names in combinations()]


def write(folder: Path) -> str:
    (path,) = html_page.write(folder, read_sections(folder / "records"))
    return path.as_uri()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(board(tmp_path_factory.mktemp("board")))


@pytest.fixture
def show(browser: Browser, url: str) -> Iterator[Open]:
    """Opens the page at a section. The test fails if there was an error, a dialog or a request."""
    contexts, wrong = [], []

    def show(section: str = SYNTHETIC, width: int = 1600, scheme: str = "light", at: str = url) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        opened = context.new_page()
        opened.set_default_timeout(20_000)
        opened.on(
            "console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None
        )
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on("dialog", lambda dialog: (wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))
        opened.on("request", lambda request: None if request.url == at else wrong.append(f"request {request.url[:80]}"))
        opened.goto(at)
        opened.wait_for_selector("html[data-ready]")
        if opened.locator("#section").count():
            opened.select_option("#section", label=section)
        return opened

    yield show
    for context in contexts:
        context.close()
    assert wrong == []


def titles(shown: Page) -> list[str]:
    return shown.locator("tbody .open").all_inner_texts()


def column(shown: Page, key: str) -> list[str]:
    return shown.locator(f'tbody td[data-key="{key}"]').all_inner_texts()


def sorting(shown: Page, key: str) -> str | None:
    return shown.locator(f'th[data-key="{key}"]').get_attribute("aria-sort")


def until(true: Callable[[], bool]) -> None:
    """Waits until a condition is true, ten seconds at most."""
    for _ in range(200):
        if true():
            return
        time.sleep(0.05)
    pytest.fail("The page did not change within ten seconds.")


def drawn(shown: Page, plot: str) -> dict[str, Any]:
    """The chart that a plot shows; it is drawn when it is scrolled to."""
    shown.locator(f'[data-plot="{plot}"]').scroll_into_view_if_needed()
    shown.wait_for_selector(f'[data-plot="{plot}"].drawn')
    chart: dict[str, Any] = shown.evaluate("plot => document.querySelector(`[data-plot=${plot}] .canvas`).chart", plot)
    return chart


def legend(shown: Page, plot: str) -> set[str]:
    return {line["name"] for line in drawn(shown, plot)["lines"] if line.get("name")}


# ------------------------------------------------------------------------------------------------- the table


def test_rows_are_in_the_order_of_rank_and_show_failed_and_missing_seeds(show: Open) -> None:
    shown = show()
    assert titles(shown) == [*NAMES, f"fixed + {SCRIPT} + resnet50 + linear"]
    assert column(shown, "seeds")[0] == "0 1 2"
    assert column(shown, "seeds")[5] == "0 1 missing 2"
    assert column(shown, "seeds")[-1] == "FAILED 0 missing 1 2"
    assert column(shown, "f1")[-1] == "FAILED"
    assert column(shown, "rank")[0] == "1 ≈"
    assert column(shown, "rank")[-1] == "–"


def test_a_click_on_a_header_sorts_best_first_and_the_next_one_reverses(show: Open) -> None:
    shown = show()
    shown.click('th[data-key="ap"] button')
    assert sorting(shown, "ap") == "descending"
    assert sorting(shown, "rank") is None
    down = column(shown, "ap")
    assert down[:-1] == sorted(down[:-1], reverse=True)
    shown.click('th[data-key="ap"] button')
    assert sorting(shown, "ap") == "ascending"
    assert column(shown, "ap") == [*reversed(down[:-1]), "–"]  # what has no value is last either way


def test_text_and_roles_filter_the_rows(show: Open) -> None:
    shown = show()
    shown.fill("#search", "RPN linear")
    assert titles(shown) == ["fcn + rpn + resnet50 + linear", "fixed + rpn + resnet50 + linear"]
    assert shown.inner_text("#count") == "2 of 13 rows"
    shown.select_option('[data-role="estimator"]', "fcn")
    assert titles(shown) == ["fcn + rpn + resnet50 + linear"]
    shown.fill("#search", "nothing like it")
    assert titles(shown) == []
    shown.fill("#search", "")
    assert len(titles(shown)) == 6


def test_plots_show_the_rows_that_the_table_shows(show: Open) -> None:
    shown = show()
    assert len(drawn(shown, "bars")["bars"]) == 12
    shown.select_option('[data-role="detector"]', "frcnn")
    until(lambda: len(drawn(shown, "bars")["bars"]) == 6)


def test_another_section_has_its_own_rows_and_its_published_numbers(show: Open) -> None:
    shown = show(MITOS)
    assert len(titles(shown)) == 2
    shown.click("text=Published, not measured here")
    assert "IDSIA" in shown.inner_text("#published-table")
    stars = drawn(shown, "plane")["points"][0]
    assert any("IDSIA" in star["hover"] and "not measured here" in star["hover"] for star in stars)
    shown.select_option("#section", label=SYNTHETIC)
    assert not shown.locator("text=Published, not measured here").is_visible()


def test_f1_of_fewer_seeds_than_others_have_shows_their_number(show: Open) -> None:
    found = column(show(), "f1")
    assert "mean of" not in found[0]
    assert "(mean of 2) [" in found[5]


def test_of_many_rows_only_the_best_are_plotted(show: Open, tmp_path: Path) -> None:
    shown = show(at=write(many(tmp_path, 120)))
    assert len(drawn(shown, "bars")["bars"]) == 12
    assert "12 of 40 rows" in shown.inner_text('[data-plot="bars"] figcaption')
    shown.locator("tbody input").nth(20).check()
    until(lambda: len(drawn(shown, "plane")["points"][1]) == 13)  # those whose curves are drawn are there too
    shown.fill("#search", "detector-007")
    until(lambda: len(drawn(shown, "bars")["bars"]) == 1)
    assert "rows:" not in shown.inner_text('[data-plot="bars"] figcaption')


def test_variants_of_one_combination_are_distinguished_in_plots(show: Open, tmp_path: Path) -> None:
    for f1, iterations in ((0.6, 300), (0.5, 60)):
        made = ok(f1=f1)
        shown_options = {"iterations": iterations}
        detector = made.plugins["detector"].model_copy(update={"options": shown_options, "variant": shown_options})
        changed = made.model_copy(update={"plugins": {**made.plugins, "detector": detector}})
        record.write(tmp_path / "records", changed, DETECTIONS)
    shown = show(at=write(tmp_path))
    bars = drawn(shown, "bars")["bars"]
    assert "frcnn iterations 300" in bars[0]["hover"]
    assert "frcnn iterations 60" in bars[1]["hover"]
    assert bars[0]["colour"] != bars[1]["colour"]
    shown.locator("tbody .open").nth(1).click()
    shown.locator("dialog").wait_for()
    assert shown.inner_text("#record-title").endswith("(frcnn iterations 60)")


BOXES = """plot => [...document.querySelectorAll(`[data-plot=${plot}] .name.muted`)]
  .map((text) => text.getBoundingClientRect()).map((box) => [box.left, box.top, box.right, box.bottom])"""


def test_names_of_published_numbers_do_not_overlap(show: Open) -> None:
    shown = show(MITOS)
    for plot in ("plane", "time"):
        drawn(shown, plot)
        boxes = shown.evaluate(BOXES, plot)
        assert len(boxes) > 2
        apart = [a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1] for a, b in pairs_of(boxes, 2)]
        assert all(apart)


# ------------------------------------------------------------------------------------------------- curves


def test_the_reader_chooses_the_rows_whose_curves_are_drawn(show: Open) -> None:
    shown = show()
    best = [f"{rank} · {name}" for rank, name in enumerate(NAMES, 1)]
    assert legend(shown, "pr") == legend(shown, "froc") == set(best[:3])
    shown.locator("tbody input").nth(7).check()
    shown.locator("tbody input").nth(0).uncheck()
    until(lambda: legend(shown, "pr") == legend(shown, "froc") == {best[1], best[2], best[7]})


# ------------------------------------------------------------------------------------------------- a record


def test_a_row_opens_its_record(show: Open) -> None:
    shown = show()
    shown.click(f"text={NAMES[3]}")
    dialog = shown.locator("dialog")
    dialog.wait_for()
    for text in (
        "mitobench run",
        "mitobench reproduce records/synthetic-by-slide-fcn-rpn",
        "threshold",
        "detector: rpn, version 1",
        "versions",
        "10 frames",
    ):
        assert dialog.locator(f"text={text}").first.is_visible()
    rates = [head for head in dialog.locator(".numbers").first.locator("th").all_inner_texts() if "FP/frame" in head]
    assert rates == [f"at {rate} FP/frame" for rate in ("1/8", "1/4", "1/2", "1", "2", "4", "8")]
    shown.click("dialog >> text=10 frames")
    assert dialog.locator("tr", has_text="A00_01").is_visible()
    shown.click("dialog >> text=detector: rpn")
    assert dialog.locator("details[open] dt", has_text="lr").is_visible()
    link = dialog.locator("a").get_attribute("href")
    assert link is not None
    assert link.startswith("records/synthetic-by-slide-fcn-rpn-resnet50-linear-s0-")
    shown.select_option("#seed", label="2")
    until(lambda: "-s2-" in str(dialog.locator("a").get_attribute("href")))


def test_a_failed_record_shows_the_reason(show: Open) -> None:
    shown = show()
    shown.locator("tbody .open").last.click()
    shown.locator("dialog").wait_for()
    assert f"FAILED: detector '{SCRIPT}' raised ValueError" in shown.inner_text("dialog")


# ------------------------------------------------------------------------------------------------- keyboard


def tab_to(shown: Page, what: str) -> None:
    for _ in range(60):
        shown.keyboard.press("Tab")
        if shown.evaluate("what => document.activeElement.matches(what)", what):
            return
    pytest.fail(f"Tab does not reach {what}")


def test_everything_works_by_keyboard(show: Open) -> None:
    shown = show()
    tab_to(shown, "#search")
    shown.keyboard.type("frcnn")
    assert len(titles(shown)) == 6
    tab_to(shown, 'th[data-key="f1"] button')
    shown.keyboard.press("Enter")
    shown.keyboard.press("Enter")
    assert sorting(shown, "f1") == "ascending"
    tab_to(shown, "tbody input")
    shown.keyboard.press("Space")
    assert shown.locator("tbody input").first.is_checked()
    tab_to(shown, "tbody .open")
    shown.keyboard.press("Enter")
    shown.locator("dialog").wait_for()
    tab_to(shown, "#seed")
    shown.keyboard.press("Escape")
    assert not shown.locator("dialog").is_visible()
    assert shown.evaluate("document.activeElement.className") == "open"


# ------------------------------------------------------------------------------------------------- a hostile name


def test_a_plugin_named_like_a_script_stays_text_everywhere(show: Open) -> None:
    shown = show(MITOS)
    name = f"fixed + {SCRIPT} + resnet50 + linear"
    assert titles(shown)[0] == name
    assert SCRIPT in shown.locator('[data-role="detector"] option').all_inner_texts()
    shown.select_option('[data-role="detector"]', SCRIPT)
    shown.fill("#search", SCRIPT)
    assert titles(shown) == [name]
    drawn(shown, "bars")
    assert SCRIPT in " ".join(shown.locator('[data-plot="bars"] .bar-name').all_text_contents())
    drawn(shown, "plane")
    shown.locator('[data-plot="plane"] .marker').last.hover()
    assert SCRIPT in shown.inner_text("#hover")
    drawn(shown, "pr")
    assert SCRIPT in shown.inner_text('[data-plot="pr"] .legend')
    shown.locator("tbody .open").first.click()
    shown.locator("dialog").wait_for()
    assert shown.inner_text("#record-title") == name
    assert f"detector: {SCRIPT}" in shown.inner_text("dialog")
    assert shown.locator("script").count() == len(html_page.SCRIPTS) + 3  # blocks of data


# ------------------------------------------------------------------------------------------------- looks


def test_the_pointer_shows_what_a_mark_is_and_leaves_again(show: Open) -> None:
    shown = show()
    drawn(shown, "bars")
    shown.locator('[data-plot="bars"] .bar').nth(1).hover()
    assert shown.inner_text("#hover").splitlines()[0] == f"2 · {NAMES[1]}"
    assert re.search(r"F1 \.\d{3} \[\.\d{3}, \.\d{3}\]", shown.inner_text("#hover"))
    shown.mouse.move(2, 2)
    assert not shown.locator("#hover").is_visible()


def test_marks_and_bars_are_where_their_values_are(show: Open) -> None:
    """Read back from the drawing: the ticks of an axis give its scale."""
    shown = show()
    chart = drawn(shown, "bars")
    zero, fifth = (
        float(shown.locator('[data-plot="bars"] .tick').nth(n).get_attribute("x") or "nan") for n in range(2)
    )
    widths = [float(bar.get_attribute("width") or "nan") for bar in shown.locator('[data-plot="bars"] .bar').all()]
    assert widths == pytest.approx([bar["value"] * 5 * (fifth - zero) for bar in chart["bars"]], abs=0.01)
    tops = [float(bar.get_attribute("y") or "nan") for bar in shown.locator('[data-plot="bars"] .bar').all()]
    assert tops == sorted(tops)


def test_plots_follow_the_width_of_the_window(show: Open) -> None:
    shown = show()
    drawn(shown, "bars")
    width = "document.querySelector('[data-plot=bars] svg').clientWidth"
    before = shown.evaluate(width)
    shown.set_viewport_size({"width": 700, "height": 900})
    until(lambda: 0 < shown.evaluate(width) < before)


@pytest.mark.parametrize("width", [400, 1000, 1600])
def test_the_page_is_never_wider_than_the_window(show: Open, width: int) -> None:
    shown = show(width=width)
    for plot in ("plane", "time", "bars", "pr", "froc"):
        drawn(shown, plot)
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    shown.locator("tbody .open").first.click()
    shown.locator("dialog").wait_for()
    box = shown.locator("dialog").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert shown.evaluate(
        "document.querySelector('dialog').scrollWidth <= document.querySelector('dialog').clientWidth"
    )


def brightness(colour: str) -> int:
    """Of `rgb(r, g, b)`, 0 to 765."""
    return sum(int(part) for part in colour.strip("rgb()").split(","))


def test_page_and_plots_follow_the_colour_scheme(show: Open) -> None:
    shown = show(scheme="dark")
    letters = "getComputedStyle(document.querySelector('[data-plot=plane] svg text')).fill"
    drawn(shown, "plane")
    assert brightness(shown.evaluate("getComputedStyle(document.body).backgroundColor")) < 150
    assert brightness(shown.evaluate(letters)) > 400
    shown.emulate_media(color_scheme="light")
    until(lambda: brightness(shown.evaluate(letters)) < 300)
    assert brightness(shown.evaluate("getComputedStyle(document.body).backgroundColor")) > 700


CONTRAST = """() => {
  const light = (text) => {
    const part = text.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const behind = (node) => {
    const colour = getComputedStyle(node).backgroundColor;
    return colour !== "rgba(0, 0, 0, 0)" || !node.parentElement ? colour : behind(node.parentElement);
  };
  return [...document.querySelectorAll("body *:not(svg *)")]
    .filter((node) => node.checkVisibility())
    .filter((node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()))
    .map((node) => [node, light(getComputedStyle(node).color), light(behind(node))])
    .map(([node, a, b]) => [node.outerHTML.slice(0, 60), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)])
    .filter(([, ratio]) => ratio < 4.5);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_the_contrast_of_wcag_aa(show: Open, scheme: str) -> None:
    shown = show(scheme=scheme)
    assert shown.evaluate(CONTRAST) == []
    shown.locator("tbody .open").last.click()
    shown.locator("dialog").wait_for()
    assert shown.evaluate(CONTRAST) == []


def test_controls_are_not_printed(show: Open) -> None:
    shown = show(scheme="dark")
    shown.emulate_media(media="print")
    assert not shown.locator("#search").is_visible()
    assert brightness(shown.evaluate("getComputedStyle(document.body).backgroundColor")) == 765


# ------------------------------------------------------------------------------------------------- many


def test_of_many_rows_the_first_are_shown_and_the_others_on_request(show: Open, tmp_path: Path) -> None:
    shown = show(at=write(many(tmp_path, 120)))
    assert shown.inner_text("#count") == "40 of 40 rows"
    assert len(titles(shown)) == 25
    shown.click("#more")
    assert len(titles(shown)) == 40
