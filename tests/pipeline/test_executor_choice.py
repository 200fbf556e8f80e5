"""Which executor a name means, and what is refused before any work; none of this needs a cluster."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from mitobench.errors import MitobenchError
from mitobench.pipeline import canonical
from mitobench.pipeline.executors import Local, StageResult, Work, executor_of, ray_cluster, ray_nodes, scheduling
from mitobench.pipeline.executors.base import Executor, ProgressListener
from mitobench.pipeline.executors.processes import Processes
from mitobench.pipeline.executors.ray_nodes import Question, problem_of
from mitobench.pipeline.graph import Plan
from mitobench.pipeline.stages.stage import Stage
from mitobench.pipeline.store import Output, Store
from mitobench.pipeline.workspace import Workspace

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'mitobench[ray]'")


def test_without_a_name_several_jobs_are_processes() -> None:
    assert isinstance(executor_of(), Local)
    assert isinstance(executor_of(jobs=1), Local)
    several = executor_of(jobs=3)
    assert isinstance(several, Processes)
    assert several.capacity == 3


def test_more_threads_than_cores_are_noted(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    Processes(4)._note_crowd(threads=2)
    assert caplog.text == ""
    Processes(4)._note_crowd(threads=8)
    assert "For speed give --threads 2" in caplog.text


@pytest.mark.parametrize("name", ["raay", "local:here", "processes:4", "ray:", ""])
def test_another_name_is_refused(name: str) -> None:
    if not name:
        assert isinstance(executor_of(name), Local)
        return
    with pytest.raises(MitobenchError, match=r"--executor .*: must be local, processes, ray or ray:ADDRESS"):
        executor_of(name)


def test_local_has_no_jobs() -> None:
    with pytest.raises(MitobenchError, match=r"runs one stage at a time. Leave out --jobs 2"):
        executor_of("local", 2)


def test_a_missing_ray_is_reported_with_what_to_install(
    mitobench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ray_cluster, "PACKAGE", "no_such_ray")
    answer = mitobench("run", "--executor", "ray", "--store", tmp_path / "store", "--out", tmp_path / "out")
    assert answer.code == 2
    assert "pip install 'mitobench[ray]'" in answer.err
    assert not list(tmp_path.iterdir()), "before any work"


@needs_ray
@pytest.mark.parametrize("address", ["HOST", "HOST:PORT", "ray://127.0.0.1:10001", ":6379"])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(MitobenchError, match="must be ray:HOST:PORT"):
        executor_of(f"ray:{address}")


@needs_ray
def test_an_address_where_nothing_answers_is_reported_in_seconds() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(MitobenchError, match=r"no Ray cluster can be reached there .*ray start --head"):
        executor_of(f"ray:127.0.0.1:{port}")
    assert time.monotonic() - started < 10


# ------------------------------------------------------------------------------------------------------- its nodes


@pytest.fixture
def question(tmp_path: Path) -> Question:
    """What a node is asked that does not differ."""
    (tmp_path / "probe").write_text("secret")
    there = tmp_path / "weights"
    there.write_text("")
    return Question(tmp_path / "probe", "--store", "secret", os.getcwd(), ray_nodes._versions(), [], [there])


def test_a_node_that_does_not_differ_has_no_problem(question: Question) -> None:
    assert problem_of(question) is None


@pytest.mark.parametrize("name", ["Python", "mitobench"])
def test_a_node_with_another_version_is_refused(question: Question, name: str) -> None:
    other = replace(question, versions={**question.versions, name: "0.0.1"})
    assert f"it has {name} {question.versions[name]}, and this machine has 0.0.1" in str(problem_of(other))


@pytest.mark.parametrize("there", [None, "of another machine"])
def test_a_node_that_does_not_share_the_store_is_refused(question: Question, there: str | None) -> None:
    question.probe.unlink()
    if there:
        question.probe.write_text(there)
    assert f"it does not see what this machine writes into {question.probe.parent}" in str(problem_of(question))
    assert "share with --store" in str(problem_of(question))


def test_a_node_that_does_not_see_the_data_is_refused(question: Question, tmp_path: Path) -> None:
    missing = tmp_path / "missing.bmp"
    assert f"it does not see {missing}" in str(problem_of(replace(question, files=[missing])))


def test_relative_paths_are_those_of_the_command(question: Question, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir("/")
    there = replace(question, folder=str(tmp_path), files=[Path("weights")])
    assert problem_of(there) is None


# ------------------------------------------------------------------------------------------- memory and scheduling


def stage(name: str, *upstream: Stage, **settings: Any) -> Stage:
    return Stage("fusion", None, {}, {"name": name, **settings}, {str(i): s for i, s in enumerate(upstream)}, {})


def test_memory_is_the_most_that_earlier_stages_of_the_kind_needed(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    for number in range(3):
        spec = {"kind": "fit", "plugin": {"name": "one"}, "settings": {"device": "cpu"}, "number": number}
        with store.write("fit", canonical.digest(spec), spec) as folder:
            hold = bytearray(64_000_000 * number)
            (folder / "file").write_text("x")
            hold[-1:] = b"1"
            del hold
    (tmp_path / "stages" / "fit" / "damaged").mkdir()
    found = ray_nodes.peak_memory(store, ["fit", "other"])
    assert list(found) == [("fit", "one", "cpu")]
    assert found["fit", "one", "cpu"] > 128_000_000


class Scripted(Executor):
    """Ends stages at once, and lets those named fail."""

    def __init__(self, failing: tuple[str, ...] = (), capacity: int = 1) -> None:
        self.failing, self.capacity = failing, capacity
        self.order: list[str] = []

    @contextmanager
    def running(self, plan: Plan, work: Work, listener: ProgressListener) -> Any:
        def submit(stage: Stage) -> Future[StageResult]:
            name = stage.settings["name"]
            self.order.append(name)
            future: Future[StageResult] = Future()
            output = None if name in self.failing else Output(Path(), {})
            future.set_result(StageResult(stage, output, reason=None if output else f"{name} failed"))
            return future

        yield submit


def run(executor: Scripted, *last: Stage) -> dict[str, StageResult]:
    plan = Plan([])
    stages: dict[str, Stage] = {}

    def collect(stage: Stage) -> None:
        for needed in stage.upstream.values():
            collect(needed)
        stages.setdefault(stage.key, stage)

    for each in last:
        collect(each)
    plan.__dict__["stages"] = stages
    work = Work(Store(Path("unused")), Workspace({}, {}))
    results = scheduling.run(plan, work, ProgressListener(), executor)
    return {result.stage.settings["name"]: result for _, result in results}


@pytest.mark.parametrize("capacity", [1, 2, 100])
def test_stages_run_after_their_inputs_and_in_the_order_of_the_plan(capacity: int) -> None:
    a, b = stage("a"), stage("b")
    c = stage("c", a, b)
    executor = Scripted(capacity=capacity)
    results = run(executor, stage("d", c, a), stage("e", b))
    assert set(results) == set("abcde")
    assert executor.order.index("c") > max(executor.order.index(name) for name in "ab")
    assert executor.order.index("d") > executor.order.index("c")


def test_only_what_depends_on_a_failed_stage_is_left_out_and_once() -> None:
    a, b = stage("a"), stage("b")
    c = stage("c", a)
    executor = Scripted(failing=("a", "b"))
    results = run(executor, stage("d", c, b), stage("e"))
    assert executor.order == ["a", "b", "e"]
    assert [name for name, result in results.items() if result.left_out] == ["c", "d"]
    assert results["c"].reason == results["d"].reason == "a failed"
    assert results["e"].output


def test_a_long_chain_of_stages_fails_without_a_limit_on_its_length() -> None:
    last = stage("0")
    for number in range(1, 400):
        last = stage(str(number), last)
    results = run(Scripted(failing=("0",)), last)
    assert len(results) == 400


def test_threads_are_those_of_the_run_where_a_network_is_called() -> None:
    work = Work(Store(Path("unused")), Workspace({}, {}), threads=8)
    assert work.threads_of(stage("fit", device="cpu")) == 8
    assert work.threads_of(stage("count")) == 1
