"""One benchmark, from the request to the records: the Python interface behind `mitobench run`."""

from mitobench.benchmark.benchmark import Benchmark, RunResult, finished_rows, run_all
from mitobench.benchmark.grid import Grid

__all__ = ["Benchmark", "Grid", "RunResult", "finished_rows", "run_all"]
