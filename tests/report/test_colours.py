"""A row looks the same wherever it is drawn, has a unique label, and differs from others in more than colour."""

from __future__ import annotations

from typing import Any

from records import ok

from mitobench.report.colours import OUTCOMES, labels, style_of
from mitobench.report.table import sections
from mitobench.results.record import Record


def luminance(colour: str) -> float:
    """WCAG's relative luminance of `#RRGGBB`."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_rows_in_a_figure_differ_in_colour_or_marker() -> None:
    seen = {(style_of(i).colour, style_of(i).marker) for i in range(42)}
    assert len(seen) == 42
    assert style_of(0).colour == style_of(42).colour


def test_neighbours_differ_in_both() -> None:
    for i in range(41):
        assert style_of(i).colour != style_of(i + 1).colour
        assert style_of(i).marker != style_of(i + 1).marker


def test_every_colour_stands_out_on_white_and_on_black() -> None:
    for i in range(6):
        on_white = 1.05 / (luminance(style_of(i).colour) + 0.05)
        on_black = (luminance(style_of(i).colour) + 0.05) / 0.05
        assert on_white > 2
        assert on_black > 3


def test_outcomes_differ_in_colour_and_in_shape() -> None:
    assert (
        len({outcome.colour for outcome in OUTCOMES.values()})
        == len({outcome.shape for outcome in OUTCOMES.values()})
        == 3
    )


# ------------------------------------------------------------------------------------------------- labels

TITLE = "fixed + frcnn + resnet50 + linear"


def variant(f1: float, iterations: int, **changes: Any) -> Record:
    """A record of a variant with these iterations of the detector; `changes` are fields of the record."""
    record = ok(f1=f1)
    shown = {"iterations": iterations}
    detector = record.plugins["detector"].model_copy(update={"options": shown, "variant": shown})
    return record.model_copy(update={"plugins": {**record.plugins, "detector": detector}, **changes})


def labelled(*records: Record) -> list[str]:
    """The labels of the rows, best first."""
    (section,) = sections(records)
    return list(labels(section).values())


def test_the_label_of_a_unique_title_is_the_title() -> None:
    assert labelled(variant(0.6, 300), ok(f1=0.5, detector="rpn")) == [TITLE, "fixed + rpn + resnet50 + linear"]


def test_labels_of_variants_contain_the_differences() -> None:
    assert labelled(variant(0.6, 300), variant(0.5, 200)) == [
        f"{TITLE} (frcnn iterations 300)",
        f"{TITLE} (frcnn iterations 200)",
    ]


def test_labels_leave_out_details_that_distinguish_no_rows() -> None:
    shortened = {"notes": ["trained from scratch", "schedules shortened to 0.2 of the profile's"]}
    record = variant(0.6, 300), variant(0.5, 100, profile="modern"), variant(0.4, 60, **shortened)
    assert labelled(*record) == [
        f"{TITLE} (cpu, schedules x 1)",
        f"{TITLE} (modern, schedules x 1)",
        f"{TITLE} (cpu, schedules x 0.2)",
    ]


def test_overrides_and_training_data_distinguish_rows() -> None:
    elsewhere = ok(f1=0.4, train_on=["mitos2014"])
    assert labelled(variant(0.6, 300), elsewhere) == [
        f"{TITLE} (trained on {name})" for name in ("mitos2012", "mitos2014")
    ]
    gates = [ok(f1=f1).model_copy(update=gate(value)) for f1, value in ((0.6, "0.88"), (0.5, "none"))]
    assert labelled(*gates) == [f"{TITLE} (gate 0.88)", f"{TITLE} (gate none)"]


def gate(value: str) -> dict[str, Any]:
    return {"overrides": [f"pipeline.gate={value}"], "pipeline": {**ok().pipeline, "gate": value}}


def test_conflicting_rows_are_distinguished_by_their_records() -> None:
    both = ok(f1=0.6).sealed(), ok(f1=0.5).sealed()
    assert labelled(*both) == [f"{TITLE} (record {record.digest[:8]})" for record in both]
