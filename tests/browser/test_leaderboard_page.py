"""index.html as readers use it: in a browser, from a file, without network."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations as pairs_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from boards import SCRIPT, board, combinations, many
from PIL import Image
from records import DETECTIONS, frame, ok, write_complete_record

from mitobench.report import html_page
from mitobench.report.build import read_sections
from mitobench.results import record

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

Open = Callable[..., "Page"]
SYNTHETIC = "Synthetic, by slide"
MITOS = "MITOS 2012, official split"
NAMES = [" + ".join(name for name in names.values() if name != "-") for names in combinations()]


# A canvas keeps the texts that were drawn since it was last cleared.
RECORD_TEXTS = """
const { clearRect, fillText } = CanvasRenderingContext2D.prototype;
CanvasRenderingContext2D.prototype.clearRect = function (...box) {
  this.canvas.texts = [];
  clearRect.apply(this, box);
};
CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...more) {
  const [at, size] = [this.getTransform().transformPoint({ x, y }), this.measureText(text)];
  const [left, right] = [at.x - size.actualBoundingBoxLeft, at.x + size.actualBoundingBoxRight];
  const [top, bottom] = [at.y - size.actualBoundingBoxAscent, at.y + size.actualBoundingBoxDescent];
  (this.canvas.texts ??= []).push({ text, box: [left, top, right, bottom], colour: this.fillStyle });
  fillText.call(this, text, x, y, ...more);
};
"""
DATASETS = """plot => {
  const chart = Chart.getChart(document.querySelector(`[data-plot=${plot}] canvas`));
  const places = (i) => chart.getDatasetMeta(i).data.map(({ x, y, base }) => ({ x, y, base }));
  return chart.data.datasets.map(({ label, data, backgroundColor }, i) =>
    ({ label: label ?? null, data, backgroundColor, places: places(i) }));
}"""
PICTURE = "plot => document.querySelector(`[data-plot=${plot}] canvas`).toDataURL().split(',')[1]"
ROWS, STARS = 0, 1  # the datasets of the plots of points
INTERVALS, BARS = 0, 1  # the datasets of the plot of bars


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
        opened.add_init_script(RECORD_TEXTS)
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


def drawn(shown: Page, plot: str) -> list[dict[str, Any]]:
    """The datasets of the chart that a plot shows, with the places of their marks in px; it is drawn when in view."""
    shown.locator(f'[data-plot="{plot}"]').scroll_into_view_if_needed()
    shown.wait_for_selector(f'[data-plot="{plot}"].drawn')
    datasets: list[dict[str, Any]] = shown.evaluate(DATASETS, plot)
    return datasets


def texts(shown: Page, plot: str) -> list[dict[str, Any]]:
    """The texts that are drawn in a plot, with their boxes (left, top, right, bottom in px) and colours."""
    found: list[dict[str, Any]] = shown.evaluate(
        "plot => document.querySelector(`[data-plot=${plot}] canvas`).texts", plot
    )
    return found


def words(shown: Page, plot: str) -> str:
    return "\n".join(text["text"] for text in texts(shown, plot))


def pixels(shown: Page, plot: str) -> np.ndarray:
    """The colours of a plot: an array (height, width) of 0xRRGGBB."""
    picture = Image.open(io.BytesIO(base64.b64decode(shown.evaluate(PICTURE, plot)))).convert("RGB")
    return np.array(picture, dtype=np.int64) @ [1 << 16, 1 << 8, 1]


def value_of(colour: str) -> int:
    return int(colour.removeprefix("#"), 16)


def point_at(shown: Page, plot: str, dataset: int, index: int) -> None:
    """Moves the pointer to a mark."""
    mark = drawn(shown, plot)[dataset]["places"][index]
    shown.locator(f'[data-plot="{plot}"] canvas').hover(position={"x": mark["x"] - 1, "y": mark["y"]})


def legend(shown: Page, plot: str) -> set[str]:
    named = {line["label"] for line in drawn(shown, plot) if line["label"]}
    assert named == set(shown.locator(f'[data-plot="{plot}"] .legend li').all_inner_texts())
    return named


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
    assert len(drawn(shown, "bars")[BARS]["data"]) == 12
    shown.select_option('[data-role="detector"]', "frcnn")
    until(lambda: len(drawn(shown, "bars")[BARS]["data"]) == 6)


def test_another_section_has_its_own_rows_and_its_published_numbers(show: Open) -> None:
    shown = show(MITOS)
    assert len(titles(shown)) == 2
    shown.click("text=Published, not measured here")
    assert "IDSIA" in shown.inner_text("#published-table")
    stars = drawn(shown, "plane")[STARS]["data"]
    assert any("IDSIA" in star["hover"] and "not measured here" in star["hover"] for star in stars)
    shown.select_option("#section", label=SYNTHETIC)
    assert not shown.locator("text=Published, not measured here").is_visible()


def test_f1_of_fewer_seeds_than_others_have_shows_their_number(show: Open) -> None:
    found = column(show(), "f1")
    assert "mean of" not in found[0]
    assert "(mean of 2) [" in found[5]


def test_of_many_rows_only_the_best_are_plotted(show: Open, tmp_path: Path) -> None:
    shown = show(at=write(many(tmp_path, 120)))
    assert len(drawn(shown, "bars")[BARS]["data"]) == 12
    assert "12 of 40 rows" in shown.inner_text('[data-plot="bars"] figcaption')
    shown.locator("tbody input").nth(20).check()
    until(lambda: len(drawn(shown, "plane")[ROWS]["data"]) == 13)  # those whose curves are drawn are there too
    shown.fill("#search", "detector-007")
    until(lambda: len(drawn(shown, "bars")[BARS]["data"]) == 1)
    assert "rows:" not in shown.inner_text('[data-plot="bars"] figcaption')


def test_variants_of_one_combination_are_distinguished_in_plots(show: Open, tmp_path: Path) -> None:
    for f1, iterations in ((0.6, 300), (0.5, 60)):
        original = ok(f1=f1)
        shown_options = {"iterations": iterations}
        detector = original.plugins["detector"].model_copy(update={"options": shown_options, "variant": shown_options})
        changed = original.model_copy(update={"plugins": {**original.plugins, "detector": detector}})
        record.write(tmp_path / "records", changed, DETECTIONS)
    shown = show(at=write(tmp_path))
    bars = drawn(shown, "bars")[BARS]
    assert "frcnn iterations 300" in bars["data"][0]["hover"]
    assert "frcnn iterations 60" in bars["data"][1]["hover"]
    assert bars["backgroundColor"][0] != bars["backgroundColor"][1]
    shown.locator("tbody .open").nth(1).click()
    shown.locator("dialog").wait_for()
    assert shown.inner_text("#record-title").endswith("(frcnn iterations 60)")


def test_names_of_published_numbers_do_not_overlap(show: Open) -> None:
    shown = show(MITOS)
    for plot in ("plane", "time"):
        names = {star["text"] for star in drawn(shown, plot)[STARS]["data"]}
        boxes = [text["box"] for text in texts(shown, plot) if text["text"] in names]
        assert len(boxes) > 2
        apart = [a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1] for a, b in pairs_of(boxes, 2)]
        assert all(apart)


@pytest.mark.parametrize("width", [400, 1000])
def test_names_of_published_numbers_are_inside_the_plot(show: Open, width: int) -> None:
    shown = show(MITOS, width=width)
    for plot in ("plane", "time"):
        names = {star["text"] for star in drawn(shown, plot)[STARS]["data"]}
        boxes = [text["box"] for text in texts(shown, plot) if text["text"] in names]
        right = shown.evaluate("plot => document.querySelector(`[data-plot=${plot}] canvas`).clientWidth", plot)
        assert all(0 <= box[0] < box[2] <= right for box in boxes)


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


def test_a_record_shows_its_count_and_f1_by_domain(show: Open, tmp_path: Path) -> None:
    labs = ("one", "<b>two</b>", "<b>two</b>")
    frames = [replace(frame(f"A{i}", i, 1, 2 - i), area_mm2=0.5, domains={"lab": labs[i]}) for i in range(3)]
    write_complete_record(tmp_path / "records", ok(), frames)
    shown = show(at=write(tmp_path))
    shown.locator("tbody .open").first.click()
    dialog = shown.locator("dialog")
    dialog.wait_for()
    for text in ("The count: mitoses per mm2 over cases", "-3.9 to +3.9", "F1 by domain"):
        assert dialog.locator(f"text={text}").first.is_visible()
    shown.click("dialog >> text=by lab: mean .333, worst one")
    cells = dialog.locator("tr", has_text="<b>two</b>").locator("td").all_inner_texts()
    assert cells == ["<b>two</b>", "4", ".667", "2.00"]
    assert dialog.locator("text=What the annotators say").count() == 0


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
    assert SCRIPT in words(shown, "bars")
    point_at(shown, "plane", ROWS, 0)
    until(lambda: SCRIPT in words(shown, "plane"))
    drawn(shown, "pr")
    assert SCRIPT in shown.inner_text('[data-plot="pr"] .legend')
    shown.locator("tbody .open").first.click()
    shown.locator("dialog").wait_for()
    assert shown.inner_text("#record-title") == name
    assert f"detector: {SCRIPT}" in shown.inner_text("dialog")
    assert (
        shown.locator("script").count() == len(html_page.SCRIPTS) + 5
    )  # four blocks of data, and the library from one of them


# ------------------------------------------------------------------------------------------------- looks


def test_the_pointer_shows_what_a_mark_is_and_leaves_again(show: Open) -> None:
    shown = show()
    point_at(shown, "bars", BARS, 1)
    until(lambda: re.search(r"F1 \.\d{3} \[\.\d{3}, \.\d{3}\]", words(shown, "bars")) is not None)
    assert words(shown, "bars").count(f"2 · {NAMES[1]}") == 2  # the name of the bar and the hover text
    shown.mouse.move(2, 2)
    until(lambda: words(shown, "bars").count(f"2 · {NAMES[1]}") == 1)


def test_a_line_shows_its_row_and_seed_under_the_pointer(show: Open) -> None:
    shown = show()
    line = next(n for n, line in enumerate(drawn(shown, "pr")) if line["label"])
    point_at(shown, "pr", line, 5)
    until(lambda: re.search(r"1 · fcn \+ frcnn.*\nseed \d", words(shown, "pr")) is not None)


def test_bars_are_where_their_values_are(show: Open) -> None:
    """Read back from the drawing: the ticks of an axis give its scale, and the pixels show the bars."""
    shown = show()
    bars = drawn(shown, "bars")[BARS]
    centre = {text["text"]: (text["box"][0] + text["box"][2]) / 2 for text in texts(shown, "bars")}
    ends = [centre["0.0"] + bar["x"] * (centre["1.0"] - centre["0.0"]) for bar in bars["data"]]
    assert [place["x"] for place in bars["places"]] == pytest.approx(ends, abs=2)
    heights = [place["y"] for place in bars["places"]]
    assert heights == sorted(heights)
    seen = pixels(shown, "bars")
    for x, y, colour in zip(ends, heights, bars["backgroundColor"], strict=True):
        beside_interval = seen[round(y - 5)]
        assert beside_interval[round(x - 4)] == value_of(colour)
        assert beside_interval[round(x + 4)] != value_of(colour)


def test_intervals_go_from_low_to_high(show: Open) -> None:
    shown = show()
    intervals, bars = (drawn(shown, "bars")[n] for n in (INTERVALS, BARS))
    seen = pixels(shown, "bars")
    for interval, bar, place in zip(intervals["data"], bars["data"], intervals["places"], strict=True):
        low, high = interval["x"]
        assert low < bar["x"] < high
        assert place["base"] < place["x"]
        assert seen[int(place["y"]), int(place["x"]) - 2] == value_of("#1c2227")  # the colour of text


def test_no_plot_is_blank(show: Open) -> None:
    shown = show()
    colours = {value_of(row["style"]["colour"]) for row in shown.evaluate("page.sections[1].rows.slice(0, 3)")}
    for plot in ("plane", "time", "bars", "pr", "froc"):
        assert drawn(shown, plot)[0]["data"], plot
        assert colours <= set(pixels(shown, plot).flat), plot


def test_every_plot_has_a_description_for_screen_readers(show: Open) -> None:
    plots = show().get_by_role("img")
    described = [str(plot.get_attribute("aria-label")) for plot in plots.all()]
    assert len(set(described)) == show().locator("figure").count() == 5


def test_froc_curves_go_along_and_then_up_on_a_logarithmic_axis(show: Open) -> None:
    shown = show()
    drawn(shown, "froc")
    centre = {text["text"]: (text["box"][0] + text["box"][2]) / 2 for text in texts(shown, "froc")}
    assert centre["½"] - centre["¼"] == pytest.approx(centre["8"] - centre["4"], abs=2)
    stepped = "Chart.getChart(document.querySelector('[data-plot=froc] canvas')).data.datasets[1].stepped"
    assert shown.evaluate(stepped) == "before"


def test_plots_follow_the_width_of_the_window(show: Open) -> None:
    shown = show()
    drawn(shown, "bars")
    width = "document.querySelector('[data-plot=bars] canvas').clientWidth"
    before = shown.evaluate(width)
    shown.set_viewport_size({"width": 700, "height": 900})
    until(lambda: 0 < shown.evaluate(width) < before)


@pytest.mark.parametrize("width", [400, 1000])
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
    """Of `rgb(r, g, b)` or `#rrggbb`, 0 to 765."""
    if colour.startswith("#"):
        return sum(bytes.fromhex(colour[1:]))
    return sum(int(part) for part in colour.strip("rgb()").split(","))


def test_page_and_plots_follow_the_colour_scheme(show: Open) -> None:
    shown = show(MITOS, scheme="dark")
    drawn(shown, "plane")
    assert brightness(shown.evaluate("getComputedStyle(document.body).backgroundColor")) < 150
    assert min(brightness(text["colour"]) for text in texts(shown, "plane")) > 400
    shown.emulate_media(color_scheme="light")
    until(lambda: max(brightness(text["colour"]) for text in texts(shown, "plane")) < 330)
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
  return [...document.querySelectorAll("body *")]
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


def test_dark_pages_are_printed_in_light_colours_without_controls(show: Open) -> None:
    shown = show(scheme="dark")
    drawn(shown, "plane")
    shown.emulate_media(media="print")
    until(lambda: max(brightness(text["colour"]) for text in texts(shown, "plane")) < 330)
    assert not shown.locator("#search").is_visible()
    assert brightness(shown.evaluate("getComputedStyle(document.body).backgroundColor")) == 765


# ------------------------------------------------------------------------------------------------- many


def test_of_many_rows_the_first_are_shown_and_the_others_on_request(show: Open, tmp_path: Path) -> None:
    shown = show(at=write(many(tmp_path, 120)))
    assert shown.inner_text("#count") == "40 of 40 rows"
    assert len(titles(shown)) == 25
    shown.click("#more")
    assert len(titles(shown)) == 40
