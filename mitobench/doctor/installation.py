"""Checks that the installed packages are compatible and work."""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from mitobench import discovery
from mitobench.compute import has_torch
from mitobench.doctor.finding import Finding
from mitobench.installing import install

# mmcv satisfies a requirement of mmcv-lite: it is the same package with compiled operators.
PROVIDED_BY = {"mmcv-lite": "mmcv"}


def python() -> Iterator[Finding]:
    """Checks the version of Python."""
    known = (3, 10) <= sys.version_info[:2] <= (3, 13)
    fix = "" if known else "mitobench is tested on Python 3.10 to 3.13. Use one of these if something fails."
    yield Finding("Python", "ok" if known else "note", f"{platform.python_version()}, {sys.executable}", fix)


def packages() -> Iterator[Finding]:
    """Checks that the requirements of mitobench, the plugins' packages and torchvision are installed."""
    owners = {"mitobench", "torchvision", *(claim.package for claim in _claims())}
    for owner in sorted(filter(_version, owners), key=str.lower):
        unmet = {requirement: why for requirement in _requirements(owner) if (why := _unmet(requirement))}
        if unmet:
            fix = install(*(f"{requirement.name}{requirement.specifier}" for requirement in unmet))
            yield Finding(f"requirements of {owner}", "FAIL", "; ".join(unmet.values()), fix)
    for name in ("torch", "torchvision", "mmengine", "mmdet", "mmcv", "mmcv-lite", "numpy"):
        version = _version(name)
        if version:
            yield Finding(name, "ok", version)


def _claims() -> Iterator[discovery.InstalledPlugin]:
    for named in discovery.found().values():
        for claims in named.values():
            yield from claims


def _requirements(owner: str) -> list[Requirement]:
    """The requirements of a package on this system, without its own extras, with the extras it requires of others."""
    required = _under(owner, "")
    extras = ((r.name, extra) for r in required if _version(r.name) for extra in r.extras)
    return required + [r for name, extra in extras for r in _under(name, extra) if r not in _under(name, "")]


def _under(owner: str, extra: str) -> list[Requirement]:
    """The requirements of a package that apply on this system with an extra; "": without any."""
    parsed = map(Requirement, metadata.requires(owner) or [])
    return [r for r in parsed if r.marker is None or r.marker.evaluate({"extra": extra})]


def _unmet(requirement: Requirement) -> str | None:
    version = _version(requirement.name) or _version(PROVIDED_BY.get(requirement.name, ""))
    if version is None:
        return f"{requirement.name} is not installed"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement.name} {version} is installed, {requirement.specifier} is required"
    return None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name) if name else None
    except metadata.PackageNotFoundError:
        return None


def torchvision_operators() -> Iterator[Finding]:
    """Checks that torchvision's compiled operators work with torch. An incompatible build only fails when called."""
    if not (has_torch() and _version("torchvision")):
        fix = install("mitobench-networks", "mitobench-mmdet")
        yield Finding("torchvision", "note", "torch or torchvision is not installed: no network can be trained", fix)
        return
    import torch
    import torchvision

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()
    right = kept == [0, 2]
    fix = "" if right else "Install the version of torchvision that belongs to the installed torch."
    yield Finding("torchvision.ops.nms", "ok" if right else "FAIL", f"keeps boxes {kept}, expected [0, 2]", fix)


def mmdet() -> Iterator[Finding]:
    """Checks that mmcv and mmdet are compatible. mmdet refuses incompatible versions of mmcv at import."""
    if _version("mmdet") is None:
        yield Finding(
            "mmdet",
            "note",
            "not installed: the detectors of mitobench-mmdet are not available",
            install("mitobench-mmdet"),
        )
        return
    if _version("mmcv") and _version("mmcv-lite"):
        fix = "pip uninstall mmcv mmcv-lite, then install one of them."
        yield Finding("mmcv", "FAIL", "mmcv and mmcv-lite are both installed and overwrite each other", fix)
    importlib.import_module("mmdet")
    yield Finding("mmdet and mmcv", "ok", "compatible")
