"""Runs experiments defined in TOML: a paper's table compared with our results, or grids of all combinations."""

from mitobench.experiments.definition import Definition, Grids, PaperTable, names, read
from mitobench.experiments.experiment import Experiment, RowResult, records_folder
from mitobench.experiments.parts import ExperimentPart, Overrides

__all__ = [
    "Definition",
    "Experiment",
    "ExperimentPart",
    "Grids",
    "Overrides",
    "PaperTable",
    "RowResult",
    "names",
    "read",
    "records_folder",
]
