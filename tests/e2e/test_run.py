"""`mitobench run` in processes of its own: killed at any moment, twice at once, with mistakes, and what it writes."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from preloaded import Preloaded

pytestmark = pytest.mark.slow

Finish = Callable[..., "subprocess.CompletedProcess[str]"]

KILLS = 3


def command(folder: Path, data: Path, *more: str) -> list[str]:
    profile = folder / "toys.toml"
    profile.parent.mkdir(parents=True, exist_ok=True)
    profile.write_text('title = "toys"\n')
    roles = {"--estimator": "toy-boxes", "--detector": "toy-dark", "--verifier": "toy-net", "--fuser": "toy-sum"}
    arguments = [word for option, name in roles.items() if option not in more for word in (option, name)]
    arguments += ["--set", "verifier.iterations=60", "--set", "verifier.pause=0.002", "--device", "cpu"]
    places = ["--data", str(data), "--dataset", "synthetic", "--profile", str(profile)]
    places += ["--store", str(folder / "store"), "--out", str(folder / "out")]
    return ["run", *arguments, *places, *more]


@pytest.fixture(scope="module")
def finish(preloaded: Preloaded, small_data: Path, toy_environment: dict[str, str]) -> Finish:
    """Runs the command to its end, in a process of its own."""
    return lambda folder, *more: preloaded.run(command(folder, small_data, *more), toy_environment)


def content(folder: Path) -> dict[str, Any]:
    """Returns the one record of a folder, without times, host and git state."""
    (path,) = (folder / "out" / "records").glob("*.json")
    record: dict[str, Any] = json.loads(path.read_text())
    for volatile in ("run", "run_digest"):
        del record[volatile]
    return record


@pytest.fixture(scope="module")
def seconds_and_record(
    finish: Finish, small_data: Path, tmp_path_factory: pytest.TempPathFactory, toy_environment: dict[str, str]
) -> tuple[float, dict[str, Any]]:
    """The duration (s) of a run that is not killed, and the record of one that an interpreter of its own ran."""
    started = time.monotonic()
    done = finish(tmp_path_factory.mktemp("whole"))
    assert done.returncode == 0, done.stderr
    seconds = time.monotonic() - started
    folder = tmp_path_factory.mktemp("fresh")  # sets are in another order there
    program = [sys.executable, "-W", "ignore", "-c", "from mitobench.cli import main; main()"]
    line = [*program, *command(folder, small_data)]
    fresh = subprocess.run(line, env=toy_environment, capture_output=True, text=True, timeout=300)
    assert fresh.returncode == 0, fresh.stderr
    return seconds, content(folder)


@pytest.mark.thorough
def test_a_run_killed_at_random_moments_ends_with_the_same_record(
    seconds_and_record: tuple[float, dict[str, Any]],
    finish: Finish,
    preloaded: Preloaded,
    small_data: Path,
    tmp_path: Path,
    toy_environment: dict[str, str],
) -> None:
    whole, expected = seconds_and_record
    moments, kills = random.Random(0), 0
    while kills < KILLS:
        process = preloaded.start(command(tmp_path, small_data), toy_environment)
        time.sleep(moments.uniform(0.2, 1.0) * whole)
        alive = process.poll() is None
        process.kill()
        process.wait()
        kills += alive
        if not alive:  # it had finished: the next process starts from the beginning
            shutil.rmtree(tmp_path / "store")
    done = finish(tmp_path)
    assert done.returncode == 0, done.stderr
    assert content(tmp_path) == expected
    assert not list((tmp_path / "store" / "tmp").iterdir()), "nothing half-written is left"


@pytest.mark.thorough
def test_two_runs_on_one_store_at_once_do_each_stage_once(
    preloaded: Preloaded, small_data: Path, tmp_path: Path, toy_environment: dict[str, str]
) -> None:
    diary = tmp_path / "diary"
    more = ["--detector", "toy-slow", "--set", f"detector.diary={diary}"]
    both = [
        preloaded.start(
            command(tmp_path / "shared", small_data, *more, "--out", str(tmp_path / name / "out")), toy_environment
        )
        for name in ("a", "b")
    ]
    for process in both:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    assert diary.read_text() == "fit\n"
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_after_an_interrupt_the_message_explains_how_to_continue(
    preloaded: Preloaded, small_data: Path, tmp_path: Path, toy_environment: dict[str, str]
) -> None:
    process = preloaded.start(command(tmp_path, small_data, "--set", "verifier.iterations=100000"), toy_environment)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "store" / "work").glob("*/training/training.pt")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Run the same command again to resume" in errors
    assert "Traceback" not in errors


def test_a_failed_combination_exits_with_1_and_the_others_are_recorded(finish: Finish, tmp_path: Path) -> None:
    done = finish(tmp_path, "--detector", "toy-dark,toy-nan,toy-broken", "--verifier", "toy-mean")
    assert done.returncode == 1, done.stderr
    statuses = sorted(json.loads(p.read_text())["status"] for p in (tmp_path / "out" / "records").glob("*.json"))
    assert statuses == ["failed", "ok"], "toy-broken was never run, so it has no record"
    assert "BROKEN" in done.stdout
    assert "No record was written of combinations that cannot run." in done.stdout
    assert "FAILED" in (tmp_path / "out" / "LEADERBOARD.md").read_text()


def test_dry_run_writes_nothing(finish: Finish, tmp_path: Path) -> None:
    done = finish(tmp_path, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "to run" in done.stdout
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--detector", "toy-broken"], 1),
        (["--detector", "toy-broken,toy-versionless,toy-demanding"], 1),
        (["--detector", "toy-broken,toy-dark"], 1),
        (["--verifier", "none", "--fuser", "toy-verifier-only"], 1),
        (["--verifier", "none,toy-mean", "--fuser", "toy-verifier-only"], 0),
    ],
)
def test_a_dry_run_has_the_exit_code_of_the_run(
    more: list[str], code: int, small_data: Path, tmp_path: Path, toys: dict[str, str], mitobench: Any
) -> None:
    given = command(tmp_path, small_data, *more)
    plain = [part for part in given if not part.startswith("verifier.") and part != "--set"]
    assert mitobench(*plain, "--dry-run").code == code
    assert mitobench(*plain).code == code


MISTAKES: list[list[str]] = [
    ["--profile", "nothere"],
    ["--profile", "nothere.toml"],
    ["--matcher", "mitoss"],
    ["--device", "gpu"],
    ["--protocol", "by-slyde"],
    ["--protocol", "nothere.json"],
    ["--scanner", "Q"],
    ["--detector", "toy-drak"],
    ["--dataset", "synthetik"],
    ["--set", "verifier.iterations=many"],
    ["--set", "verifier.iteration=5"],
    ["--set", "detektor.most=5"],
    ["--set", "detector.toy-drak.most=5"],
    ["--set", 'pipeline.candidate_threshold={"toy-drak": 0.5}'],
    ["--set", "pipeline.candidates=all"],
]


@pytest.mark.parametrize("more", MISTAKES, ids=" ".join)
@pytest.mark.parametrize("without", [["--data"], ["--data", "--profile"], ["--data", "--dataset"]], ids=" ".join)
def test_a_mistake_is_reported_before_synthetic_frames_are_generated(
    without: list[str],
    more: list[str],
    small_data: Path,
    tmp_path: Path,
    toys: dict[str, str],
    mitobench: Any,
    monkeypatch: Any,
) -> None:
    monkeypatch.setenv("MITOBENCH_CACHE", str(tmp_path / "cache"))
    arguments = command(tmp_path, small_data)
    for option in without:
        at = arguments.index(option)
        del arguments[at : at + 2]
    answer = mitobench(*arguments, *more)
    assert answer.code == 2
    assert "Traceback" not in answer.err
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--detector", "toy-drak"], "Did you mean toy-dark"),
        (["--set", "verifier.iterations=many"], "--set verifier.iterations=many: Input should be a valid integer"),
        (["--set", "verifier.iteration=5"], "Did you mean iterations"),
        (["--dataset", "mitos-2012"], "Did you mean mitos2012"),
        (["--protocol", "by-slyde"], "Did you mean by-slide"),
        (["--profile", "smok"], "Did you mean smoke"),
        (["--matcher", "mitoss"], "Did you mean mitos"),
        (["--data", "nowhere"], "nowhere: is not a directory"),
        (["--scanner", "A,X"], "has no scanner 'X'"),
        (["--set", "verifier.iterations=true"], "valid integer"),
        (["--set", "detector.toy-drak.most=3"], "Did you mean toy-dark"),
    ],
)
def test_a_mistake_exits_with_2_and_nothing_is_written(
    more: list[str], message: str, small_data: Path, tmp_path: Path, toys: dict[str, str], mitobench: Any
) -> None:
    answer = mitobench(*command(tmp_path, small_data, *more))
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert not (tmp_path / "out").exists()
