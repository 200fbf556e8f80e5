"""index.html as readers use it: in a browser, from a file, without network."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations as pairs_of
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from boards import SCRIPT, board, combinations, many
from PIL import Image
from records import DETECTIONS, frame, ok, write_complete_record

from mitobench.evaluate.jackknife import quantile
from mitobench.report import html_page
from mitobench.report.build import read_sections
from mitobench.report.markdown import signed
from mitobench.report.pairs import mean_difference
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
PLOTS = ("plane", "time", "pr", "froc")
WIDTHS = (400, 850, 1024, 1250, 1600)
FOREST = """() => {
  const middle = (node) => { const box = node.getBoundingClientRect(); return (box.left + box.right) / 2; };
  const rows = [...document.querySelectorAll("#forest li:not(.axis)")].map((row) => {
    const [dot, interval] = [".dot", ".interval"].map((kind) => row.querySelector(kind));
    const ends = interval ? [interval.getBoundingClientRect().left, interval.getBoundingClientRect().right] : null;
    const colours = [dot, interval].filter(Boolean).map((node) => getComputedStyle(node).backgroundColor);
    return { name: row.querySelector(".name").textContent, dot: middle(dot), ends, colours };
  });
  const ticks = [...document.querySelectorAll("#forest .axis b")];
  return { rows, ticks: ticks.map((tick) => [Number(tick.textContent), middle(tick)]) };
}"""


def write(folder: Path) -> str:
    path, *_ = html_page.write(folder, read_sections(folder / "records"))
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
        page = at.split("#")[0]
        allowed = (page, "blob:", f"{page.rpartition('/')[0]}/details/")  # what it writes itself; its own details
        opened.on(
            "request", lambda request: request.url.startswith(allowed) or wrong.append(f"request {request.url[:80]}")
        )
        opened.goto(at)
        opened.wait_for_selector("html[data-ready]")
        if opened.locator("#section").count() and "#" not in at:
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


def forest(shown: Page) -> dict[str, Any]:
    """The rows of the forest plot with the places of their dots and intervals, and its ticks (value, place), in px."""
    found: dict[str, Any] = shown.evaluate(FOREST)
    return found


def legend(shown: Page, plot: str) -> set[str]:
    named = {line["label"] for line in drawn(shown, plot) if line["label"]}
    assert named == set(shown.locator(f'[data-plot="{plot}"] .legend li').all_inner_texts())
    return named


# ------------------------------------------------------------------------------------------------- the table


def test_rows_are_in_the_order_of_rank_and_show_failed_and_missing_seeds(show: Open) -> None:
    shown = show()
    assert titles(shown) == [*NAMES, f"fixed + {SCRIPT} + resnet50 + linear"]
    assert column(shown, "seeds")[0] == "3"
    assert column(shown, "seeds")[5] == "2 of 3"
    assert column(shown, "seeds")[-1] == "0 of 3\n1 FAILED"
    about = shown.locator('td[data-key="seeds"] > span:first-child')
    assert about.nth(5).get_attribute("title") == "scored: 0 1; missing: 2"
    assert about.last.get_attribute("title") == "FAILED: 0; missing: 1 2"
    assert column(shown, "f1")[-1] == "FAILED"
    assert re.fullmatch(r"1 ≈\n1 to \d+", column(shown, "rank")[0])
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


def test_text_and_roles_filter_the_rows_and_the_plots(show: Open) -> None:
    shown = show()
    assert len(forest(shown)["rows"]) == 12
    assert len(drawn(shown, "plane")[ROWS]["data"]) == 12
    shown.fill("#search", "RPN linear")
    assert titles(shown) == ["fcn + rpn + resnet50 + linear", "fixed + rpn + resnet50 + linear"]
    assert shown.inner_text("#count") == "2 of 13 rows"
    until(lambda: len(drawn(shown, "plane")[ROWS]["data"]) == 2)
    shown.select_option('[data-role="estimator"]', "fcn")
    assert titles(shown) == ["fcn + rpn + resnet50 + linear"]
    assert [row["name"] for row in forest(shown)["rows"]] == ["4 · fcn + rpn + resnet50 + linear"]
    shown.fill("#search", "nothing <b>like</b> it")
    assert titles(shown) == []
    assert shown.inner_text("#nothing-text") == "No row matches “nothing <b>like</b> it”."
    assert not shown.locator(".plots").is_visible()
    shown.click("#clear")
    assert len(titles(shown)) == 13
    assert not shown.locator("#nothing").is_visible()


def test_published_numbers_are_among_the_rows_of_their_section_and_can_be_hidden(show: Open) -> None:
    shown = show(MITOS)
    assert len(titles(shown)) == 2
    assert "13 published" in shown.inner_text("#count")
    published = shown.locator(".published-row", has_text="IDSIA (published)")
    assert published.locator('td[data-key="f1"]').inner_text() == ".782"
    assert published.locator('td[data-key="rank"]').inner_text() == ""
    f1 = [float(text.split("\n")[0]) for text in column(shown, "f1")]
    assert f1 == sorted(f1, reverse=True)
    stars = drawn(shown, "plane")[STARS]["data"]
    assert any("IDSIA" in star["hover"] and "not measured here" in star["hover"] for star in stars)
    published.locator("button").click()
    assert "rule and radius unknown" in shown.inner_text("#record-body")
    shown.keyboard.press("Escape")
    shown.click("details.published > summary")
    assert "IDSIA" in shown.inner_text("#published-table")
    shown.uncheck("#show-published")
    assert shown.locator(".published-row").count() == 0
    until(lambda: not drawn(shown, "plane")[STARS]["data"])
    shown.select_option("#section", label=SYNTHETIC)
    assert not shown.locator("details.published").is_visible()


def test_many_rows_have_pages_and_only_the_best_are_points(show: Open, tmp_path: Path) -> None:
    shown = show(at=write(many(tmp_path, 90)))
    assert shown.inner_text("#count") == "30 of 30 rows"
    assert len(titles(shown)) == len(forest(shown)["rows"]) == 25
    assert len(drawn(shown, "plane")[ROWS]["data"]) == 12
    assert "12 of 30 rows" in shown.inner_text('[data-plot="plane"] figcaption')
    shown.locator("tbody input").nth(20).check()
    until(lambda: len(drawn(shown, "plane")[ROWS]["data"]) == 13)  # those whose curves are drawn are there too
    shown.click("#next")
    assert len(titles(shown)) == 5
    assert shown.inner_text("#page") == "Page 2 of 2"
    assert "page=2" in shown.url
    shown.fill("#search", "detector-007")
    assert len(titles(shown)) == 1
    until(lambda: len(drawn(shown, "plane")[ROWS]["data"]) == 1)
    assert "rows:" not in shown.inner_text('[data-plot="plane"] figcaption')
    shown.fill("#search", "")
    shown.evaluate("addEventListener('beforeprint', () => (window.printed = byId('table').tBodies[0].rows.length))")
    assert shown.pdf(format="A4")[:5] == b"%PDF-"
    assert shown.evaluate("printed") == 30
    assert len(titles(shown)) == 25


def test_a_page_that_was_just_opened_prints_all_plots(show: Open) -> None:
    shown = show()
    shown.set_viewport_size({"width": 1024, "height": 300})
    shown.reload()
    until(lambda: bool(shown.evaluate("typeof Chart === 'function'")))  # loaded without any plot in view
    shown.evaluate("async () => { await curves(); }")
    assert shown.locator("figure.drawn").count() == 0
    drawn_in_print = "document.querySelectorAll('figure.drawn').length"
    shown.evaluate(f"addEventListener('beforeprint', () => (window.printed = {drawn_in_print}))")
    shown.pdf(format="A4")
    assert shown.evaluate("printed") == len(PLOTS)


def test_details_of_many_records_are_read_from_beside_the_page(
    show: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html_page, "MAX_INSIDE", 20)
    monkeypatch.setattr(html_page, "CHUNK", 4)
    folder = board(tmp_path / "apart")
    shown = show(at=write(folder))
    assert not shown.locator("#record-data").count()
    assert drawn(shown, "pr")
    for row in (0, 11):
        shown.locator("tbody .open").nth(row).click()
        wanted = ("Make this record", combinations()[row]["detector"])
        until(lambda wanted=wanted: all(words in shown.inner_text("#record-body") for words in wanted))
        shown.keyboard.press("Escape")
    shown.click("#compare-chosen")
    until(lambda: "Difference" in shown.inner_text("#comparison-body") or "F1" in shown.inner_text("#comparison-body"))


def test_a_page_without_its_details_says_so(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_page, "MAX_INSIDE", 1)
    at = write(board(tmp_path))
    for path in (tmp_path / html_page.DETAILS).iterdir():
        path.unlink()
    shown = browser.new_page()
    shown.goto(at)
    shown.wait_for_selector("html[data-ready]")
    shown.locator("tbody .open").first.click()
    until(lambda: "which is not beside this page" in shown.inner_text("#record-body"))
    shown.close()


def test_variants_of_one_combination_are_distinguished_in_plots(show: Open, tmp_path: Path) -> None:
    for f1, iterations in ((0.6, 300), (0.5, 60)):
        original = ok(f1=f1)
        shown_options = {"iterations": iterations}
        detector = original.plugins["detector"].model_copy(update={"options": shown_options, "variant": shown_options})
        changed = original.model_copy(update={"plugins": {**original.plugins, "detector": detector}})
        record.write(tmp_path / "records", changed, DETECTIONS)
    shown = show(at=write(tmp_path))
    first, second = drawn(shown, "plane")[ROWS]["data"]
    assert "frcnn iterations 300" in first["hover"]
    assert "frcnn iterations 60" in second["hover"]
    assert first["colour"] != second["colour"]
    shown.locator("tbody .open").nth(1).click()
    shown.locator("dialog[open]").wait_for()
    assert shown.inner_text("#record-title").endswith("(frcnn iterations 60)")


def test_names_of_published_numbers_do_not_overlap(show: Open) -> None:
    shown = show(MITOS)
    for plot in ("plane", "time"):
        names = {star["text"] for star in drawn(shown, plot)[STARS]["data"]}
        boxes = [text["box"] for text in texts(shown, plot) if text["text"] in names]
        assert len(boxes) > 2
        apart = [a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1] for a, b in pairs_of(boxes, 2)]
        assert all(apart)


def test_names_of_published_numbers_are_inside_a_narrow_plot(show: Open) -> None:
    shown = show(MITOS, width=400)
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
    again = show(at=shown.url)  # the choice is in the address
    assert legend(again, "pr") == {best[1], best[2], best[7]}
    assert [again.locator("tbody input").nth(row).is_checked() for row in (0, 1, 2, 7)] == [False, True, True, True]
    for row in (1, 2, 7):
        again.locator("tbody input").nth(row).uncheck()
    none = show(at=again.url)
    assert none.locator("tbody input:checked").count() == 0
    for row in (0, 1, 2):
        none.locator("tbody input").nth(row).check()
    assert "curves" not in parse_qs(none.url.partition("#")[2], keep_blank_values=True)  # as at first


# ------------------------------------------------------------------------------------------------- a record


def test_a_row_opens_its_record(show: Open) -> None:
    shown = show()
    shown.click(f"text={NAMES[3]}")
    dialog = shown.locator("#record")
    dialog.wait_for()
    for text in (
        "mitobench run",
        "mitobench reproduce",
        "threshold",
        "detector: rpn, version 1",
        "versions",
        "10 frames",
    ):
        assert dialog.locator(f"text={text}").first.is_visible()
    rates = [head for head in dialog.locator(".numbers").first.locator("th").all_inner_texts() if "FP/frame" in head]
    assert rates == [f"at {rate} FP/frame" for rate in ("1/8", "1/4", "1/2", "1", "2", "4", "8")]
    shown.click("#record >> text=10 frames")
    assert dialog.locator("tr", has_text="A00_01").is_visible()
    shown.click("#record >> text=detector: rpn")
    assert dialog.locator("details[open] dt", has_text="lr").is_visible()
    commands = [shlex.split(text) for text in dialog.locator("pre").all_inner_texts()]
    assert [words[1] for words in commands] == ["run", "reproduce", "gallery"]
    assert all(Path(words[2]).is_file() for words in commands[1:])  # from any folder
    dialog.locator(".copy").nth(1).click()
    until(lambda: dialog.locator(".copy").nth(1).inner_text() == "Copied")
    link = dialog.locator("a").get_attribute("href")
    assert link is not None
    assert link.startswith("records/synthetic-by-slide-fcn-rpn-resnet50-linear-s0-")
    shown.select_option("#seed", label="2")
    until(lambda: "-s2-" in str(dialog.locator("a").get_attribute("href")))
    shown.keyboard.press("Escape")
    shown.focus("#search")
    shown.keyboard.press("Control+V")
    assert shlex.split(shown.input_value("#search")) == commands[1]


def test_commands_have_the_folder_that_the_reader_names(show: Open) -> None:
    shown = show(MITOS)
    shown.locator("tbody .open").first.click()
    shown.fill("#data-folder", "/my data/'x'")
    for text in shown.locator("#record pre").all_inner_texts():
        words = shlex.split(text)
        assert words[words.index("--data") + 1] == "/my data/'x'"
    shown.fill("#data-folder", "~/mitos")
    assert " --data ~/mitos " in shown.locator("#record pre").first.inner_text()


def test_a_record_shows_its_count_and_f1_by_domain(show: Open, tmp_path: Path) -> None:
    labs = ("one", "<b>two</b>", "<b>two</b>")
    frames = [replace(frame(f"A{i}", i, 1, 2 - i), area_mm2=0.5, domains={"lab": labs[i]}) for i in range(3)]
    write_complete_record(tmp_path / "records", ok(), frames)
    shown = show(at=write(tmp_path))
    shown.uncheck("#show-published")
    assert column(shown, "worst") == [".000\nlab one"]
    shown.click("text=Columns")
    shown.check('[data-column="lab:<b>two</b>"]')
    shown.uncheck('[data-column="ap"]')
    assert column(shown, "lab:<b>two</b>") == [".667"]
    assert column(shown, "ap") == []
    assert parse_qs(shown.url.split("#")[1])["column"][-3:] == ["lab:<b>two</b>", "seconds", "seeds"]
    shown.locator("tbody .open").first.click()
    dialog = shown.locator("#record")
    dialog.wait_for()
    for text in ("The count: mitoses per mm2 over cases", "-3.9 to +3.9", "F1 by domain"):
        assert dialog.locator(f"text={text}").first.is_visible()
    shown.click("#record >> text=by lab: mean .333, worst one")
    cells = dialog.locator("tr", has_text="<b>two</b>").locator("td").all_inner_texts()
    assert cells == ["<b>two</b>", "4", ".667", "2.00"]
    assert dialog.locator("text=What the annotators say").count() == 0


def test_a_failed_record_shows_the_reason(show: Open) -> None:
    shown = show()
    shown.locator("tbody .open").last.click()
    shown.locator("dialog[open]").wait_for()
    assert f"FAILED: detector '{SCRIPT}' raised ValueError" in shown.inner_text("#record")


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
    shown.locator("dialog[open]").wait_for()
    tab_to(shown, "#seed")
    shown.keyboard.press("Escape")
    assert not shown.locator("#record").is_visible()
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
    assert SCRIPT in forest(shown)["rows"][0]["name"]
    drawn(shown, "plane")
    point_at(shown, "plane", ROWS, 0)
    until(lambda: SCRIPT in words(shown, "plane"))
    drawn(shown, "pr")
    assert SCRIPT in shown.inner_text('[data-plot="pr"] .legend')
    shown.locator("tbody .open").first.click()
    shown.locator("dialog[open]").wait_for()
    assert shown.inner_text("#record-title") == name
    assert f"detector: {SCRIPT}" in shown.inner_text("#record")
    assert (
        shown.locator("script").count() == len(html_page.SCRIPTS) + 5
    )  # four blocks of data, and the library from one of them


# ------------------------------------------------------------------------------------------------- looks


def test_the_pointer_shows_what_a_mark_is_and_leaves_again(show: Open) -> None:
    shown = show()
    point_at(shown, "plane", ROWS, 11)
    until(lambda: re.search(r"F1 \.\d{3} \[\.\d{3}, \.\d{3}\]", words(shown, "plane")) is not None)
    assert f"12 · {NAMES[11]}" in words(shown, "plane")
    shown.mouse.move(2, 2)
    until(lambda: f"12 · {NAMES[11]}" not in words(shown, "plane"))


def test_a_line_shows_its_row_and_seed_under_the_pointer(show: Open) -> None:
    shown = show()
    line = next(n for n, line in enumerate(drawn(shown, "pr")) if line["label"])
    point_at(shown, "pr", line, 5)
    until(lambda: re.search(r"1 · fcn \+ frcnn.*\nseed \d", words(shown, "pr")) is not None)


def test_dots_and_intervals_are_where_their_values_are_on_an_axis_that_the_data_fill(show: Open) -> None:
    shown = show()
    scored = shown.evaluate("page.sections[1].rows.filter((row) => row.f1 != null)")
    drawn_rows, ticks = forest(shown).values()
    (first, left), (last, right) = ticks[0], ticks[-1]
    assert first <= min(row["low"] for row in scored) < ticks[1][0]
    assert ticks[-2][0] < max(row["high"] for row in scored) <= last
    place = lambda value: left + (value - first) / (last - first) * (right - left)  # noqa: E731
    assert [row["name"] for row in drawn_rows] == [f"{row['rank']} · {row['label']}" for row in scored]
    for row, values in zip(drawn_rows, scored, strict=True):
        assert row["dot"] == pytest.approx(place(values["f1"]), abs=1.5)
        assert row["ends"] == pytest.approx([place(values["low"]), place(values["high"])], abs=1.5)
    assert len({colour for row in drawn_rows for colour in row["colours"]}) == 1


def test_no_plot_is_blank(show: Open) -> None:
    shown = show()
    colours = {value_of(row["style"]["colour"]) for row in shown.evaluate("page.sections[1].rows.slice(0, 3)")}
    for plot in PLOTS:
        assert drawn(shown, plot)[0]["data"], plot
        assert colours <= set(pixels(shown, plot).flat), plot


def test_every_plot_has_a_description_for_screen_readers(show: Open) -> None:
    shown = show()
    plots = [*shown.get_by_role("img").all(), shown.locator("#forest")]
    described = [str(plot.get_attribute("aria-label")) for plot in plots]
    assert len(set(described)) == shown.locator("figure").count() == 5


def test_froc_curves_go_along_and_then_up_on_a_logarithmic_axis(show: Open) -> None:
    shown = show()
    drawn(shown, "froc")
    centre = {text["text"]: (text["box"][0] + text["box"][2]) / 2 for text in texts(shown, "froc")}
    assert centre["½"] - centre["¼"] == pytest.approx(centre["8"] - centre["4"], abs=2)
    stepped = "Chart.getChart(document.querySelector('[data-plot=froc] canvas')).data.datasets[1].stepped"
    assert shown.evaluate(stepped) == "before"


def test_the_page_fits_every_width_and_a_row_takes_few_lines(show: Open) -> None:
    shown = show(MITOS)
    drawn(shown, "plane")
    before = shown.evaluate("document.querySelector('[data-plot=plane] canvas').clientWidth")
    for width in WIDTHS:
        shown.set_viewport_size({"width": width, "height": 900})
        until(lambda: shown.evaluate("innerWidth") == width)  # noqa: B023
        assert shown.evaluate("document.documentElement.scrollWidth") == width
        assert shown.evaluate("byId('table').offsetWidth") <= width
        heights = shown.evaluate("[...byId('table').tBodies[0].rows].map((row) => row.offsetHeight)")
        assert max(heights) <= (110 if width < 1000 else 76)
        if width not in (400, 1024):
            continue
        for dialog, opener in (
            ("record", "openRow(state.section.rows[0])"),
            ("comparison", "openComparison(firstPair())"),
        ):
            shown.evaluate(opener)
            box = shown.locator(f"#{dialog}").bounding_box()
            assert box is not None
            assert 0 <= box["x"] <= box["x"] + box["width"] <= width
            assert shown.evaluate(f"byId('{dialog}').scrollWidth <= byId('{dialog}').clientWidth")
            shown.keyboard.press("Escape")
        if width == WIDTHS[0]:
            canvas = "document.querySelector('[data-plot=plane] canvas').clientWidth"
            until(lambda: 0 < shown.evaluate(canvas) < before)  # noqa: B023


def test_a_plot_that_is_still_as_wide_as_before_does_not_widen_the_page(show: Open) -> None:
    shown = show(MITOS)
    drawn(shown, "plane")
    shown.evaluate("document.querySelector('[data-plot=plane] canvas').style.width = '3000px'")
    assert shown.evaluate("document.documentElement.scrollWidth === innerWidth")


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
    shown.locator("dialog[open]").wait_for()
    assert shown.evaluate(CONTRAST) == []


def test_dark_pages_are_printed_in_light_colours_without_controls(show: Open) -> None:
    shown = show(scheme="dark")
    drawn(shown, "plane")
    shown.emulate_media(media="print")
    until(lambda: max(brightness(text["colour"]) for text in texts(shown, "plane")) < 330)
    assert not shown.locator("#search").is_visible()
    assert brightness(shown.evaluate("getComputedStyle(document.body).backgroundColor")) == 765


# ------------------------------------------------------------------------------------------- address, downloads


def test_the_address_holds_what_the_reader_chose(show: Open) -> None:
    shown = show()
    shown.fill("#search", "rpn")
    shown.select_option('[data-role="estimator"]', "fcn")
    shown.click("text=Columns")
    shown.check('[data-column="alone"]')
    shown.click('th[data-key="ap"] button')
    shown.click('th[data-key="ap"] button')
    shown.locator("tbody .open").nth(1).click()
    shown.locator("#record").wait_for()
    shown.select_option("#seed", label="2")
    until(lambda: "-s2-" in shown.inner_text("#record"))
    again = show(at=shown.url)
    again.locator("#record").wait_for()
    assert again.url == shown.url
    for what in ("#record-title", "#title", "#count", "#table"):
        assert again.inner_text(what) == shown.inner_text(what)
    assert again.input_value("#seed") == shown.input_value("#seed") == "2"
    assert (again.input_value("#search"), sorting(again, "ap")) == ("rpn", "ascending")
    assert len(column(again, "alone")) == 3
    ids = again.evaluate("page.sections.map((section) => section.rows[0].records[0].id)")
    again.evaluate(f"location.hash = 'compare={'+'.join(ids)}'")
    again.locator("#comparison .bad").wait_for()
    assert again.inner_text("#comparison .bad") == "Not comparable: different test frames."
    again.evaluate("location.hash = 'section=<b>&search=%3Cb%3E&sort=-x&column=f1&page=-7&record=zz&compare=a+b'")
    until(lambda: again.input_value("#search") == "<b>")  # what it does not know is ignored
    assert again.locator("dialog[open]").count() == 0
    assert (sorting(again, "rank"), titles(again)) == ("ascending", [])


def test_downloads_hold_the_shown_rows_and_columns_and_no_formula(show: Open) -> None:
    shown = show(MITOS)
    shown.fill("#search", "linear")
    with shown.expect_download() as waiting:
        shown.click("text=Download CSV")
    assert waiting.value.suggested_filename == "mitos2012-official.csv"
    lines = list(csv.DictReader(io.StringIO(waiting.value.path().read_bytes().decode(), newline="")))
    assert [line["combination"] for line in lines] == titles(shown)
    assert SCRIPT in lines[0]["combination"]
    assert (lines[0]["rank"], lines[0]["F1"], lines[0]["measured"]) == ("1", "0.5", "here")
    shown.fill("#search", "idsia")
    with shown.expect_download() as waiting:
        shown.click("text=Download JSON")
    content = json.loads(waiting.value.path().read_text())
    assert [(row["combination"], row["measured"], row["AP"]) for row in content["rows"]] == [
        ("IDSIA", "published", None)
    ]
    cells = shown.evaluate("""['=1+1', '+1', '-1', '@x', '\\tx', 'a,"b"', -0.5, null].map(csvCell)""")
    assert cells == ['"\'=1+1"', '"\'+1"', '"\'-1"', '"\'@x"', '"\'\tx"', '"a,""b"""', "-0.5", ""]


