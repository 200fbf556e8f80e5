"""Notes are numbered by first use, and listed once."""

from __future__ import annotations

import pytest

from mitobench.report.footnotes import Footnotes


def test_a_note_keeps_its_number() -> None:
    footnotes = Footnotes()
    assert [footnotes.numbers(notes) for notes in (["a"], ["b", "a"], [], ["b"])] == ["1", "1, 2", "", "2"]
    assert footnotes.notes == ["a", "b"]
    assert footnotes.listed() == "1. a\n2. b"


@pytest.mark.parametrize(
    ("used", "shown"), [("ab", "1, 2"), ("abc", "1–3"), ("acde", "1, 3–5"), ("abd", "1, 2, 4"), ("cba", "1–3")]
)
def test_consecutive_numbers_are_a_range(used: str, shown: str) -> None:
    footnotes = Footnotes()
    footnotes.numbers("abcde")
    assert footnotes.numbers(used) == shown


def test_a_note_is_escaped() -> None:
    footnotes = Footnotes()
    footnotes.numbers(["<b>\n2. x|"])
    assert footnotes.listed() == r"1. &lt;b&gt; 2. x\|"
