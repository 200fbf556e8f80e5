"""Tries each thing that can be wrong with an installation, and names the mend."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mitobench.doctor.contents import data_sets, plugin_checks, plugin_problem, plugins
from mitobench.doctor.finding import Check, Finding, guarded
from mitobench.doctor.hardware import cuda, machine, store
from mitobench.doctor.installation import mmdet, packages, python, torchvision_operators

__all__ = ["Check", "Finding", "examine", "plugin_problem"]


def examine(data: Path | None = None) -> Iterator[Finding]:
    """Every check, one finding after the other. A check that raises is a finding that failed.

    Args:
        data: folder that holds data sets at any depth; None: only the installation is looked at.
    """
    checks: dict[str, tuple[Check, str]] = {
        "Python": (python, "Install Python 3.10 to 3.13."),
        "packages": (packages, "Install mitobench again, by `pip install mitobench`."),
        "torchvision operators": (torchvision_operators, "Install the torchvision that was built for this torch."),
        "mmdet": (mmdet, "Install mitobench-mmdet again: `pip install --force-reinstall mitobench-mmdet`."),
        "CUDA": (cuda, "Install the torch that is built for this machine's driver, or use `--device cpu`."),
        "machine": (machine, ""),
        "store": (store, "Give a folder that can be written with --store or MITOBENCH_STORE."),
        "data": (partial(data_sets, data), "Give the folder that holds the data sets with --data or MITOBENCH_DATA."),
        "plugins": (plugins, "Uninstall the package whose metadata cannot be read."),
        "plugin checks": (plugin_checks, "Uninstall the package whose metadata cannot be read."),
    }
    for what, (check, mend) in checks.items():
        yield from guarded(what, check, mend)