# ------------------------------------------------------------------------------------------- two rows side by side


def test_two_rows_are_compared_as_mitobench_compares_them(show: Open, tmp_path: Path) -> None:
    folder = many(tmp_path, 9)
    shown = show(at=write(folder))
    (section,) = read_sections(folder / "records")
    for a, b in pairs_of(range(3), 2):
        found = shown.evaluate(
            """async ([a, b]) => {
              const rows = state.section.rows;
              const { a: one, b: other } = units((await pairedFrames(rows[a], rows[b])).frames);
              return pairedDifference(one, other, RATIOS.F1);
            }""",
            [a, b],
        )
        expected = mean_difference([(section.rows[a], section.rows[b])])
        assert expected is not None
        assert expected.interval is not None
        ends = [expected.delta, expected.interval.low, expected.interval.high]
        assert [found["delta"], found["low"], found["high"]] == pytest.approx(ends, abs=1e-6)
    for degrees in (1, 1.7, 4, 30, 500):
        assert shown.evaluate("tQuantile", degrees) == pytest.approx(quantile(np.float64(degrees)), rel=1e-5)
    shown.locator("tbody input").nth(0).uncheck()
    shown.click("text=Compare two rows")
    shown.locator("#comparison h3").wait_for()
    assert f"F1 of A minus F1 of B: {signed(expected.delta).replace('-', '−')}" in shown.inner_text(".verdict")
    assert "paired over 10 slides, seeds 0 1 2" in shown.inner_text(".verdict")
    assert "compare=" in shown.url
    shown.select_option("#second", index=1)
    until(lambda: "one row twice" in shown.inner_text("#comparison"))
