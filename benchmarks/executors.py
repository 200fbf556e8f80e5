"""Compares a grid of short stages on Ray with the same grid in processes, on the same cores.

The stages are fits of a toy detector (`tests/toys`) that compute for about a second. Both executors first run a small
grid, so that their processes have started and imported what they need; Ray's own start is not counted.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import machine, table

TOYS = Path(__file__).resolve().parents[1] / "tests" / "toys"
MAX_RATIO = 1.2


def main() -> None:
    """Runs the grid with both executors, in turns, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", type=int, default=200, help="fits of a second each")
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU seconds of a fit")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    os.environ |= {"MITOBENCH_PACKAGES": "mitobench-toys,mitobench", "PYTHONPATH": str(TOYS), "OMP_NUM_THREADS": "1"}
    sys.path.insert(0, str(TOYS))
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}\n")
    with tempfile.TemporaryDirectory() as folder:
        taken = measure(Path(folder), given.stages, given.seconds, given.jobs)
    ratio = taken["ray"] / taken["processes"]
    rows = [[name, f"{seconds:.1f}"] for name, seconds in taken.items()]
    print(table([f"{given.stages} fits of {given.seconds:g} CPU s, {given.jobs} at once", "s"], rows))
    print(f"\nRay takes {ratio:.3f} times the seconds of processes (at most {MAX_RATIO}).")


def measure(folder: Path, stages: int, seconds: float, jobs: int) -> dict[str, float]:
    """Returns the wall-clock seconds of each executor."""
    from mitobench.datasets import synthetic
    from mitobench.pipeline import executors

    synthetic.write(folder / "data", seed=1, frames=1, size=128)
    (folder / "toys.toml").write_text('title = "toys"\n')
    taken = {}
    for name in ("processes", "ray"):
        with executors.executor_of(name, jobs) as executor:
            for seeds in (range(stages, stages + 2 * jobs), range(stages)):
                plan, work = fits(folder, name, seconds, seeds)
                started = time.perf_counter()
                results = list(executors.run(plan, work, executors.ProgressListener(), executor))
                taken[name] = time.perf_counter() - started
                if not all(result.output and not result.cached for _, result in results):
                    sys.exit(f"A fit did not run: {results[0][1].reason}")
    return taken


def fits(folder: Path, name: str, seconds: float, seeds: range) -> tuple[Any, Any]:
    """Returns a plan of fits alone, which depend on nothing, and what they need."""
    from mitobench.benchmark import Benchmark, Grid
    from mitobench.pipeline.executors import Work
    from mitobench.pipeline.graph import Plan

    roles = {"estimator": ["toy-boxes"], "detector": ["toy-busy"], "verifier": ["none"], "fuser": ["toy-sum"]}
    benchmark = Benchmark.prepare(
        [Grid(roles, [f"detector.seconds={seconds}"])],
        data=folder / "data",
        datasets=["synthetic"],
        profile=str(folder / "toys.toml"),
        seeds=seeds,
        device="cpu",
        threads=1,
        store=folder / name,
    )
    plan = Plan([])
    plan.__dict__["stages"] = {key: s for key, s in benchmark.plan.stages.items() if s.kind == "fit-detector"}
    return plan, Work(benchmark.store.open(), benchmark.workspace, threads=1)


if __name__ == "__main__":
    main()
