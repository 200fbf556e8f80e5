"""`mitobench leaderboard`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_runs
from records import failed, frame, ok, write_complete_record

from mitobench.cli import console
from mitobench.evaluate import StoredDetections
from mitobench.results import record
from mitobench.results.command import command_of

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Records of two seeds of one combination and of another that failed."""
    monkeypatch.setattr(console.console, "width", 250)
    records = tmp_path / "board" / "records"
    for seed, counts in enumerate([(5, 5, 5), (7, 3, 3)]):  # F1 of .5 and .7
        write_complete_record(records, ok(seed=seed), [frame("A00", *counts)])
    record.write(records, failed(detector="rpn"), None)
    return records.parent


def test_build_writes_the_page_and_shows_it(mitobench: Callable[..., Any], folder: Path) -> None:
    answer = mitobench("leaderboard", "build", folder)
    assert answer.code == 0
    page = (folder / "LEADERBOARD.md").read_text(encoding="utf-8")
    for shown in (answer.out, page):
        assert ".600" in shown, "the mean of both seeds"
    assert "FAILED 0" in answer.out
    assert "0 of 2, 1 FAILED" in page
    assert "MITOS 2012, official split" in answer.out
    assert str(folder / "LEADERBOARD.md") in answer.out


def test_show_writes_nothing(mitobench: Callable[..., Any], folder: Path) -> None:
    answer = mitobench("leaderboard", "show", folder)
    assert answer.code == 0
    assert ".600" in answer.out
    assert [path.name for path in folder.iterdir()] == ["records"]


