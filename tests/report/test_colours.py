"""One look for one row, wherever it is drawn, and none by colour alone."""

from __future__ import annotations

from mitobench.report.colours import FATES, colour_of, style_of, styles


def luminance(colour: str) -> float:
    """WCAG's relative luminance of `#RRGGBB`."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_rows_in_a_figure_differ_in_colour_or_marker() -> None:
    seen = {(style_of(i).colour, style_of(i).marker) for i in range(42)}
    assert len(seen) == 42
    assert colour_of(0) == colour_of(42) == style_of(0).colour


def test_neighbours_differ_in_both() -> None:
    for i in range(41):
        assert style_of(i).colour != style_of(i + 1).colour
        assert style_of(i).marker != style_of(i + 1).marker


def test_every_colour_stands_out_on_white_and_on_black() -> None:
    for i in range(6):
        on_white = 1.05 / (luminance(colour_of(i)) + 0.05)
        on_black = (luminance(colour_of(i)) + 0.05) / 0.05
        assert on_white > 2
        assert on_black > 3


def test_a_name_has_one_style_in_all_sections() -> None:
    found = styles([["a", "b", "c"], ["c", "a"]])
    assert list(found) == ["a", "c", "b"]  # the best of each section come first
    assert len(set(found.values())) == 3


def test_what_became_of_a_detection_differs_in_shape_too() -> None:
    assert len({fate.colour for fate in FATES.values()}) == len({fate.shape for fate in FATES.values()}) == 3
