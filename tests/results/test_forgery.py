"""Forges every number of a record in turn and gives it right digests again: `check` finds each from the record alone.

The numbers are listed from the schema and from a record, so a new field is tested without a change here.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import tiny_runs
from pydantic import BaseModel

from mitobench import discovery
from mitobench.benchmark import Benchmark, Grid
from mitobench.evaluate import StoredDetections
from mitobench.evaluate.stored import COLUMNS
from mitobench.pipeline.rounding import significant
from mitobench.results import record as records
from mitobench.results.check import NOT_DERIVED, NOT_DERIVED_COLUMNS, check
from mitobench.results.schema import Record

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
Content = dict[str, Any]


# --------------------------------------------------------------------------------------------- listing the numbers


def of_schema(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """The paths of all numbers of a model: `test.frames.*.tp`. Dictionaries of anything are `*`."""
    for name, field in model.model_fields.items():
        yield from _of_type(field.annotation, f"{path}.{name}" if path else name)


def _of_type(annotation: Any, path: str) -> Iterator[str]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        origin, arguments, annotation = typing.get_origin(arguments[0]), typing.get_args(arguments[0]), arguments[0]
    if origin in (typing.Union, types.UnionType):
        for argument in arguments:
            yield from _of_type(argument, path)
    elif origin in (list, tuple):
        yield from _of_type(arguments[0], f"{path}.*")
    elif origin is dict:
        yield from _of_type(arguments[1], f"{path}.*")
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from of_schema(annotation, path)
    elif annotation in (int, float):
        yield path


def objects_of(value: Any, path: str = "") -> Iterator[str]:
    """The paths of all objects that are there: `test.froc`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        inner = f"{path}\0{name}" if path else str(name)
        if isinstance(item, dict):
            yield inner
        yield from objects_of(item, inner)


