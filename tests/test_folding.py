"""The benchmarks of all folds run as one plan, and no fold waits for another."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mitobench import folding, validation
from mitobench.benchmark import Benchmark, Grid, run_all
from mitobench.pipeline.executors import Local, StageResult
from mitobench.reading import ReadDatasets

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toys")]

ROLES = {"estimator": ["toy-boxes"], "detector": ["toy-dark"], "verifier": ["none"], "fuser": ["toy-sum"]}
PLAIN = {**ROLES, "detector": ["toy-boxless"]}


@pytest.fixture
def prepare(small_data: Path, tmp_path: Path) -> Callable[..., list[Benchmark]]:
    (tmp_path / "toys.toml").write_text('title = "toys"\n')

    def prepare(protocol: str = "cv-by-slide-of3", roles: Any = ROLES, **options: Any) -> list[Benchmark]:
        return folding.prepare(
            [Grid(roles)],
            data=small_data,
            datasets=["synthetic"],
            protocol=protocol,
            profile=str(tmp_path / "toys.toml"),
            device="cpu",
            store=tmp_path / "store",
            **options,
        )

    return prepare


class Noting(Local):
    """Runs stages, and writes down those of each plan."""

    def __init__(self) -> None:
        self.together: list[set[str]] = []

    @contextmanager
    def running(self, plan: Any, work: Any, listener: Any) -> Any:
        with super().running(plan, work, listener) as submit:
            stages: set[str] = set()
            self.together.append(stages)

            def noted(stage: Any) -> Future[StageResult]:
                stages.add(f"{stage.kind} {stage.key}")
                return submit(stage)

            yield noted


def test_the_folds_are_one_plan_so_that_their_fits_can_run_at_once(
    prepare: Callable[..., list[Benchmark]], tmp_path: Path
) -> None:
    benchmarks, executor = prepare(), Noting()
    run_all(benchmarks, tmp_path / "out", executor=executor)
    (together,) = executor.together
    fits = [stage for stage in together if stage.startswith("fit-detector")]
    assert len(fits) == len(benchmarks) == 3
    assert together == {f"{s.kind} {key}" for one in benchmarks for key, s in one.plan.stages.items()}
    tested = [[record.combination["protocol"] for _, record in one.records] for one in benchmarks]
    assert tested == [["cv-by-slide-1of3"], ["cv-by-slide-2of3"], ["cv-by-slide-3of3"]]


def test_the_records_are_those_of_one_fold_after_another(
    prepare: Callable[..., list[Benchmark]], tmp_path: Path
) -> None:
    together = prepare()
    run_all(together, tmp_path / "out")
    apart = prepare()
    for benchmark in apart:
        benchmark.run(tmp_path / "apart")
    for one, other in zip(together, apart, strict=True):
        assert [record.digest for _, record in one.records] == [record.digest for _, record in other.records]


def test_benchmarks_whose_frames_differ_run_one_after_another(
    prepare: Callable[..., list[Benchmark]], tmp_path: Path
) -> None:
    one, other = prepare("by-slide"), prepare("by-slide", known=ReadDatasets())
    assert one[0].workspace.joined(other[0].workspace) is None, "each has read its own frames"
    executor = Noting()
    run_all([*one, *other], tmp_path / "out", executor=executor)
    assert len(executor.together) == 2
    assert len(one[0].records) == len(other[0].records) == 1


def test_experiments_with_several_grids_read_each_data_set_once(prepare: Callable[..., list[Benchmark]]) -> None:
    known = ReadDatasets()
    one, other = prepare("by-slide", known=known), prepare("by-slide", roles=PLAIN, known=known)
    joined = one[0].workspace.joined(other[0].workspace)
    assert joined is not None
    assert joined.datasets["synthetic"].items.keys() == one[0].workspace.datasets["synthetic"].items.keys()


def test_without_test_frames_no_fold_gets_those_of_another(prepare: Callable[..., list[Benchmark]]) -> None:
    benchmarks, seen = prepare(part="val"), []

    class Looking(Local):
        @contextmanager
        def running(self, plan: Any, work: Any, listener: Any) -> Any:
            seen.append(set(work.workspace.datasets["synthetic"].items))
            with super().running(plan, work, listener) as submit:
                yield submit

    validation.measure(benchmarks, executor=Looking())
    full = [one.workspace.splits["synthetic"].parts["test"] for one in prepare()]
    assert len(seen) == 3
    assert all(not frames & set(test) for frames, test in zip(seen, full, strict=True))
