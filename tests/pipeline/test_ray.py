"""A run on a real Ray cluster of three nodes on this machine: equal records, lost nodes and workers, bad input."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import TOYS

from mitobench import discovery
from mitobench.benchmark import Benchmark, Grid
from mitobench.errors import MitobenchError, StoreError
from mitobench.pipeline.executors import Executor, ProgressListener, StageResult, executor_of
from mitobench.pipeline.executors.on_ray import OnRay
from mitobench.results.schema import Record

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'mitobench[ray]'"),
]


class Diary(ProgressListener):
    """Keeps all events."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.results: list[StageResult] = []

    def started(self, stage: Any) -> None:
        self.begun.append(stage.key)

    def finished(self, result: StageResult) -> None:
        self.results.append(result)


@pytest.fixture(scope="module")
def toy_packages(toy_environment: dict[str, str]) -> Iterator[None]:
    """Makes the toy plugins the only installed ones, here and on the nodes."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MITOBENCH_PACKAGES", "PYTHONPATH"):
            patch.setenv(name, toy_environment[name])
        patch.setenv("RAY_worker_niceness", "0")  # beside other tests, processes of a lower priority would hardly run
        patch.syspath_prepend(str(Path(__file__).parents[1] / "toys"))
        discovery.found.cache_clear()
        yield
    discovery.found.cache_clear()


@pytest.fixture(scope="module")
def cluster(toy_packages: None) -> Iterator[Any]:
    """A cluster of three nodes: the head, which runs no stage, and two with a CPU each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="module")
def on_ray(cluster: Any) -> Iterator[Executor]:
    """An executor that stays connected: the processes of the nodes import torch once."""
    with executor_of(f"ray:{cluster.address}") as executor:
        yield executor


Prepare = Callable[..., Benchmark]


@pytest.fixture
def prepare(small_data: Path, tmp_path: Path, toy_packages: None) -> Prepare:
    """Plans a run of toy plugins."""
    (tmp_path / "toys.toml").write_text('title = "toys"\n')

    def prepare(store: str = "store", detector: str = "toy-dark", verifier: str = "none", **options: Any) -> Benchmark:
        return Benchmark.prepare(
            [Grid({**TOYS, "detector": detector.split(","), "verifier": verifier.split(",")})],
            **{
                "data": small_data,
                "datasets": ["synthetic"],
                "profile": str(tmp_path / "toys.toml"),
                "device": "cpu",
                "threads": 1,
                **options,
            },
            store=tmp_path / store,
        )

    return prepare


def records(benchmark: Benchmark, out: Path, executor: Executor, listener: ProgressListener | None = None) -> list[Any]:
    benchmark.run(out, listener, executor)
    return [record.content() for _, record in benchmark.records]


def only_record(benchmark: Benchmark) -> Record:
    ((_, record),) = benchmark.records
    return record


def test_all_executors_give_equal_records(prepare: Prepare, tmp_path: Path, on_ray: Executor) -> None:
    grid = {"detector": "toy-dark", "verifier": "toy-net,none"}
    diary = Diary()
    found = {
        name: records(prepare(name, **grid), tmp_path / name, executor, diary if executor is on_ray else None)
        for name, executor in (("local", executor_of()), ("processes", executor_of(jobs=2)), ("ray", on_ray))
    }
    assert len(found["local"]) == 2
    assert all(record["status"] == "ok" for record in found["local"])
    assert found["processes"] == found["local"]
    assert found["ray"] == found["local"]
    assert len(diary.begun) == len(set(diary.begun)) == len(diary.results)
    assert not any(result.cached for result in diary.results)


def test_stages_in_the_store_are_not_run_again(prepare: Prepare, tmp_path: Path, on_ray: Executor) -> None:
    first = records(prepare(), tmp_path / "here", executor_of())
    diary = Diary()
    assert records(prepare(), tmp_path / "there", on_ray, diary) == first
    assert all(result.cached for result in diary.results)


def test_a_failing_stage_fails_its_row_and_says_where_its_log_is(
    prepare: Prepare, tmp_path: Path, on_ray: Executor
) -> None:
    benchmark, diary = prepare(detector="toy-fails,toy-boxless"), Diary()
    benchmark.run(tmp_path / "out", diary, on_ray)
    assert {r.combination["detector"]: r.status for _, r in benchmark.records} == {
        "toy-fails": "failed",
        "toy-boxless": "ok",
    }
    (failed,) = [result for result in diary.results if result.trace]
    assert "RuntimeError: this toy fails on purpose" in str(failed.reason)
    assert failed.trace is not None
    assert failed.trace.is_relative_to(tmp_path / "store" / "work")
    assert "this toy fails on purpose" in failed.trace.read_text()


@pytest.mark.thorough
def test_a_stage_whose_process_always_dies_fails_its_row(prepare: Prepare, tmp_path: Path, on_ray: Executor) -> None:
    benchmark, diary = prepare(detector="toy-dies,toy-boxless"), Diary()
    benchmark.run(tmp_path / "out", diary, on_ray)
    reasons = {r.combination["detector"]: r.reason for _, r in benchmark.records}
    assert reasons["toy-boxless"] is None
    assert "its process died (WorkerCrashedError, after 2 retries)" in str(reasons["toy-dies"])
    (died,) = [result for result in diary.results if result.trace]
    assert died.trace is not None
    assert died.trace.is_dir(), "the stage's work folder, with its log"


@pytest.mark.thorough
def test_a_full_disk_of_a_node_ends_the_run(prepare: Prepare, tmp_path: Path, on_ray: Executor) -> None:
    with pytest.raises(StoreError, match=r"Free some space there.*On node"):
        records(prepare(detector="toy-full"), tmp_path / "out", on_ray)


