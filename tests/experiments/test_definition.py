"""Definitions: the built-in ones contain the paper's numbers, and errors name file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mitobench.errors import MitobenchError
from mitobench.experiments import Grids, PaperTable, names, read

HEAD = 'title = "Mine"\ndataset = "synthetic"\nprotocol = "by-slide"\n'

# Tables 1 to 6 of Li et al. 2018, and numbers given in its text
PAPER = {
    "table1": [0.568, 0.762, 0.768, 0.756],
    "table2": [0.768, 0.825, 0.814, 0.832],
    "table3": [0.812, 0.826, 0.810, 0.808, 0.827, 0.831, 0.832],
    "table4": [0.832],
    "table5": [0.489, 0.505, 0.582],
    "table6": [0.398, 0.437, None, None],
    "table7": [],
    "rpn": [0.832, 0.796, 0.768],
    "verifier": [0.832, 0.817, None],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


@pytest.mark.parametrize("name", PAPER)
def test_f1_is_what_the_paper_reports(name: str) -> None:
    assert [row.paper.f1 for row in read(name).row] == PAPER[name]


def test_precision_and_recall_are_what_the_paper_reports() -> None:
    numbers = [(row.paper.precision, row.paper.recall) for name in ("table4", "table6") for row in read(name).row]
    assert numbers == [(0.854, 0.812), (0.431, 0.370), (0.431, 0.443), (None, None), (None, None)]


def test_times_are_what_the_paper_reports() -> None:
    times = [
        (row.paper.seconds_a_frame, row.paper.seconds_a_candidate)
        for name in ("timing-2012", "timing-2014")
        for row in read(name).row
    ]
    assert times == [(0.72, None), (0.68, None), (0.36, None), (0.41, 0.023)]


def test_the_paper_profile_is_every_paper_tables_default() -> None:
    tables = [definition for definition in map(read, names()) if isinstance(definition, PaperTable)]
    assert {table.profile for table in tables if table.name != "ablations"} == {"paper"}


def test_ablations_are_never_tested_on_the_official_test_frames() -> None:
    ablations = read("ablations")
    assert isinstance(ablations, PaperTable)
    assert {row.protocol or ablations.protocol for row in ablations.row} == {"development"}
    assert ablations.against == ablations.row[0].name


@pytest.mark.parametrize("name", ["table1", "table2", "table3"])
def test_every_row_of_a_table_varies_something_else(name: str) -> None:
    definition = read(name)
    assert len({(definition.set, row.set, row.detector) for row in definition.row}) == len(definition.row)


def test_overrides_know_their_line(file: Path) -> None:
    file.write_text(
        HEAD + 'set = ["detector.a=1"]\n\n[[row]]\nname = "one"\nset = ["detector.b=2"]\n\n'
        '[[row]]\nname = "two"\nset = [\n  "detector.b=2",\n]\n'
    )
    definition = read(str(file))
    given = [[override.location for override in definition.overrides(row)] for row in definition.row]
    assert given == [[f"{file}:4:", f"{file}:8:"], [f"{file}:4:", f"{file}:13:"]]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('titel = "x"\n', 4, "titel"),
        ('[[row]]\nname = "a"\n[[row]]\nname = "b"\ndetektor = "rpn"\n', 8, "detektor"),
        ('[[row]]\nname = "a"\npaper = { f1 = 2 }\n', 6, "f1"),
        ('[[row]]\nset = ["detector.a=1"]\n', 4, "name"),
        ('[[row]]\nname = "a"\nset = ["detectr.patch=1"]\n', 6, "detectr"),
        ('[[row]]\nname = "a"\nset = ["patch"]\n', 6, "ROLE.OPTION=VALUE"),
        ('[[ row ]]\nname = "a"\nset = ["detector.ab=1",\n"patch"]\n', 7, "ROLE.OPTION=VALUE"),
        ('row = [{ name = "a", set = ["patch"] }]\n', 4, "ROLE.OPTION=VALUE"),
        ('[[row]]\nname = "a"\n[[row]]\nname = "b"\ndetector = "frcn"\n', 8, "frcnn"),
        ('detector = "frcn"\n[[row]]\nname = "a"\n', 4, "frcnn"),
        ('[[row]]\nname = "same"\n[[row]]\nname = "same"\n', 1, "two rows have the name 'same'"),
        ('[[row]]\nname = ""\n', 5, "at least 1 character"),
        ('[[row]]\nname = "a"\ntrain_on = ["mitos2012", "mitos2013"]\n', 6, "mitos2013"),
        ('[[row]]\nname = "a"\nprotocol = "cv-by-slide"\n', 6, "has several folds"),
        ("", 1, "neither a [[row]]"),
    ],
)
def test_errors_name_file_and_line(file: Path, text: str, line: int, message: str) -> None:
    file.write_text(HEAD + text)
    with pytest.raises(MitobenchError) as reason:
        read(str(file))
    assert str(reason.value).startswith(f"{file}:{line}:")
    assert message in str(reason.value)


GRID = """
[[grid]]
name = "one"
dataset = "synthetic"
protocol = "by-slide"
estimator = ["mask"]
detector = ["frcnn", "blobs"]
verifier = ["none"]
fuser = ["detector-only"]
profile = "cpu"
set = ["detector.a=1"]
"""


def test_grids_need_no_data_set_of_their_own(file: Path) -> None:
    file.write_text(GRID)
    definition = read(str(file))
    assert isinstance(definition, Grids)
    assert definition.profile == "paper"
    (grid,) = definition.grid
    assert (grid.profile, grid.scale, grid.seeds, grid.train_on) == ("cpu", 1.0, 1, ())
    assert [override.location for override in definition.overrides(grid)] == [f"{file}:11:"]


def test_overrides_of_all_grids_come_before_those_of_one(file: Path) -> None:
    file.write_text('set = ["detector.b=2"]\n' + GRID)
    definition = read(str(file))
    assert [override.text for override in definition.overrides(definition.tables[0])] == [
        "detector.b=2",
        "detector.a=1",
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (GRID + GRID, 1, "two grids have the name 'one'"),
        ('dataset = "synthetic"\n' + GRID, 1, "dataset"),
        (GRID.replace('fuser = ["detector-only"]\n', ""), 2, "fuser"),
        (GRID.replace('["none"]', "[]"), 8, "verifier"),
        (GRID.replace('"blobs"', '"blob"'), 7, "blobs"),
        (GRID + 'train_on = ["mitos2013"]\n', 12, "mitos2012"),
        (GRID.replace("by-slide", "by-slid"), 5, "by-slide"),
        (GRID.replace('profile = "cpu"', 'profile = "gpu"'), 10, "'gpu'"),
        (GRID.replace("detector.a=1", "detctor.a=1"), 11, "detctor"),
        (GRID + "scale = 0\n", 12, "scale"),
        (GRID + "seeds = 0\n", 12, "seeds"),
        ("grid = []\n", 1, "grid"),
        (HEAD + '[[row]]\nname = "a"\n' + GRID, 7, "one or the other"),
    ],
)
def test_errors_in_grids_name_file_and_line(file: Path, text: str, line: int, message: str) -> None:
    file.write_text(text)
    with pytest.raises(MitobenchError) as reason:
        read(str(file))
    assert str(reason.value).startswith(f"{file}:{line}:")
    assert message in str(reason.value)


def test_a_file_that_is_not_toml_is_reported(file: Path) -> None:
    file.write_text("title = \n")
    with pytest.raises(MitobenchError, match=r"mine.toml.*line 1"):
        read(str(file))


def test_an_error_about_an_unknown_name_lists_similar_names() -> None:
    with pytest.raises(MitobenchError, match="table3"):
        read("tabel3")


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(MitobenchError, match="cannot be read"):
        read(str(tmp_path / "none.toml"))