def test_without_a_folder_it_is_the_one_that_run_writes(
    mitobench: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    folder.rename("leaderboard")
    assert mitobench("leaderboard", "build").code == 0
    assert Path("leaderboard/LEADERBOARD.md").is_file()


@pytest.mark.parametrize("command", ["build", "show"])
def test_a_broken_record_is_named_and_left_out(
    mitobench: Callable[..., Any], folder: Path, command: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = next((folder / "records").glob("*-s1-*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 9}))
    answer = mitobench("leaderboard", command, folder)
    assert answer.code == (command == "build")
    assert f"Left out: {path}: has schema version 9, this mitobench reads 2" in caplog.text
    assert ".500" in answer.out
    assert ".700" not in answer.out, "of the other seed alone"


@pytest.mark.parametrize("command", ["build", "show", "check", "recommend"])
def test_a_folder_that_is_not_there_is_an_error_and_not_made(
    mitobench: Callable[..., Any], tmp_path: Path, command: str
) -> None:
    answer = mitobench("leaderboard", command, tmp_path / "borad")
    assert answer.code == 2
    assert "is not a directory" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_without_a_record_show_says_so(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    answer = mitobench("leaderboard", "show", tmp_path)
    assert answer.code == 0
    assert "has no records yet" in "".join(answer.out.split("\n"))


@pytest.mark.parametrize("built", [False, True])
def test_check_fails_without_a_record(mitobench: Callable[..., Any], tmp_path: Path, built: bool) -> None:
    (tmp_path / "records").mkdir()
    if built:
        assert mitobench("leaderboard", "build", tmp_path).code == 0
    answer = mitobench("leaderboard", "check", tmp_path)
    assert answer.code == 1
    assert "nothing to check" in answer.err
    assert "No problems found" not in answer.out


# ------------------------------------------------------------------------------------------------------ recommend

GOOD, NEARLY, UNSURE = [(90, 10, 10)] * 10, [(89, 10, 11)] * 10, [(90, 10, 10), (80, 20, 20)] * 5


def raced(folder: Path, **rows: tuple[list[tuple[int, int, int]], float | None]) -> Path:
    """Writes a record per detector, with the counts of each slide and the seconds per frame; returns the folder."""
    for name, (each, seconds) in rows.items():
        made = ok(detector=name)
        run = made.run.model_copy(update={"seconds_a_frame": seconds})
        frames = [frame(f"A{slide:02d}", *counts) for slide, counts in enumerate(each)]
        write_complete_record(folder / "records", made.model_copy(update={"run": run}), frames)
    return folder


def test_the_cheapest_row_that_is_not_worse_is_recommended(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    answer = mitobench("leaderboard", "recommend", raced(tmp_path, best=(GOOD, 3.0), cheap=(NEARLY, 1.0)))
    assert answer.code == 0, answer.err
    lines = [line.strip() for line in answer.out.splitlines()]
    assert lines[0] == "MITOS 2012, official split"
    assert lines[1].startswith("Best: rank 1, fixed + best + resnet50 + linear; F1 .900 [")
    assert lines[2].startswith("Recommended: rank 2, fixed + cheap + resnet50 + linear; F1 .894 [")
    assert lines[2].endswith("1.00 s per frame")
    assert lines[3].startswith("The best is ahead by +.006 [")
    assert lines[-1] == "Differences: 95 % intervals, paired, over 10 slides."


def test_where_the_data_cannot_decide_it_says_so_and_why(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    folder = raced(tmp_path, best=(GOOD, 3.0), cheap=(UNSURE, 1.0))
    answer = mitobench("leaderboard", "recommend", folder)
    assert answer.code == 1
    assert "The data cannot decide. 1 faster row may or may not be worse by more than .020." in answer.out
    assert "Faster, but undecided: rank 2, fixed + cheap" in answer.out
    assert "Recommended" not in answer.out
    assert mitobench("leaderboard", "recommend", folder, "--margin", "0.3").code == 0


def test_of_many_undecided_rows_five_are_listed_and_the_others_counted(
    mitobench: Callable[..., Any], tmp_path: Path
) -> None:
    folder = raced(tmp_path, best=(GOOD, 3.0), **{f"cheap{n}": (UNSURE, 1.0) for n in range(8)})
    answer = mitobench("leaderboard", "recommend", folder)
    assert "8 faster rows may or may not be worse" in answer.out
    assert answer.out.count("Faster, but undecided:") == 5
    assert "and 3 more with lower ranks." in answer.out


def test_rows_that_cost_the_same_or_have_no_seconds_are_named(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    folder = raced(tmp_path, best=(GOOD, 3.0), one=(NEARLY, 1.0), other=(NEARLY, 1.0), untimed=(NEARLY, None))
    answer = mitobench("leaderboard", "recommend", folder)
    assert answer.code == 0
    assert "Equally fast, with the same or a lower F1: rank 3, fixed + other" in answer.out
    assert "Not considered, as their speed was not measured: fixed + untimed" in answer.out


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--section", "OFFICIAL SPLIT"),
        ("--section", "mitos2012-official"),
        ("--dataset", "mitos2012"),
        ("--protocol", "official"),
    ],
)
def test_a_section_is_chosen_by_title_name_data_set_or_protocol(
    mitobench: Callable[..., Any], tmp_path: Path, option: str, value: str
) -> None:
    folder = raced(tmp_path, best=(GOOD, 3.0))
    assert "Recommended: the best." in mitobench("leaderboard", "recommend", folder, option, value).out
    assert "MITOS 2012, official split" in mitobench("leaderboard", "show", folder, option, value).out
    for command in ("recommend", "show"):
        answer = mitobench("leaderboard", command, folder, option, "nothing")
        assert answer.code == 2
        assert "no section matches" in answer.err
        assert f"Available: {'mitos2012-official' if option == '--section' else value}." in answer.err


def test_an_unknown_data_set_or_protocol_gives_the_nearest(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    folder = raced(tmp_path, best=(GOOD, 3.0))
    answer = mitobench("leaderboard", "show", folder, "--dataset", "mitos2021")
    assert "no section matches --dataset mitos2021. Did you mean mitos2012?" in answer.err
    answer = mitobench("leaderboard", "recommend", folder, "--protocol", "oficial")
    assert "no section matches --protocol oficial. Did you mean official?" in answer.err


def test_a_difference_that_some_seeds_give_names_them_and_their_f1(
    mitobench: Callable[..., Any], tmp_path: Path
) -> None:
    raced(tmp_path, best=(GOOD, 3.0), cheap=(UNSURE, 1.0))
    second = ok(detector="best", seed=1)
    frames = [frame(f"A{slide:02d}", 80, 20, 20) for slide in range(10)]
    write_complete_record(tmp_path / "records", second, frames)
    shown = mitobench("leaderboard", "recommend", tmp_path).out
    assert "Best: rank 1, fixed + best + resnet50 + linear; F1 .850" in shown
    assert "The best is ahead by +.050 [" in shown
    assert ", on seed 0 of both (.900 and .850)." in shown


@pytest.mark.parametrize("margin", ["nan", "-0.1", "1.5", "little"])
def test_a_margin_outside_0_to_1_is_an_error(mitobench: Callable[..., Any], tmp_path: Path, margin: str) -> None:
    answer = mitobench("leaderboard", "recommend", raced(tmp_path, best=(GOOD, 3.0)), "--margin", margin)
    assert answer.code == 2
    assert "margin" in answer.err


def test_where_nothing_is_ranked_or_recorded_nothing_is_recommended(
    mitobench: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "records").mkdir()
    assert mitobench("leaderboard", "recommend", tmp_path).code == 2
    record.write(tmp_path / "records", failed(detector="rpn"), None)
    answer = mitobench("leaderboard", "recommend", tmp_path)
    assert answer.code == 1
    assert "The data cannot decide: no row is ranked." in answer.out


# ------------------------------------------------------------------------------------------- whole records of toys


@pytest.fixture(scope="module")
def toy_records(
    small_data: Path, tmp_path_factory: pytest.TempPathFactory, toy_environment: dict[str, str]
) -> list[Path]:
    """The files of two seeds; tests must not change them."""
    return tiny_runs.board(small_data, tmp_path_factory.mktemp("board"), toy_environment)


@pytest.fixture
def board(toy_records: list[Path], tmp_path: Path) -> Path:
    """A leaderboard of both seeds, not built yet."""
    shutil.copytree(toy_records[0].parent, tmp_path / "whole" / "records")
    return tmp_path / "whole"


def first(board: Path) -> Path:
    return sorted((board / "records").glob("*.json"))[0]


def page_of_section(folder: Path) -> str:
    (page,) = (path for path in (folder / "sections").glob("*.md") if path.stem != "published")
    return page.read_text(encoding="utf-8")


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_check_accepts_a_leaderboard_that_was_just_built(
    mitobench: Callable[..., Any], board: Path, small_data: Path
) -> None:
    assert mitobench("leaderboard", "build", board).code == 0
    before = content(board)
    answer = mitobench("leaderboard", "check", board, "--data", small_data)
    assert answer.code == 0, answer.out + answer.err
    assert "2 records" in answer.out
    assert "Recomputed from the record alone: every score, threshold, curve and interval of 2 records." in answer.out
    assert f"Matched again with the annotation below {small_data}: 2 records." in answer.out
    assert "Generated again and compared: LEADERBOARD.md" in answer.out
    assert answer.out.splitlines()[-1] == "No problems found."
    assert content(board) == before, "checking changes nothing"


def test_without_data_it_says_what_was_not_checked(mitobench: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    answer = mitobench("leaderboard", "check", folder)
    assert answer.code == 0
    assert "Without --data no detections were matched with the annotation" in answer.out
    assert "no files, as there are none" in answer.out
    (tmp_path / "empty").mkdir()
    answer = mitobench("leaderboard", "check", folder, "--data", tmp_path / "empty")
    assert answer.code == 0
    assert "and so not matched: mitos2012." in answer.out


@pytest.mark.parametrize("command", ["build", "show"])
def test_a_record_with_wrong_numbers_is_named_and_left_out(
    mitobench: Callable[..., Any], board: Path, command: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = first(board)
    tiny_runs.reseal(path, lambda content: content["test"].update(average_precision=0.99))
    answer = mitobench("leaderboard", command, board)
    assert answer.code == (command == "build"), "a page that lacks a record was written"
    assert f"Left out: {path}: test.average_precision is 0.99; it must be" in caplog.text
    assert ".990" not in answer.out


def test_every_problem_is_reported_on_one_line(mitobench: Callable[..., Any], board: Path) -> None:
    mitobench("leaderboard", "build", board)
    one, other = sorted((board / "records").glob("*.json"))
    one.write_text(one.read_text().replace('"seed": 0', '"seed": 7'))
    tiny_runs.reseal(other, lambda content: content["test"].update(f1=0.99))
    answer = mitobench("leaderboard", "check", board)
    assert answer.code == 1
    assert f"{one}: was changed after it was written" in answer.err
    assert f"{other}: test.f1 is 0.99; it must be 0.3888" in answer.err
    assert "of 0 records" in answer.out
    assert "were not checked, as records have problems" in answer.out
    assert "is stale" not in answer.err, "pages that are right would be built without these records"
    assert "Traceback" not in answer.err


def test_check_finds_a_forgery_with_the_annotation(
    mitobench: Callable[..., Any], board: Path, small_data: Path
) -> None:
    tiny_runs.with_a_found_miss(first(board))
    assert mitobench("leaderboard", "check", board).code == 0
    assert mitobench("leaderboard", "check", board, "--data", small_data).code == 1


def test_others_records_are_added_and_shown(mitobench: Callable[..., Any], board: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    (ours / "records").mkdir(parents=True)
    answer = mitobench("leaderboard", "add", board, "--folder", ours)
    assert answer.code == 0, answer.out + answer.err
    assert answer.out.count("added ") == 2
    assert first(board).stem in page_of_section(ours)
    assert mitobench("leaderboard", "check", ours).code == 0
    again = mitobench("leaderboard", "add", first(board), "--folder", ours)
    assert again.code == 0
    assert "is there already, with equal numbers" in again.out


def test_a_refused_record_leaves_everything_as_it_was(
    mitobench: Callable[..., Any], board: Path, tmp_path: Path
) -> None:
    ours = tmp_path / "ours"
    (ours / "records").mkdir(parents=True)
    tiny_runs.reseal(first(board), lambda content: content["test"].update(f1=0.99))
    answer = mitobench("leaderboard", "add", board / "records", "--folder", ours)
    assert answer.code == 1
    assert "test.f1 is 0.99" in answer.err
    assert f"Nothing was added to {ours / 'records'}." in answer.err
    assert content(ours) == {}


@pytest.mark.parametrize("where", ["together", "beside the one that is there"])
def test_one_piece_of_work_under_two_names_is_refused(
    mitobench: Callable[..., Any], board: Path, tmp_path: Path, where: str
) -> None:
    """A copy of a record with another name for the verifier, and with keys, command and digests that agree with it."""
    theirs = tmp_path / "theirs"
    (tmp_path / "ours" / "records").mkdir(parents=True)
    shutil.copytree(board / "records", theirs)

    def rename(content: dict[str, Any]) -> None:
        content["combination"]["verifier"] = content["plugins"]["verifier"]["name"] = "mine"
        content["specs"][content["stages"]["verifier-scores-test"]]["plugin"]["name"] = "mine"
        content["run"]["command"] = command_of(record.Record.model_validate(content))

    path = theirs / first(board).name
    tiny_runs.reseal(path, rename)
    copy = tiny_runs.renamed(path)
    added, folder = ([board, theirs], tmp_path / "ours") if where == "together" else ([copy], board)
    before = content(folder)
    answer = mitobench("leaderboard", "add", *added, "--folder", folder)
    assert answer.code == 1
    assert f"{copy}: has the stages of {first(board).name}, but its verifier is mine, not toy-mean." in answer.err
    assert "One of the two was changed: remove it." in answer.err
    assert content(folder) == before, "nothing was added"


def test_one_identity_with_other_numbers_is_added_and_marked(
    mitobench: Callable[..., Any], board: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    shutil.copytree(board / "records", theirs)
    tiny_runs.without_false_positives(first(board))
    answer = mitobench("leaderboard", "add", theirs / first(board).name, "--folder", board)
    assert answer.code == 0, answer.err
    assert "with other numbers: both are marked" in answer.out
    assert page_of_section(board).count(f"{first(board).name})") == 2, "both are linked"
    assert mitobench("leaderboard", "check", board).code == 0


def test_a_migrated_record_of_somebody_else_is_refused(
    mitobench: Callable[..., Any], board: Path, tmp_path: Path
) -> None:
    ours = tmp_path / "ours"
    (ours / "records").mkdir(parents=True)
    tiny_runs.downgrade(first(board))
    assert mitobench("leaderboard", "check", board).code == 0
    answer = mitobench("leaderboard", "add", first(board), "--folder", ours)
    assert answer.code == 1
    assert "was migrated from schema version 1 to 2 elsewhere" in answer.err
    assert "run `mitobench leaderboard migrate`" in answer.err
    assert content(ours) == {}
    again = mitobench("leaderboard", "add", first(board), "--folder", board)
    assert again.code == 0, again.err
    assert "is there already, with equal numbers" in again.out


def test_a_fused_score_that_does_not_follow_is_refused(
    mitobench: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    """Its fuser is the core's `linear`, and every number was made to fit the changed scores."""
    path = first(folder)

    def higher(stored: StoredDetections) -> StoredDetections:
        return replace(stored, score=stored.score + 0.5)

    tiny_runs.cheat_everywhere(path, higher)
    answer = mitobench("leaderboard", "check", folder)
    assert answer.code == 1
    assert f"{path}: detections: score of row 2 is 1.2; it must be 0.7." in answer.err


@pytest.mark.parametrize("command", ["build", "show", "recommend", "check", "migrate"])
def test_the_folder_is_an_argument_or_an_option(mitobench: Callable[..., Any], board: Path, command: str) -> None:
    argument = mitobench("leaderboard", command, board)
    option = mitobench("leaderboard", command, "--folder", board)
    assert (option.code, option.out) == (argument.code, argument.out)
    assert mitobench("leaderboard", command, board, "--folder", board).code == argument.code
    both = mitobench("leaderboard", command, board, "--folder", board / "other")
    assert both.code == 2
    assert "Give one of the two." in " ".join(both.err.split())