def wait_for_line(diary: Path) -> int:
    """Waits until a fit of `toy-waits` has begun; returns the number of its process."""
    end = time.monotonic() + 60
    while not (diary.is_file() and diary.read_text().endswith("\n")):
        assert time.monotonic() < end
        time.sleep(0.05)
    return int(diary.read_text().splitlines()[0])


def killed_meanwhile(
    benchmark: Benchmark, out: Path, executor: Executor, diary: Path, kill: Callable[[int], Any]
) -> None:
    """Run while `kill` is called with the process of the fit, as soon as it has begun."""
    thread = threading.Thread(target=lambda: kill(wait_for_line(diary)))
    thread.start()
    benchmark.run(out, None, executor)
    thread.join()
    assert len(diary.read_text().splitlines()) == 2, "the fit was begun again"


@pytest.fixture
def unharmed(prepare: Prepare, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """The file that `toy-waits` writes to, and its record when nothing is killed."""
    diary = tmp_path / "diary"
    diary.write_text("0\n0\n")  # so that it does not wait
    sets = [f"detector.diary={diary}"]
    (record,) = records(prepare("unharmed", detector="toy-waits", sets=sets), tmp_path / "unharmed", executor_of())
    diary.unlink()
    return diary, record


@pytest.mark.thorough
def test_a_killed_worker_is_replaced(
    prepare: Prepare, tmp_path: Path, on_ray: Executor, unharmed: tuple[Path, dict[str, Any]]
) -> None:
    diary, expected = unharmed
    benchmark = prepare(detector="toy-waits", sets=[f"detector.diary={diary}"])
    killed_meanwhile(benchmark, tmp_path / "out", on_ray, diary, lambda pid: os.kill(pid, signal.SIGKILL))
    assert only_record(benchmark).content() == expected


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def raylet_of(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


@pytest.mark.thorough
def test_a_stage_of_a_lost_node_is_done_on_another(
    prepare: Prepare, tmp_path: Path, cluster: Any, on_ray: Executor, unharmed: tuple[Path, dict[str, Any]]
) -> None:
    diary, expected = unharmed
    benchmark = prepare(detector="toy-waits", sets=[f"detector.diary={diary}"])

    def kill(pid: int) -> None:
        (node,) = [node for node in cluster.worker_nodes if raylet_of(node) == parent_of(pid)]
        cluster.remove_node(node, allow_graceful=False)

    killed_meanwhile(benchmark, tmp_path / "out", on_ray, diary, kill)
    assert only_record(benchmark).content() == expected


def test_images_are_spread_as_tasks(tmp_path: Path, on_ray: OnRay) -> None:
    found = dict(on_ray.spread(tmp_path, [], "cpu", os.path.basename, [f"/folder/{number}" for number in range(5)]))
    assert found == {number: str(number) for number in range(5)}


def die(code: int) -> None:
    os._exit(code)


@pytest.mark.thorough
def test_a_task_whose_process_always_dies_is_an_error(tmp_path: Path, on_ray: OnRay) -> None:
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the nodes do not have this module
    ((_, answer),) = on_ray.spread(tmp_path, [], "cpu", die, [9])
    assert "died 3 times on one image (WorkerCrashedError)" in str(answer)


def test_a_node_that_cannot_be_used_is_refused_before_any_work(tmp_path: Path, on_ray: OnRay) -> None:
    with pytest.raises(MitobenchError, match=r"Node \S+ of the Ray cluster cannot be used: it does not see .*gone"):
        next(on_ray.spread(tmp_path, [tmp_path / "gone"], "cpu", os.path.basename, ["a"]))
    assert list(tmp_path.iterdir()) == [], "the probe file is gone"


def test_more_threads_than_any_node_has_are_refused(prepare: Prepare, tmp_path: Path, on_ray: Executor) -> None:
    with pytest.raises(
        MitobenchError, match=r"A stage needs 2 threads, and no node .* more than 1 CPUs. Give --threads 1"
    ):
        records(prepare(threads=2), tmp_path / "out", on_ray)


IMPATIENT = (
    "from mitobench.pipeline.executors import on_ray; on_ray.HEAD_SECONDS = 3; from mitobench.cli import main; main()"
)


@pytest.mark.thorough
def test_a_lost_head_ends_the_run_which_goes_on_when_it_is_repeated(
    prepare: Prepare, small_data: Path, tmp_path: Path, unharmed: tuple[Path, dict[str, Any]]
) -> None:
    from ray.cluster_utils import Cluster

    diary, expected = unharmed
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    roles = {**TOYS, "detector": ["toy-waits"], "verifier": ["none"]}
    options = {"data": small_data, "dataset": "synthetic", "profile": tmp_path / "toys.toml", "device": "cpu"}
    options |= {"threads": 1, "store": tmp_path / "store", "out": tmp_path / "out", "set": f"detector.diary={diary}"}
    options |= {"executor": f"ray:{cluster.address}", **{role: names[0] for role, names in roles.items()}}
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    process = subprocess.Popen([sys.executable, "-c", IMPATIENT, "run", *words], stderr=subprocess.PIPE, text=True)
    try:
        wait_for_line(diary)
        cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        cluster.shutdown()
    assert process.returncode == 2
    assert "does not answer any more. Finished stages are kept. Start the cluster again, and run" in errors
    events = Diary()
    benchmark = prepare(detector="toy-waits", sets=[f"detector.diary={diary}"])
    assert records(benchmark, tmp_path / "out", executor_of(), events) == [expected]
    assert any(result.cached for result in events.results)
    assert len(diary.read_text().splitlines()) == 2
