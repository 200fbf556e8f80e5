"""The numbers in docs/ablations.md are those of the measured page."""

from __future__ import annotations

import re
from itertools import dropwhile, takewhile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "leaderboard" / "experiments" / "ablations.md"


def table(path: Path) -> list[dict[str, str]]:
    """Returns the rows of a page's first table, without escapes."""
    page = dropwhile(lambda line: not line.startswith("|"), path.read_text(encoding="utf-8").splitlines())
    lines = [line.strip("| ") for line in takewhile(lambda line: line.startswith("|"), page)]
    columns, _, *rows = ([cell.strip() for cell in line.replace("\\", "").split("|")] for line in lines)
    return [dict(zip(columns, cells, strict=True)) for cells in rows]


@pytest.mark.skipif(not PAGE.is_file(), reason="no leaderboard beside this installation")
def test_every_number_is_the_measured_one() -> None:
    documented, measured = table(ROOT / "docs" / "ablations.md"), table(PAGE)
    assert [row["row"] for row in documented] == [row["row"] for row in measured]
    for row, source in zip(documented, measured, strict=True):
        assert row["F1"] == source["F1 [95 %]"].split()[0]
        assert (row["gain [95 %]"], row["AP"]) == (source["gain [95 %]"], source["AP"])


def test_every_option_exists() -> None:
    from mitobench.pipeline.settings import Override

    spans = [span for row in table(ROOT / "docs" / "ablations.md") for span in re.findall(r"`([^`]+)`", row["option"])]
    options = [text for span in spans if not span.startswith("--") for text in span.split()]
    assert len(options) > 10
    given = (ROOT / "registry" / "experiments" / "ablations.toml").read_text(encoding="utf-8").replace(" ", "")
    assert not [text for text in options if f'"{Override.parse(text).text.replace(" ", "")}"' not in given]
