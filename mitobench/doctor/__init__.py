"""Diagnoses the installation and suggests fixes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mitobench.doctor.contents import data_sets, plugin_checks, plugin_problem, plugins
from mitobench.doctor.finding import Check, Finding, guarded
from mitobench.doctor.hardware import cuda, machine, store
from mitobench.doctor.installation import mmdet, packages, python, torchvision_operators
from mitobench.installing import install

__all__ = ["Check", "Finding", "examine", "plugin_problem"]


def examine(data: Path | None = None) -> Iterator[Finding]:
    """Runs all checks; yields their findings. A check that raises yields a failed finding.

    Args:
        data: folder that holds data sets at any depth; None: check the installation only.
    """
    checks: dict[str, tuple[Check, str]] = {
        "Python": (python, "Install Python 3.10 to 3.13."),
        "packages": (packages, f"Install mitobench again: {install('mitobench', again=True)}."),
        "torchvision operators": (
            torchvision_operators,
            "Install the version of torchvision that belongs to the installed torch.",
        ),
        "mmdet": (mmdet, f"Install mitobench-mmdet again: {install('mitobench-mmdet', again=True)}."),
        "CUDA": (cuda, "Install a build of torch for this machine's GPU driver, or use `--device cpu`."),
        "machine": (machine, ""),
        "store": (store, "Give a writable folder with --store or MITOBENCH_STORE."),
        "data": (partial(data_sets, data), "Give the folder that holds the data sets with --data or MITOBENCH_DATA."),
        "plugins": (plugins, "Uninstall the package whose metadata cannot be read."),
        "plugin checks": (plugin_checks, "Uninstall the package whose metadata cannot be read."),
    }
    for what, (check, fix) in checks.items():
        yield from guarded(what, check, fix)
