"""One rule says which column holds classes, and which classes are mitoses."""

from __future__ import annotations

import pytest

from mitobench.errors import MitobenchError
from mitobench.foreign.classes import class_column, flag, holds_classes, meaning

YES, NO = ["mitosis"] * 3, ["hard negative"] * 3


def found(columns: dict[str, list[str]], given: str | None = None) -> str | None:
    return class_column(columns, given, "d.csv", lambda name: f"--class-column {name}")


NAMES = [
    *("labels", "type", "pred", "pred_class", "predicted_class", "agreedClass", "object_type", "Name", "class_name"),
    *("category_name", "Category ID", "mitosis", "is_mitosis", "annotation", "Final label", "cellType", "CLASS"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_column_of_a_known_name_holds_classes(name: str) -> None:
    assert found({"stain": ["HE"] * 6, name: YES + NO}) == name
    assert found({name: NO}) == name


@pytest.mark.parametrize("name", ["tumor type", "scanner", "label_score", "class_probability", "ids", "x_center"])
def test_other_columns_do_not(name: str) -> None:
    assert not holds_classes(name)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("scanner", ["Aperio", "Aperio", "Hamamatsu", "Hamamatsu"]),
        ("rater", ["A", "B", "A", "B"]),
        ("comment", ["", "", "check", ""]),
        ("model", ["yolo", "yolo"]),
        ("Name", ["", "", ""]),
        ("Name", [f"Annotation {n}" for n in range(30)]),
        ("object_type", ["Detection"] * 4),
        ("pred", ["0.91", "0.5", "1", "0.3"]),
        ("diagnosis", ["mitosis", "mitosis"]),
        ("quality", ["1", "2", "1", "2"]),
        ("uuid", [f"a{n}" for n in range(40)]),
    ],
)
def test_what_cannot_be_a_class_is_ignored(name: str, values: list[str]) -> None:
    assert found({name: values}) is None


@pytest.mark.parametrize(
    "values",
    [["tp", "fp"], ["keep", "keep", "drop", "drop"], ["Mitosis", "cell"], ["hard negative"], ["True", "False"]],
)
def test_an_unknown_column_that_looks_like_a_class_is_asked_about(values: list[str]) -> None:
    with pytest.raises(MitobenchError, match=r"column verdict .*--class-column verdict.*--class-column none"):
        found({"verdict": values})
    assert found({"verdict": values}, "verdict") == "verdict"
    assert found({"verdict": values}, "none") is None


def test_columns_that_say_the_same_are_one() -> None:
    assert found({"category_id": ["1", "2"], "category_name": ["mitotic figure", "imposter"]}) == "category_name"
    assert found({"type": ["Detection", "Detection"], "label": ["mitosis", "imposter"]}) == "label"
    assert found({"agreedClass": ["1", "2"], "label": ["1", "1"], "cls": ["0", "0"]}) == "agreedClass"
    assert found({"class": ["1", "2", "1"], "label": ["a", "b", "a"]}) == "class"


@pytest.mark.parametrize(
    "columns",
    [
        {"class": ["mitosis", "mitosis"], "label": ["mitosis", "imposter"]},
        {"class": ["mitosis", "imposter"], "label": ["imposter", "mitosis"]},
        {"class": ["mitosis", "mitosis"], "verdict": ["hard negative", "hard negative"]},
        {"class": ["1", "2", "1"], "agreedClass": ["1", "2", "2"]},
        {"class": ["mitosis", "imposter", "mitosis"], "label": ["a", "a", "b"]},
    ],
)
def test_columns_that_differ_are_asked_about(columns: dict[str, list[str]]) -> None:
    with pytest.raises(MitobenchError, match=r"may both hold classes, and differ.*--class-column \w+ or"):
        found(columns)


def test_a_given_column_must_be_there() -> None:
    assert found({"A-b": ["x"]}, "a b") == "A-b"
    with pytest.raises(MitobenchError, match=r"called 'klass'. Did you mean class"):
        found({"class": ["x"]}, "klass")


@pytest.mark.parametrize(
    ("label", "answer"),
    [
        *((name, True) for name in ("Mitosis", "mitotic_figure", "MitoticFigure", "MF", "mitotic cells")),
        *((name, False) for name in ("Non-mitosis", "not_mitotic", "nonMitotic", "NMF", "Hard Negative", "no mitosis")),
        *((name, None) for name in ("cell", "1", "", "mitochondria", "notary")),
    ],
)
def test_what_classes_mean(label: str, answer: bool | None) -> None:
    assert meaning(label) is answer


@pytest.mark.parametrize(("value", "text"), [("1", "mitosis"), ("0.0", "non-mitosis"), ("YES", "mitosis"), ("2", "2")])
def test_a_flag_says_yes_or_no(value: str, text: str) -> None:
    assert flag("Is mitosis", value) == text
    assert flag("class", value) == value
