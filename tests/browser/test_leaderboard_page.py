"""index.html as a reader has it: in a browser, from a file, without network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import combinations as pairs_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from boards import SCRIPT, board, combinations, thousand
from records import DETECTIONS, ok

from mitobench.report import page
from mitobench.report.build import read_sections
from mitobench.results import record

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

Open = Callable[..., "Page"]
SYNTHETIC = "synthetic, protocol by-slide"
NAMES = [" + ".join(name for name in names.values() if name != "-") for names in combinations()]


def write(folder: Path) -> str:
    (path,) = page.write(folder, read_sections(folder / "records"))
    return path.as_uri()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(board(tmp_path_factory.mktemp("board")))


@pytest.fixture
def show(browser: Browser, url: str) -> Iterator[Open]:
    """Opens the page at a section; at the end there must have been no error, no dialog and no request."""
    contexts, wrong = [], []

    def show(section: str = SYNTHETIC, width: int = 1600, scheme: str = "light", at: str = url) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        opened = context.new_page()
        opened.set_default_timeout(20_000)
        opened.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on("dialog", lambda dialog: (wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))
        opened.on("request", lambda asked: None if asked.url == at else wrong.append(f"request {asked.url[:80]}"))
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
    """Waits for what the page does in its own time, ten seconds at most."""
    for _ in range(200):
        if true():
            return
        time.sleep(0.05)
    pytest.fail("The page has not changed within ten seconds.")


def drawn(shown: Page, plot: str) -> list[dict[str, Any]]:
    """The traces of a plot, which is drawn when it is scrolled to."""
    shown.locator(f'[data-plot="{plot}"]').scroll_into_view_if_needed()
    shown.wait_for_selector(f'[data-plot="{plot}"].drawn')
    traces: list[dict[str, Any]] = shown.evaluate(
        "plot => document.querySelector(`[data-plot=${plot}] .canvas`).data", plot
    )
    return traces


def legend(shown: Page, plot: str) -> set[str]:
    return {trace["name"] for trace in drawn(shown, plot) if trace.get("name")}


# ------------------------------------------------------------------------------------------------- the table


def test_rows_come_by_rank_with_what_is_wrong_with_their_seeds(show: Open) -> None:
    shown = show()
    assert titles(shown) == [*NAMES, f"fixed + {SCRIPT} + resnet50 + linear"]
    assert column(shown, "seeds")[0] == "0 1 2"
    assert column(shown, "seeds")[5] == "0 1 missing 2"
    assert column(shown, "seeds")[-1] == "FAILED 0 missing 1 2"
    assert column(shown, "f1")[-1] == "FAILED"
    assert column(shown, "rank")[0] == "1 ≈"
    assert column(shown, "rank")[-1] == "–"


def test_a_click_on_a_header_sorts_best_first_then_turns_it_round(show: Open) -> None:
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
    assert len(drawn(shown, "bars")[0]["x"]) == 12
    shown.select_option('[data-role="detector"]', "frcnn")
    until(lambda: len(drawn(shown, "bars")[0]["x"]) == 6)


def test_another_section_has_its_own_rows_and_its_published_numbers(show: Open) -> None:
    shown = show("mitos2012, protocol official")
    assert len(titles(shown)) == 2
    shown.click("text=Published, not measured here")
    assert "IDSIA" in shown.inner_text("#published-table")
    stars = drawn(shown, "plane")[1]
    assert any("IDSIA" in said and "not measured here" in said for said in stars["hovertext"])
    shown.select_option("#section", label=SYNTHETIC)
    assert not shown.locator("text=Published, not measured here").is_visible()


def test_f1_says_of_how_many_seeds_it_is_where_others_have_more(show: Open) -> None:
    found = column(show(), "f1")
    assert "mean of" not in found[0]
    assert " (mean of 2) [" in found[5]


def test_many_rows_are_plotted_but_for_the_best(show: Open, tmp_path: Path) -> None:
    shown = show(at=write(thousand(tmp_path)))
    assert len(drawn(shown, "bars")[0]["x"]) == 12
    assert "12 of 334 rows" in shown.inner_text('[data-plot="bars"] figcaption')
    shown.locator("tbody input").nth(20).check()
    until(lambda: len(drawn(shown, "plane")[2]["x"]) == 13)  # those whose curves are drawn are there too
    shown.fill("#search", "detector-007")
    until(lambda: len(drawn(shown, "bars")[0]["x"]) == 1)
    assert "rows:" not in shown.inner_text('[data-plot="bars"] figcaption')


def test_variants_of_one_combination_are_told_apart_in_plots(show: Open, tmp_path: Path) -> None:
    for f1, iterations in ((0.6, 300), (0.5, 60)):
        made = ok(f1=f1)
        shown_options = {"iterations": iterations}
        detector = made.plugins["detector"].model_copy(update={"options": shown_options, "variant": shown_options})
        changed = made.model_copy(update={"plugins": {**made.plugins, "detector": detector}})
        record.write(tmp_path / "records", changed, DETECTIONS)
    shown = show(at=write(tmp_path))
    (bars,) = drawn(shown, "bars")
    assert "frcnn iterations 300" in bars["hovertext"][0]
    assert "frcnn iterations 60" in bars["hovertext"][1]
    assert len(set(bars["marker"]["color"])) == 2
    shown.locator("tbody .open").nth(1).click()
    assert shown.inner_text("#record-title").endswith("(frcnn iterations 60)")


# of names of more letters than a rank has
BOXES = """plot => [...document.querySelectorAll(`[data-plot=${plot}] .textpoint text`)]
  .filter((text) => text.textContent.length > 2)
  .map((text) => text.getBoundingClientRect()).map((box) => [box.left, box.top, box.right, box.bottom])"""


def test_names_of_published_numbers_hide_no_other_name(show: Open) -> None:
    shown = show("mitos2012, protocol official")
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
    assert "-s2-" in str(dialog.locator("a").get_attribute("href"))


def test_a_record_that_failed_says_why(show: Open) -> None:
    shown = show()
    shown.locator("tbody .open").last.click()
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
    assert shown.locator("dialog").is_visible()
    tab_to(shown, "#seed")
    shown.keyboard.press("Escape")
    assert not shown.locator("dialog").is_visible()
    assert shown.evaluate("document.activeElement.className") == "open"


# ------------------------------------------------------------------------------------------------- a hostile name


def test_a_plugin_named_like_a_script_stays_text_everywhere(show: Open) -> None:
    shown = show("mitos2012, protocol official")
    name = f"fixed + {SCRIPT} + resnet50 + linear"
    assert titles(shown)[0] == name
    assert SCRIPT in shown.locator('[data-role="detector"] option').all_inner_texts()
    shown.select_option('[data-role="detector"]', SCRIPT)
    shown.fill("#search", SCRIPT)
    assert titles(shown) == [name]
    drawn(shown, "bars")
    assert SCRIPT.replace(" ", "") in shown.locator('[data-plot="bars"] .ytick').text_content().replace(" ", "")
    drawn(shown, "plane")
    first_row = "[{curveNumber: 2, pointNumber: 0}]"
    shown.evaluate(f"Plotly.Fx.hover(document.querySelector('[data-plot=plane] .canvas'), {first_row})")
    assert SCRIPT in str(shown.locator('[data-plot="plane"] .hovertext').text_content())
    shown.click(f"text={name}")
    assert shown.inner_text("#record-title") == name
    assert f"detector: {SCRIPT}" in shown.inner_text("dialog")
    assert shown.locator("script").count() == len(page.SCRIPTS) + 5  # three of data, plotly packed and unpacked


# ------------------------------------------------------------------------------------------------- looks


@pytest.mark.parametrize("width", [400, 1600])
def test_the_page_is_never_wider_than_the_window(show: Open, width: int) -> None:
    shown = show(width=width)
    for plot in ("plane", "time", "bars", "pr", "froc"):
        drawn(shown, plot)
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    shown.locator("tbody .open").first.click()
    box = shown.locator("dialog").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert shown.evaluate(
        "document.querySelector('dialog').scrollWidth <= document.querySelector('dialog').clientWidth"
    )


def brightness(colour: str) -> int:
    """Of `rgb(r, g, b)` or `#rrggbb`, 0 to 765."""
    if colour.startswith("#"):
        return sum(bytes.fromhex(colour[1:]))
    return sum(int(part) for part in colour.strip("rgb()").split(","))


def test_dark_is_dark_and_plots_follow_when_the_reader_changes_it(show: Open) -> None:
    shown = show(scheme="dark")
    paper = "document.querySelector('[data-plot=plane] .canvas').layout.paper_bgcolor"
    drawn(shown, "plane")
    assert brightness(shown.evaluate("getComputedStyle(document.body).backgroundColor")) < 150
    assert brightness(shown.evaluate(paper)) < 150
    shown.emulate_media(color_scheme="light")
    until(lambda: shown.evaluate(paper) == "#ffffff")
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
    assert shown.evaluate(CONTRAST) == []


def test_print_leaves_out_what_only_a_screen_can_use(show: Open) -> None:
    shown = show(scheme="dark")
    shown.emulate_media(media="print")
    assert not shown.locator("#search").is_visible()
    assert brightness(shown.evaluate("getComputedStyle(document.body).backgroundColor")) == 765


# ------------------------------------------------------------------------------------------------- many


def test_a_thousand_records_can_be_used_within_two_seconds(show: Open, tmp_path: Path) -> None:
    shown = show(at=write(thousand(tmp_path)))
    assert int(str(shown.locator("html").get_attribute("data-ready"))) < 2000
    assert shown.inner_text("#count") == "334 of 334 rows"
    assert len(titles(shown)) == 25
    shown.click("#more")
    assert len(titles(shown)) == 334
