"""Records of folds are pooled into one row: summed counts, intervals over all slides, no curve."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mitobench import datasets, folding
from mitobench.benchmark import Grid
from mitobench.report import build
from mitobench.report.section_page import section_page
from mitobench.report.table import sections
from mitobench.results import record
from mitobench.results.pooling import pool
from mitobench.results.schema import Record

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toys")]

ROLES = {"estimator": ["toy-boxes"], "detector": ["toy-dark"], "verifier": ["none"], "fuser": ["toy-sum"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("folds")


@pytest.fixture
def records(folder: Path, small_data: Path) -> list[Record]:
    """The records of three folds by slide, run once."""
    if not (folder / "out").exists():
        (folder / "toys.toml").write_text('title = "toys"\n')
        for benchmark in folding.prepare(
            [Grid(ROLES)],
            data=small_data,
            datasets=["synthetic"],
            protocol="cv-by-slide-of3",
            profile=str(folder / "toys.toml"),
            device="cpu",
            store=folder / "store",
        ):
            benchmark.run(folder / "out")
    return [found for _, found in record.read_all(folder / "out" / "records")]


@pytest.mark.parametrize("scanners", [None, ["A"]])
def test_data_are_read_once_for_all_folds(
    tmp_path: Path, small_data: Path, monkeypatch: pytest.MonkeyPatch, scanners: list[str] | None
) -> None:
    (tmp_path / "toys.toml").write_text('title = "toys"\n')
    read: list[str] = []
    load = datasets.load
    monkeypatch.setattr(datasets, "load", lambda name, root: read.append(name) or load(name, root))
    benchmarks = folding.prepare(
        [Grid(ROLES)],
        data=small_data,
        datasets=["synthetic"],
        protocol="cv-by-slide-of3",
        scanners=scanners,
        profile=str(tmp_path / "toys.toml"),
        device="cpu",
        store=tmp_path / "store",
    )
    assert len(benchmarks) == 3
    assert len({benchmark.workspace.splits["synthetic"].parts["test"] for benchmark in benchmarks}) == 3
    assert read == ["synthetic"]


def test_counts_of_all_folds_are_summed(records: list[Record], small_data: Path) -> None:
    assert len(records) == 3
    ((pooled, members),) = pool(records)
    assert pooled.combination["protocol"] == "cv-by-slide-of3"
    assert {member.digest for member in members} == {found.digest for found in records}
    tests: list[Any] = [found.test for found in records]
    assert pooled.test is not None
    for name in ("tp", "fp", "fn", "n_frames", "n_mitoses"):
        assert getattr(pooled.test, name) == sum(getattr(test, name) for test in tests)
    assert pooled.test.n_groups == len({frame.group for test in tests for frame in test.frames})
    assert pooled.test.f1 == pytest.approx(2 * pooled.test.tp / (2 * pooled.test.tp + pooled.test.fp + pooled.test.fn))
    assert pooled.test.average_precision is None
    assert any(note.startswith("summed over 3 folds") for note in pooled.notes)


def test_the_count_is_over_the_cases_of_all_folds(records: list[Record]) -> None:
    ((pooled, _),) = pool(records)
    assert pooled.test is not None
    found = pooled.test.cases
    assert found is not None
    assert found.n_cases == pooled.test.n_groups > 3
    tests = [record.test for record in records if record.test]
    of_folds = [test.cases for test in tests if test.cases]
    n_cases = sum(counts.n_cases for counts in of_folds)
    assert n_cases == found.n_cases
    assert found.bias == pytest.approx(sum(counts.bias * counts.n_cases for counts in of_folds) / n_cases)
    key = records[0].stages["evaluation"]
    older = records[0].model_copy(update={"specs": {**records[0].specs, key: {"settings": {}}}})
    ((pooled, _),) = pool([older, *records[1:]])
    assert pooled.test is not None
    assert pooled.test.cases is None, "computed when pages are built"


def test_every_slide_is_tested_once(records: list[Record]) -> None:
    ((pooled, _),) = pool(records)
    assert pooled.test is not None
    frames = [frame.frame for frame in pooled.test.frames]
    assert len(frames) == len(set(frames)) == 28


def test_a_row_says_so_if_a_slide_is_tested_in_several_folds(records: list[Record]) -> None:
    """As a slide with scans by two scanners is, where each fold tests one scanner."""
    ((pooled, _),) = pool(records)
    assert pooled.data["synthetic"].split.note.startswith("Every slide is tested once; counts are summed over folds")
    first, second, *rest = records
    assert first.test is not None
    assert second.test is not None
    group = first.test.frames[0].group
    moved = [frame.model_copy(update={"group": group}) for frame in second.test.frames]
    second = second.model_copy(update={"test": second.test.model_copy(update={"frames": moved})})
    ((pooled, _),) = pool([first, second, *rest])
    assert "some slides in several folds; counts are summed" in pooled.data["synthetic"].split.note


def test_a_missing_fold_fails_the_row(records: list[Record]) -> None:
    ((pooled, _),) = pool(records[:2])
    assert pooled.status == "failed"
    assert pooled.test is None
    assert "of 3 has no record here: add it, or run the same command again" in str(pooled.reason)


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_links_to_folds_have_their_own_numbers(records: list[Record], missing: int) -> None:
    of_fold = {int(one.combination["protocol"][-4]): one for one in records}
    del of_fold[missing]
    (section,) = sections(of_fold.values())
    page = section_page(section, "records")
    for number, one in of_fold.items():
        assert f"[0 fold {number} FAILED](records/{one.stem}.json)" in page
    assert f"fold {missing} FAILED" not in page


def test_the_link_to_a_single_fold_is_that_of_its_record(records: list[Record]) -> None:
    one = records[0]
    (section,) = sections([one])
    assert f"fold {one.combination['protocol'][-4]} FAILED](records/{one.stem}.json)" in section_page(
        section, "records"
    )


def test_a_failed_fold_fails_the_row(records: list[Record]) -> None:
    failed = records[0].model_copy(update={"status": "failed", "reason": "no memory", "test": None})
    ((pooled, _),) = pool([failed, *records[1:]])
    assert pooled.status == "failed"
    assert "no memory" in str(pooled.reason)


def test_other_records_stay_as_they_are(records: list[Record]) -> None:
    plain = records[0].model_copy(update={"combination": {**records[0].combination, "protocol": "by-slide"}})
    assert [one for one, _ in pool([plain])] == [plain]
    assert pool([]) == []


def test_the_leaderboard_has_one_row_with_links_to_all_folds(records: list[Record], folder: Path) -> None:
    (section,) = sections(records)
    assert section.title == "Synthetic, by slide, 3 folds"
    (row,) = section.rows
    assert len(section.files_of(row.first)) == 3
    build.build(folder / "out")
    page = (folder / "out" / "sections" / f"{section.name}.md").read_text()
    for number in (1, 2, 3):
        assert f"[0 fold {number}](../records/synthetic-cv-by-slide-{number}of3-" in page
    assert (folder / "out" / "index.html").is_file()


def test_a_fold_is_reproduced(
    records: list[Record], folder: Path, small_data: Path, mitobench: Callable[..., Any]
) -> None:
    path = sorted((folder / "out" / "records").glob("*.json"))[0]
    answer = mitobench("reproduce", path, "--data", small_data)
    assert answer.code == 0, answer.out + answer.err


def test_run_measures_all_folds(mitobench: Callable[..., Any], folder: Path, small_data: Path, tmp_path: Path) -> None:
    (tmp_path / "toys.toml").write_text('title = "toys"\n')
    words = [word for role, (name,) in ROLES.items() for word in (f"--{role}", name)]
    answer = mitobench(
        *("run", *words, "--data", small_data, "--dataset", "synthetic", "--protocol", "cv-by-slide-of3"),
        *("--profile", tmp_path / "toys.toml", "--device", "cpu", "--store", folder / "store", "--out", tmp_path),
    )
    assert answer.code == 0, answer.out + answer.err
    assert "by slide, 3 folds" in answer.out
    assert len(list((tmp_path / "records").glob("*.json"))) == 3
    answer = mitobench(
        *("run", *words, "--data", small_data, "--dataset", "synthetic", "--protocol", "cv-by-slide-of3"),
        *("--part", "val", "--profile", tmp_path / "toys.toml", "--device", "cpu"),
        *("--store", folder / "store", "--out", tmp_path),
    )
    assert answer.code == 0, answer.out + answer.err
    assert "(3 folds)" in answer.out
