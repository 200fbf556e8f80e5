"""Whether what is installed fits together and works."""

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

# Compiled mmcv serves wherever mmcv-lite is asked for: it is the same package with operators.
STANDS_FOR = {"mmcv-lite": "mmcv"}


def python() -> Iterator[Finding]:
    """The version of Python."""
    known = (3, 10) <= sys.version_info[:2] <= (3, 13)
    mend = "" if known else "mitobench is tried on Python 3.10 to 3.13; use one of these if something is odd."
    yield Finding("Python", "ok" if known else "note", f"{platform.python_version()}, {sys.executable}", mend)


def packages() -> Iterator[Finding]:
    """Whether the installed versions are those that mitobench, every plugin's package and torchvision ask for."""
    owners = {"mitobench", "torchvision", *(claim.package for claim in _claims())}
    for owner in sorted(filter(_version, owners), key=str.lower):
        unmet = {requirement: said for requirement in _requirements(owner) if (said := _unmet(requirement))}
        if unmet:
            mend = f"pip install {' '.join(map(_quoted, unmet))}"
            yield Finding(f"needs of {owner}", "FAIL", "; ".join(unmet.values()), mend)
    for name in ("torch", "torchvision", "mmengine", "mmdet", "mmcv", "mmcv-lite", "numpy"):
        version = _version(name)
        if version:
            yield Finding(name, "ok", version)


def _claims() -> Iterator[discovery.InstalledPlugin]:
    for named in discovery.found().values():
        for claims in named.values():
            yield from claims


def _requirements(owner: str) -> list[Requirement]:
    """What a package requires here: without its own extras, with those that it asks of others."""
    required = _under(owner, "")
    extras = ((r.name, extra) for r in required if _version(r.name) for extra in r.extras)
    return required + [r for name, extra in extras for r in _under(name, extra) if r not in _under(name, "")]


def _under(owner: str, extra: str) -> list[Requirement]:
    """The requirements of a package that hold here with an extra; "": without any."""
    parsed = map(Requirement, metadata.requires(owner) or [])
    return [r for r in parsed if r.marker is None or r.marker.evaluate({"extra": extra})]


def _unmet(requirement: Requirement) -> str | None:
    version = _version(requirement.name) or _version(STANDS_FOR.get(requirement.name, ""))
    if version is None:
        return f"{requirement.name} is not installed"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement.name} {version} is installed, {requirement.specifier} is asked for"
    return None


def _quoted(requirement: Requirement) -> str:
    return f"'{requirement.name}{requirement.specifier}'"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name) if name else None
    except metadata.PackageNotFoundError:
        return None


def torchvision_operators() -> Iterator[Finding]:
    """Whether torchvision's compiled part is there and fits torch: a build that does not fails only when called."""
    if not (has_torch() and _version("torchvision")):
        fix = "pip install 'mitobench[training]'"
        yield Finding("torchvision", "note", "torch or torchvision is not installed: no network trains", fix)
        return
    import torch
    import torchvision

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()
    right = kept == [0, 2]
    mend = "" if right else "Install the torchvision that was built for this torch."
    yield Finding("torchvision.ops.nms", "ok" if right else "FAIL", f"keeps boxes {kept} of [0, 2]", mend)


def mmdet() -> Iterator[Finding]:
    """Whether mmcv and mmdet fit together: mmdet refuses the other versions of mmcv when it is imported."""
    if _version("mmdet") is None:
        yield Finding("mmdet", "note", "not installed: no detector of mitobench-mmdet", "pip install mitobench-mmdet")
        return
    if _version("mmcv") and _version("mmcv-lite"):
        mend = "pip uninstall mmcv mmcv-lite, then install one of them."
        yield Finding("mmcv", "FAIL", "mmcv and mmcv-lite are both installed: they overwrite each other", mend)
    importlib.import_module("mmdet")
    yield Finding("mmdet and mmcv", "ok", "fit together")
