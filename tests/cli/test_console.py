"""A long list is cut."""

from __future__ import annotations

import pytest

from mitobench.cli import console


def test_a_long_list_is_cut_and_says_how_to_see_all(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_rest(range(console.MAX_LINES + 5), False, "stages")
    assert capsys.readouterr().out == "... and 5 more stages; --list-all shows them.\n"
    console.show_rest(range(console.MAX_LINES), False, "stages")
    console.show_rest(range(console.MAX_LINES + 5), True, "stages")
    assert capsys.readouterr().out == ""
