"""Experiments as data: a paper's table with its numbers beside the measured ones, or grids of all combinations."""

from mitobench.experiments.definition import Definition, Grids, PaperTable, names, read
from mitobench.experiments.experiment import Experiment, Result
from mitobench.experiments.parts import Asked, Part

__all__ = ["Asked", "Definition", "Experiment", "Grids", "PaperTable", "Part", "Result", "names", "read"]
