"""`mitobench reproduce`."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_runs

from mitobench.results import archive

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toys")]


@pytest.fixture
def path(tmp_path: Path, small_data: Path) -> Path:
    (path,) = tiny_runs.run(tmp_path / "board", small_data)
    return path


def test_an_unaltered_record_is_equal(
    mitobench: Callable[..., Any], path: Path, small_data: Path, tmp_path: Path
) -> None:
    answer = mitobench("reproduce", path, "--data", small_data, "--store", tmp_path / "mine", "--out", tmp_path / "out")
    assert answer.code == 0, answer.out + answer.err
    assert answer.out.splitlines()[-1] == "Verdict: equal"
    assert (tmp_path / "mine" / "stages").is_dir()
    assert len(list((tmp_path / "out" / "records").glob("*.json"))) == 1


def test_a_forged_record_is_different(mitobench: Callable[..., Any], path: Path, small_data: Path) -> None:
    tiny_runs.without_false_positives(path)
    answer = mitobench("reproduce", path, "--data", small_data)
    assert answer.code == 1, answer.out + answer.err
    assert "Not equal: test, detections." in answer.out
    assert "paired 95 % interval" in answer.out
    assert "Nothing that the record names has changed" in answer.out
    assert answer.out.splitlines()[-1] == "Verdict: different"


def test_changes_are_listed(mitobench: Callable[..., Any], path: Path, small_data: Path) -> None:
    tiny_runs.reseal(path, lambda content: content["versions"].update(torch="1.0"))
    answer = mitobench("reproduce", path, "--data", small_data)
    assert answer.code == 0, answer.out + answer.err
    assert "changed: version of torch: 1.0 then, " in answer.out


def test_a_record_that_contradicts_itself_is_different(mitobench: Callable[..., Any], path: Path) -> None:
    tiny_runs.reseal(path, lambda content: content["test"].update(f1=0.99))
    answer = mitobench("reproduce", path)
    assert answer.code == 1
    assert f"{path}: test.f1 is 0.99" in answer.out
    assert "Nothing was run." in answer.out


def test_damaged_detections_are_an_error_and_no_verdict(mitobench: Callable[..., Any], path: Path) -> None:
    assert mitobench("leaderboard", "pack", path.parent.parent).code == 0
    (found,) = archive.archives(path.parent)
    found.write_bytes(found.read_bytes()[:-40])
    answer = mitobench("reproduce", path.with_name(f"{path.name}.gz"))
    assert answer.code == 2
    assert "is cut short" in answer.err
    assert "Verdict" not in answer.out


def test_a_record_that_another_program_packed_gets_no_verdict(mitobench: Callable[..., Any], path: Path) -> None:
    packed = path.with_name(f"{path.name}.gz")
    with gzip.GzipFile(packed, "wb", mtime=1_700_000_000) as file:
        file.write(path.read_bytes())
    answer = mitobench("reproduce", packed)
    assert answer.code == 2
    assert "was packed by another program" in answer.err
    assert "Verdict" not in answer.out


def test_an_edited_record_is_an_error(mitobench: Callable[..., Any], path: Path) -> None:
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    answer = mitobench("reproduce", path)
    assert answer.code == 2
    assert "was changed after it was written" in answer.err
