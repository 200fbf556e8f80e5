"""Experiments: a paper's table as data, run as one grid, with the paper's numbers beside the measured ones."""

from mitobench.experiments.definition import Definition, names, read
from mitobench.experiments.experiment import Experiment, Result

__all__ = ["Definition", "Experiment", "Result", "names", "read"]
