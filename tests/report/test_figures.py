"""Figures for papers: they show the best rows, their bytes are reproducible, and names are text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from matplotlib.text import Text
from PIL import Image
from records import DETECTIONS, failed, metrics, ok

from mitobench.report import figures
from mitobench.report.colours import style_of
from mitobench.report.figures import FIGURES, LOOK, MAX_CURVES, MAX_ROWS
from mitobench.report.layout import Key, Point, figure_of, points, wide_figure_of, wrapped
from mitobench.report.table import sections
from mitobench.results import record
from mitobench.results.record import Record

pytestmark = pytest.mark.slow

SCORES: dict[str, Any] = {"average_precision": 1 / 3, "oracle_f1": 0.5}


def with_curves(f1: float | None = 0.5, **changes: Any) -> Record:
    """A record with scores, whose detections give its curves."""
    return ok(f1=f1, **changes).model_copy(update={"test": metrics(f1, **SCORES)})


def draw(folder: Path, *records: Record, kinds: Sequence[str] = ("svg",)) -> list[str]:
    """Write the records and their figures, and return the names of the figures."""
    for item in records:
        record.write(folder / "records", item, DETECTIONS if item.status == "ok" else None)
    found = sections(item for _, item in record.read_all(folder / "records"))
    return [path.name for path in figures.write(folder, found, kinds)]


def text(folder: Path, name: str) -> str:
    """The source of a figure, in which text is text."""
    return (folder / "figures" / name).read_text(encoding="utf-8")


def test_a_section_has_its_figures_as_svg(tmp_path: Path) -> None:
    names = draw(tmp_path, with_curves(0.5), with_curves(0.6, detector="rpn"))
    assert names == [f"mitos2012-official-{name}.svg" for name in FIGURES]
    for path in (tmp_path / "figures").glob("*.svg"):
        ElementTree.fromstring(path.read_text(encoding="utf-8"))


def test_a_figure_is_as_wide_as_a_column_at_300_dpi_and_the_plane_as_two(tmp_path: Path) -> None:
    names = draw(tmp_path, with_curves(), kinds=("svg", "png"))
    pictures = list((tmp_path / "figures").glob("*.png"))
    assert len(pictures) == len(names) / 2
    for path in pictures:
        with Image.open(path) as image:
            assert image.width == (2100 if "-plane." in path.name else 1050)
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_numbers_are_rounded_in_coordinates_and_not_in_names(tmp_path: Path) -> None:
    draw(tmp_path, with_curves(detector="x1.23456789"))
    words = text(tmp_path, "mitos2012-official-f1.svg")
    assert "x1.23456789" in words
    assert "Verdana" in words
    tags = "".join(re.findall(r"<[^!?][^>]*>", words))
    assert not re.search(r"\d\.\d{3}", tags)


def test_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("once", "again"):
        draw(tmp_path / name, with_curves())
    for path in (tmp_path / "once" / "figures").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / "figures" / path.name).read_bytes(), path.name


def test_published_methods_are_marked_as_not_measured(tmp_path: Path) -> None:
    draw(tmp_path, with_curves())
    for name in ("f1", "plane"):
        words = text(tmp_path, f"mitos2012-official-{name}.svg")
        assert "published, not measured here" in words
        assert "DeepDet" in words


def test_f1_is_a_dot_with_its_interval_on_an_axis_around_the_data(tmp_path: Path) -> None:
    draw(tmp_path, with_curves(0.5), with_curves(0.6, detector="rpn"))
    (section,) = sections(item for _, item in record.read_all(tmp_path / "records"))
    figure = FIGURES["f1"](figures._board(tmp_path, section))
    assert figure is not None
    (axes,) = figure.axes
    assert not axes.patches  # no bar
    lines = [[*map(float, line.get_xdata())] for line in axes.lines]
    best = section.best
    assert best is not None
    assert best.interval is not None
    assert lines[0] == [best.interval.low, best.interval.high]
    assert lines[1] == [best.mean("f1")]
    low, high = axes.get_xlim()
    assert 0 <= low <= min(map(min, lines)) <= max(map(max, lines)) <= high <= 1


def test_a_long_key_is_beside_the_plane_and_within_the_figure() -> None:
    key = [Key(style_of(n), str(n), f"a name of some length {n} " * 3, ".500") for n in range(24)]
    with matplotlib.rc_context(LOOK):
        figure, axes = wide_figure_of("title", 2.75, ["note"], key)
        figure.canvas.draw()
    width, height = figure.get_size_inches()
    assert (width, height < 9) == (7.0, True)
    boxes = [word.get_window_extent() for word in figure.texts]
    assert min(box.y0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= figure.bbox.width
    assert axes.get_window_extent().x1 < min(box.x0 for box in boxes[1:-1])


def test_only_the_best_rows_are_drawn_and_the_figure_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(figures, "curve_of", lambda path, _: read.append(path))
    draw(tmp_path, *(with_curves(0.3 + 0.01 * n, detector=f"d{n:02d}") for n in range(MAX_ROWS + 3)))
    words = text(tmp_path, "mitos2012-official-f1.svg")
    assert f"The best {MAX_ROWS} of {MAX_ROWS + 3} rows." in words
    assert "d14" in words
    assert "d02" not in words
    assert len(read) == MAX_CURVES


def test_a_name_is_text(tmp_path: Path) -> None:
    draw(tmp_path, with_curves(detector="$x^2$<script>alert(1)</script>--\x07"))
    words = text(tmp_path, "mitos2012-official-f1.svg")
    assert "$x^2$" in words  # and not x squared
    assert "<script" not in words
    ElementTree.fromstring(words)


def test_a_name_of_a_data_set_is_safe_for_a_file(tmp_path: Path) -> None:
    names = draw(tmp_path, with_curves(protocol="../../etc/ø"))
    assert names
    assert all(name.startswith("mitos2012-.._.._etc_") and "/" not in name for name in names)


def test_sections_of_one_data_set_are_named_by_what_they_differ_in(tmp_path: Path) -> None:
    names = draw(tmp_path, with_curves(), with_curves(data_digest="e" * 64))
    assert {f"mitos2012-official-data_{letter}-f1.svg" for letter in "AB"} < set(names)
    assert len(set(names)) == len(names)


def test_variants_have_labels_and_colours_of_their_own(tmp_path: Path) -> None:
    for f1, value in ((0.6, "validation"), (0.5, 0.25)):
        options = {
            "pipeline": {**with_curves().pipeline, "candidate_threshold": value},
            "overrides": [f"pipeline.candidate_threshold={value}"],
        }
        record.write(tmp_path / "records", with_curves(f1).model_copy(update=options), DETECTIONS)
    draw(tmp_path)
    words = text(tmp_path, "mitos2012-official-plane.svg")
    assert "(candidate_threshold validation)" in words
    assert "(candidate_threshold 0.25)" in words
    assert all(style_of(place).colour.lower() in words for place in range(2))


@pytest.mark.parametrize("number_of", [1, 3, 8])
def test_labels_of_one_neighbourhood_do_not_overlap(number_of: int) -> None:
    with matplotlib.rc_context(LOOK):
        figure, axes = figure_of("", 2.4, [])
        axes.set(xlim=(0, 1), ylim=(0, 1))
        points(axes, [Point(0.5 + 0.01 * n, 0.5, str(n + 5), style_of(n)) for n in range(number_of)])
        figure.canvas.draw()
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the line to the marker
    assert len(boxes) == number_of
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_a_long_name_is_wrapped_before_its_brackets_and_not_cut() -> None:
    assert wrapped("verifier: resnet50 (patch 64, width 0.5)", 40) == ["verifier: resnet50 (patch 64, width 0.5)"]
    assert wrapped("verifier: resnet50 (patch 64, width 0.5)", 39) == ["verifier: resnet50", "(patch 64, width 0.5)"]
    assert wrapped("x " * 100, 10) == ["x x x x x", "x x x x x…"]
    assert wrapped("\x07", 10) == ["\N{REPLACEMENT CHARACTER}"]
    assert wrapped("", 10) == [""]


def test_figures_that_an_earlier_build_wrote_are_removed_and_no_others(tmp_path: Path) -> None:
    draw(tmp_path, with_curves(), kinds=("svg", "png"))
    (tmp_path / "figures" / "mine.png").write_bytes(b"")
    draw(tmp_path)
    assert [path.name for path in (tmp_path / "figures").glob("*.png")] == ["mine.png"]


def test_without_curves_or_scores_those_figures_are_left_out(tmp_path: Path) -> None:
    no_mitosis = with_curves().model_copy(update={"test": metrics(0.5, n_mitoses=0)})
    assert not any("-pr." in name or "-froc." in name for name in draw(tmp_path / "a", no_mitosis))
    assert draw(tmp_path / "b", failed(), with_curves(None, seed=1)) == []
    assert figures.write(tmp_path, []) == []


def test_the_last_bits_of_a_float_do_not_change_the_digest_and_a_digit_does(tmp_path: Path) -> None:
    """They differ between versions of numpy and scipy."""

    def digest(f1: float) -> str:
        folder = tmp_path / str(f1)
        record.write(folder / "records", ok(f1=f1), DETECTIONS)
        (found,) = figures.digests(folder, sections(item for _, item in record.read_all(folder / "records"))).values()
        return found

    assert digest(0.5 + 1e-12) == digest(0.5)
    assert digest(0.5 + 1e-6) != digest(0.5)