def of_content(value: Any, path: str = "") -> Iterator[str]:
    """The paths of all numbers that are there: `test.frames.3.tp`."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from of_content(item, f"{path}\0{name}" if path else name)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from of_content(item, f"{path}\0{place}")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path


# --------------------------------------------------------------------------------------------------------- forging


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, small_data: Path, toy_environment: dict[str, str]) -> Path:
    """A record of a detector, a verifier and a fuser that fit, under boxes that are scored against masks."""
    folder = tmp_path_factory.mktemp("forged")
    (folder / "toys.toml").write_text('title = "toys"\n')
    toys = {"estimator": ["toy-blobs"], "detector": ["toy-dark"], "verifier": ["toy-mean"], "fuser": ["toy-sum"]}
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MITOBENCH_PACKAGES", "PYTHONPATH"):
            patch.setenv(name, toy_environment[name])
        patch.syspath_prepend(toy_environment["PYTHONPATH"].partition(":")[0])
        discovery.found.cache_clear()
        benchmark = Benchmark.prepare(
            [Grid(toys)],
            data=small_data,
            datasets=["synthetic"],
            seeds=[1],
            sets=["pipeline.candidate_threshold=0.3"],
            profile=str(folder / "toys.toml"),
            device="cpu",
            store=folder / "store",
        )
        benchmark.run(folder)
    discovery.found.cache_clear()
    return benchmark.records[0][0]


def forged(path: Path, folder: Path, change: Callable[[Content], object]) -> Path:
    """A copy of a record with something changed, sealed again, under the name that fits what it says now."""
    content = json.loads(path.read_text())
    change(content)
    record = Record.model_validate(content).sealed()
    entries = {}
    for name, ending in records.ENDINGS.items():
        entry = getattr(record, name)
        file = f"{record.stem}{ending}"
        (folder / file).write_bytes(path.with_name(f"{path.stem}{ending}").read_bytes())
        entries[name] = entry.model_copy(update={"file": file})
    target = folder / f"{record.stem}.json"
    target.write_bytes(records.spelled(record.model_copy(update=entries).sealed()))
    return target


def at(path: str, change: Callable[[Any], Any]) -> Callable[[Content], None]:
    """Changes the leaf at a path."""
    *way, last = path.split("\0")

    def apply(content: Content) -> None:
        inside: Any = content
        for step in way:
            inside = inside[int(step)] if isinstance(inside, list) else inside[step]
        key = int(last) if isinstance(inside, list) else last
        inside[key] = change(inside[key])

    return apply


def is_found(path: Path, folder: Path, change: Callable[[Content], object]) -> bool:
    """Whether `check` finds a forgery; a record that cannot be read any more is found, too."""
    folder.mkdir(exist_ok=True)
    try:
        target = forged(path, folder, change)
    except ValueError:  # the schema refuses it
        return True
    found = bool(check(target).problems)
    for file in folder.iterdir():
        file.unlink()
    return found


def is_derived(path: str) -> bool:
    return not any(fnmatch(path.replace("\0", "."), pattern) for pattern in NOT_DERIVED)


def adding(path: str) -> Callable[[Content], None]:
    """Adds a number to the object at a path."""
    return at(path, lambda found: {**found, "16": 0.99})


def samples(paths: Iterator[str]) -> Iterator[str]:
    """Of paths that differ in the indices of lists only: the first, the middle and the last."""
    patterns: dict[str, list[str]] = {}
    for path in paths:
        patterns.setdefault(".".join("*" if step.isdigit() else step for step in path.split("\0")), []).append(path)
    for found in patterns.values():
        yield from {found[0], found[len(found) // 2], found[-1]}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda n: n + 1, id="one more"),
        pytest.param(lambda n: n * 0.9 + 0.001, id="a tenth less", marks=pytest.mark.thorough),
    ],
)
def test_every_number_is_found_when_it_is_forged(made: Path, tmp_path: Path, change: Callable[[float], float]) -> None:
    assert check(made).problems == [], "the record as it was made is right"
    paths = [path for path in samples(of_content(json.loads(made.read_text()))) if is_derived(path)]
    missed = [path for path in paths if not is_found(made, tmp_path / "f", at(path, change))]
    assert missed == []


@pytest.mark.parametrize("part", ["val", "test"])
def test_the_number_of_frames_that_chose_or_were_scored_is_found(made: Path, tmp_path: Path, part: str) -> None:
    assert is_found(made, tmp_path / "f", at(f"data\0synthetic\0frames\0{part}", lambda number: number + 1))


FREE_NAMES = ("training_info", "versions", "run.host")  # no score is among them


def test_every_number_that_is_added_is_found(made: Path, tmp_path: Path) -> None:
    paths = list(samples(objects_of(json.loads(made.read_text()))))
    assert {"test\0froc", "pipeline", "data"} <= set(paths)
    tried = [path for path in paths if path.replace("\0", ".") not in FREE_NAMES and is_derived(f"{path}\0added")]
    missed = [path for path in tried if not is_found(made, tmp_path / "f", adding(path))]
    assert missed == []


@pytest.mark.parametrize("number", [-1.0, -1e-9, 1e10])
@pytest.mark.parametrize("path", ["run\0seconds\0fusion", "run\0seconds_a_frame", "run\0seconds_a_candidate"])
def test_seconds_that_cannot_be_are_found(made: Path, tmp_path: Path, path: str, number: float) -> None:
    assert is_found(made, tmp_path / "f", at(path, lambda _: number))
    assert not is_found(made, tmp_path / "f", at(path, lambda _: 12.5))


def test_a_number_of_frames_that_cannot_be_is_found(made: Path, tmp_path: Path) -> None:
    path = "data\0synthetic\0frames\0train"
    assert is_found(made, tmp_path / "f", at(path, lambda _: -1))
    assert not is_found(made, tmp_path / "f", at(path, lambda _: 13))


def test_every_number_of_the_schema_is_in_the_record_that_is_forged(made: Path) -> None:
    there = [path.replace("\0", ".") for path in of_content(json.loads(made.read_text()))]
    untested = [
        "migrated.*.schema_version",  # tests/results/test_migrate.py
        *(
            f"*{name}*" for name in ("domains", "annotators", "contested", "imposters", "cases")
        ),  # test_forged_domains.py
    ]
    absent = [
        wanted
        for wanted in of_schema(Record)
        if not any(fnmatch(wanted, name) for name in untested) and not any(fnmatch(path, wanted) for path in there)
    ]
    assert absent == []


def test_what_is_not_derived_is_a_short_list_and_the_protocol_has_the_same() -> None:
    protocol = (REPOSITORY / "docs" / "protocol.md").read_text()
    _, _, table = protocol.partition("| not derived | what it is |\n|---|---|\n")
    rows = re.findall(r"\| `(.+?)` \| (.+) \|", table.partition("\n\n")[0])
    assert rows == list({**NOT_DERIVED, **NOT_DERIVED_COLUMNS}.items())
    assert 0 < len(rows) <= 8


# ----------------------------------------------------------------------------------------------------- its detections


def reseal_detections(path: Path, folder: Path, name: str, change: Callable[[list[list[str]]], object]) -> Path:
    """A copy of a record with changed rows of detections, every digest right."""
    entry = json.loads(path.read_text())[name]
    lines = gzip.decompress(path.with_name(entry["file"]).read_bytes()).decode().splitlines()
    rows = [line.split(",") for line in lines]
    change(rows)
    text = "".join(",".join(row) + "\n" for row in rows)

    def seal(content: Content) -> None:
        packed = records.pack(text.encode())
        content[name] |= {
            "rows": len(rows) - 1,
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "packed": hashlib.sha256(packed).hexdigest(),
        }

    target = forged(path, folder, seal)
    target.with_name(json.loads(target.read_text())[name]["file"]).write_bytes(records.pack(text.encode()))
    return target


def column(rows: list[list[str]], name: str) -> int:
    return rows[0].index(name)


def hits_and_errors_exchanged(rows: list[list[str]], name: str) -> None:
    """The best detection near a mitosis and the best near none take the scores of the worst of the other kind."""
    at, mitosis = column(rows, name), column(rows, "mitosis")
    given = sorted((row for row in rows[1:] if row[at]), key=lambda row: float(row[at]))
    near, far = ([row for row in given if bool(row[mitosis]) is hit] for hit in (True, False))
    near[-1][at], far[0][at] = far[0][at], near[-1][at]
    far[-1][at], near[0][at] = near[0][at], far[-1][at]


def hit_of_another(rows: list[list[str]], name: str) -> None:
    """The best detection that is near no mitosis is said to be near one."""
    mitosis, score = column(rows, "mitosis"), column(rows, "detector_score")
    best = max((row for row in rows[1:] if not row[mitosis]), key=lambda row: float(row[score]))
    best[mitosis], best[column(rows, "distance_um")] = "0", "0.5"


def no_hit(rows: list[list[str]], name: str) -> None:
    """The best detection near a mitosis is said to be near none."""
    mitosis, score = column(rows, "mitosis"), column(rows, "detector_score")
    best = max((row for row in rows[1:] if row[mitosis]), key=lambda row: float(row[score]))
    for at in range(mitosis, len(best)):
        best[at] = ""


def all_further(rows: list[list[str]], name: str) -> None:
    at = column(rows, name)
    for row in rows[1:]:
        if row[at]:
            row[at] = repr(float(row[at]) + 0.25)


def to_another_frame(rows: list[list[str]], name: str) -> None:
    for row in rows[1:]:
        row[0] = rows[1][0]


def removed(rows: list[list[str]], name: str) -> None:
    del rows[1]


FORGERIES = {
    "frame": [to_another_frame, removed],
    "detector_score": [hits_and_errors_exchanged],
    "score": [hits_and_errors_exchanged],
    "mitosis": [hit_of_another, no_hit],
    "distance_um": [all_further],
}
MEASURED_ALONE = {"x", "y", "x1", "y1", "x2", "y2", "verifier_score", "also_within"}  # move no number


@pytest.mark.parametrize("name", ["detections", "validation_detections"])
@pytest.mark.parametrize(
    ("of", "change"),
    [pytest.param(of, change, id=change.__name__) for of, changes in FORGERIES.items() for change in changes],
)
def test_every_column_of_the_detections_is_found(made: Path, tmp_path: Path, name: str, of: str, change: Any) -> None:
    target = reseal_detections(made, tmp_path, name, lambda rows: change(rows, of))
    assert check(target).problems


@pytest.mark.parametrize("name", ["detector_score", "verifier_score"])
def test_scores_of_plugins_that_are_changed_with_all_numbers_are_left_to_reproduce(
    core_records: dict[str, Path], tmp_path: Path, name: str
) -> None:
    """The table of what is not derived promises no more than this."""
    source = core_records["detector-only" if name == "detector_score" else "verifier-only"]
    for file in source.parent.glob(f"{source.stem}.*"):
        shutil.copy(file, tmp_path)

    def lower(stored: StoredDetections) -> StoredDetections:
        moved = {"score": significant(stored.score / 2), "detector": stored.detector, "verifier": stored.verifier}
        moved["detector" if name == "detector_score" else "verifier"] = moved["score"]
        return replace(stored, **moved)

    assert check(tiny_runs.cheat_everywhere(tmp_path / source.name, lower)).problems == []


def test_every_column_is_forged_or_named_as_measured() -> None:
    assert FORGERIES.keys() | MEASURED_ALONE == set(COLUMNS)
    named = {name for names in NOT_DERIVED_COLUMNS for name in names.split(", ")}
    assert named | {"frame"} == set(COLUMNS)


def test_the_threshold_that_is_best_on_the_test_frames_is_not_accepted_as_validations(
    made: Path, tmp_path: Path
) -> None:
    """The forgery that pays most, and agrees with itself: all numbers at the oracle threshold."""
    from mitobench.evaluate import evaluate
    from mitobench.results.recompute import Recomputation

    record = records.read(made)
    assert record.test is not None
    recomputed = Recomputation.read(made, record)
    best = record.test.oracle_threshold
    assert best != record.test.threshold, "another sample record is needed"
    numbers = evaluate(recomputed.frames(), best, record.test.matcher, record.test.radius_um).model_dump(mode="json")

    def cheat(content: Content) -> None:
        content["test"] = numbers
        content["chosen"]["point"] |= {"threshold": best, "upper": best, "lower": None}
        content["validation"]["threshold"] = best

    assert any("chosen.point" in problem for problem in check(forged(made, tmp_path, cheat)).problems)


def test_a_number_is_found_to_the_ninth_digit(made: Path, tmp_path: Path) -> None:
    def by_a_little(content: Content) -> None:
        content["test"]["average_precision"] *= 1 + 1e-8

    assert is_found(made, tmp_path / "f", by_a_little)


def test_names_and_texts_that_contradict_the_record_are_found(made: Path, tmp_path: Path) -> None:
    def renamed(content: Content) -> None:
        content["combination"]["detector"] = content["plugins"]["detector"]["name"] = "my-own"

    def another_command(content: Content) -> None:
        content["run"]["command"] = "curl evil | sh"

    def another_name_alone(content: Content) -> None:
        content["combination"]["verifier"] = "none"

    for change in (renamed, another_command, another_name_alone):
        assert is_found(made, tmp_path / "f", change), change.__name__
