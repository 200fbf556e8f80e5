"""Experiments as data: a paper's table with its numbers beside the measured ones, or grids of all combinations."""

from mitobench.experiments.definition import Definition, Grids, PaperTable, names, read
from mitobench.experiments.experiment import Experiment, Result
from mitobench.experiments.parts import Overrides, Part

__all__ = ["Definition", "Experiment", "Grids", "Overrides", "PaperTable", "Part", "Result", "names", "read"]
