"""Control characters and formulas are shown, not executed."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitobench.foreign import guard_cell, printable, unguard_cell

ANY = st.text(st.characters(), max_size=100)


@given(ANY)
def test_no_control_character_reaches_the_terminal(text: str) -> None:
    shown = printable(text)
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)
    shown.encode()
    assert printable(shown, None) == shown


def test_escaped_characters_are_visible() -> None:
    assert printable("a\x1b]0;title\x07b\x9b2J\u202egpj\ud800\n") == r"a\x1b]0;title\x07b\x9b2J\u202egpj\ud800\n"


@pytest.mark.parametrize("text", ["A00_00", "Zoë", "有絲分裂", "µm ± 1", "[bold]x[/bold]", "\\x1b"])
def test_printable_text_is_unchanged(text: str) -> None:
    assert printable(text) == text


def test_a_long_text_is_cut_and_marked() -> None:
    assert printable("x" * 5_000, 10) == "xxxxxxxxxx... (4,990 more characters)"


def test_newlines_can_be_kept() -> None:
    assert printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"


@given(ANY)
def test_an_escaped_cell_can_be_read_back(text: str) -> None:
    assert unguard_cell(guard_cell(text)) == text


@given(st.sampled_from(list("=+-@\t\r\uff1d")), ANY)
def test_no_cell_begins_as_a_formula(first: str, text: str) -> None:
    for cell in (first + text, f"  {first}{text}"):
        assert guard_cell(cell).startswith("'")


@pytest.mark.parametrize("text", ["A00_00", "3-4", "", " a", "x=1"])
def test_a_harmless_cell_is_written_unchanged(text: str) -> None:
    assert guard_cell(text) == text
