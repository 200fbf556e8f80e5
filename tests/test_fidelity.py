"""Checks `docs/fidelity.md`, which compares every item of the published method with the code."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mitobench import discovery, registry
from mitobench.pipeline.settings import Settings

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs" / "fidelity.md"
HEADER = ["item", "paper", "mitobench", "where", ""]
VERDICT = re.compile(r"same|(different|not yet): \S.*")
SPAN = re.compile(r"`([^`]+)`")
OPTION = re.compile(r"([a-z][\w-]*)\.(\w+)(?: = (.+))?")
SCORE = re.compile(r"(?<![\d\w])\.\d+")
NUMBERS = ("The numbers to reproduce", "Later results")


@dataclass(frozen=True)
class Row:
    """One item of the page."""

    line: int
    section: str
    item: str
    paper: str
    mitobench: str
    where: str
    verdict: str

    @property
    def kind(self) -> str:
        return self.verdict.partition(":")[0]


def read() -> Iterator[Row]:
    section = ""
    for number, line in enumerate(PAGE.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("## "):
            section = line[3:]
        elif line.startswith("|") and not line.startswith("|---"):
            cells = [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
            assert len(cells) == len(HEADER), f"line {number}: {len(cells)} cells"
            if cells != HEADER:
                yield Row(number, section, *cells)


ROWS = list(read())
OPTIONS = [
    (row.line, *named.groups())
    for row in ROWS
    for span in SPAN.findall(row.mitobench)
    if (named := OPTION.fullmatch(span))
]


def test_there_is_a_table_for_every_part_of_the_method() -> None:
    sections = dict.fromkeys(row.section.partition(":")[0] for row in ROWS)
    assert list(sections) == [
        *("The job", "Data", "DeepDet", "RPN-only", "DeepSeg", "DeepVer", "Fusion"),
        *("The numbers to reproduce", "Figures", "Later results"),
    ]


def test_every_item_is_there_once_and_none_of_its_cells_is_empty() -> None:
    twice = [item for item, times in Counter((row.section, row.item) for row in ROWS).items() if times > 1]
    assert not twice
    assert not [row.line for row in ROWS if not all((row.item, row.paper, row.mitobench, row.where))]


def test_every_item_says_same_or_what_it_is_instead_and_why() -> None:
    assert not [f"{row.line}: {row.verdict}" for row in ROWS if not VERDICT.fullmatch(row.verdict)]


def test_the_counts_at_the_top_are_those_of_the_tables() -> None:
    kinds = Counter(row.kind for row in ROWS)
    counts = f"{kinds['same']} same, {kinds['different']} different, {kinds['not yet']} not yet"
    assert f"**{len(ROWS)} items: {counts}.**" in PAGE.read_text(encoding="utf-8")


def test_every_item_says_in_which_file_it_is() -> None:
    assert not [f"{row.line}: {row.where}" for row in ROWS if not SPAN.fullmatch(row.where)]


def test_every_file_that_the_page_names_exists() -> None:
    named = [span for span in SPAN.findall(PAGE.read_text(encoding="utf-8")) if "/" in span]
    assert len(named) > len(ROWS)
    assert not [span for span in named if not (REPOSITORY / span).is_file()]


@cache
def options(name: str) -> dict[str, Any]:
    """The options of a plugin, or of the pipeline, under the profile `paper`."""
    settings = Settings.load("paper")
    if name == "pipeline":
        return settings.pipeline().model_dump(mode="json")
    (role,) = (role for role in discovery.ROLES if name in discovery.names(role))
    return settings.options(role, discovery.load(role, name)).model_dump(mode="json")


@pytest.mark.parametrize(("line", "plugin", "option", "value"), OPTIONS, ids=lambda part: str(part))
def test_an_option_has_the_value_that_the_page_gives(line: int, plugin: str, option: str, value: str | None) -> None:
    found = options(plugin)
    assert option in found, f"line {line}: {plugin} has no option {option}"
    if value is not None:
        assert found[option] == json.loads(value)


def test_the_page_gives_the_value_of_every_option_that_makes_a_learned_plugin_the_papers() -> None:
    given = {(plugin, option) for _, plugin, option, value in OPTIONS if value is not None}
    for plugin in ("fcn", "frcnn", "resnet50", "linear", "pipeline"):
        missing = options(plugin).keys() - {option for name, option in given if name == plugin}
        assert missing <= {"workers"}, f"{plugin}: {sorted(missing)}"


def scores_in(value: Any) -> set[float]:
    """All numbers in a TOML file."""
    if isinstance(value, dict | list):
        return set().union(*map(scores_in, value.values() if isinstance(value, dict) else value))
    return {float(value)} if isinstance(value, int | float) else set()


@pytest.mark.parametrize(
    "row",
    [row for row in ROWS if row.section in NUMBERS and row.kind == "same" and SCORE.search(row.paper)],
    ids=lambda row: row.item,
)
def test_a_number_to_reproduce_is_in_the_file_that_holds_it(row: Row) -> None:
    held = scores_in(registry.read_toml(REPOSITORY / row.where.strip("`")))
    assert {float(score) for score in SCORE.findall(row.paper)} <= held


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "table4", "table5", "table6", "rpn", "verifier"])
def test_no_number_of_an_experiment_is_missing_on_the_page(name: str) -> None:
    page = {float(score) for row in ROWS if row.section in NUMBERS for score in SCORE.findall(row.paper)}
    rows = registry.read_toml(registry.ROOT / "experiments" / f"{name}.toml")["row"]
    assert scores_in([row.get("paper", {}) for row in rows]) <= page
