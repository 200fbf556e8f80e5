"""Tries each thing that can be wrong with an installation, and names the mend."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from mitobench import discovery
from mitobench.errors import MitobenchError

PLUGIN_CHECKS = "mitobench.doctor"
GIB = 1 << 30
# What the smallest benchmark needs; less is not forbidden, so it is a note.
ENOUGH_MEMORY = 6 * GIB
ENOUGH_DISK = 10 * GIB
LEAST_DISK = GIB
# Compiled mmcv serves wherever mmcv-lite is asked for: it is the same package with operators.
STANDS_FOR = {"mmcv-lite": "mmcv"}

State = Literal["ok", "FAIL", "note"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        what: was looked at.
        state: `ok`, `FAIL`, or `note` for what is worth knowing but stops nothing.
        detail: what was found there.
        mend: what to do about it.
    """

    what: str
    state: State
    detail: str
    mend: str = ""


Check = Callable[[], Iterator[Finding]]


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
        yield from _guarded(what, check, mend)


def _guarded(what: str, check: Check, mend: str) -> Iterator[Finding]:
    try:
        yield from check()
    except MitobenchError as reason:
        yield Finding(what, "FAIL", str(reason), "")
    except Exception as reason:  # whatever a broken installation throws is what has to be told
        yield Finding(what, "FAIL", f"{type(reason).__name__}: {reason}", mend)


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


def _claims() -> Iterator[discovery.Found]:
    for named in discovery.found().values():
        for claims in named.values():
            yield from claims


def _requirements(owner: str) -> list[Requirement]:
    """What a package requires here, extras apart."""
    parsed = map(Requirement, metadata.requires(owner) or [])
    return [r for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})]


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


def cuda() -> Iterator[Finding]:
    """Whether a GPU computes what the CPU does. A machine without one is not at fault."""
    import torch

    if not torch.cuda.is_available():
        if shutil.which("nvidia-smi"):
            built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is a CPU build"
            mend = "If there is a GPU, install the torch that is built for its driver (`nvidia-smi` tells which)."
            yield Finding("CUDA", "note", f"a driver is here, but torch finds no device; {built}", mend)
        else:
            yield Finding("CUDA", "note", "no device: everything runs on the CPU")
        return
    for index in range(torch.cuda.device_count()):
        left = torch.arange(64.0).reshape(8, 8)
        product = (left.to(f"cuda:{index}") @ left.to(f"cuda:{index}")).cpu()
        right = torch.allclose(product, left @ left, rtol=1e-2)  # TF32 keeps ten bits
        memory = torch.cuda.get_device_properties(index).total_memory / GIB
        detail = f"{torch.cuda.get_device_name(index)}, {memory:.0f} GiB"
        if right:
            yield Finding(f"cuda:{index}", "ok", f"{detail}, multiplies as the CPU does")
        else:
            mend = "Install the torch that is built for its driver, or use `--device cpu`."
            yield Finding(f"cuda:{index}", "FAIL", f"{detail}, multiplies wrongly", mend)


def machine() -> Iterator[Finding]:
    """Cores and memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("cores", "ok", str(cores))
    memory = _memory()
    if memory is None:
        yield Finding("memory", "note", "this system does not tell how much there is")
    elif memory < ENOUGH_MEMORY:
        mend = "Use `--profile smoke`, and no --jobs."
        yield Finding("memory", "note", f"{memory / GIB:.1f} GiB, {ENOUGH_MEMORY / GIB:.0f} or more are good", mend)
    else:
        yield Finding("memory", "ok", f"{memory / GIB:.1f} GiB")


def _memory() -> int | None:
    """Bytes of memory, or of the container's share of it."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    try:
        return min(total, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):  # no such limit, or the word `max`
        return total


def store() -> Iterator[Finding]:
    """Whether the store that `mitobench run` would use can be written, and how much room there is."""
    from mitobench.benchmark import default_store

    folder = Path(os.environ.get("MITOBENCH_STORE") or default_store())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"mitobench")
    except OSError as reason:
        mend = "Give a folder that can be written with --store or MITOBENCH_STORE."
        yield Finding("store", "FAIL", f"{folder}: cannot be written: {reason.strerror}", mend)
        return
    free = shutil.disk_usage(folder).free
    state: State = "ok" if free >= ENOUGH_DISK else "note" if free >= LEAST_DISK else "FAIL"
    mend = "" if state == "ok" else "Free some space there, or give another folder with --store or MITOBENCH_STORE."
    yield Finding("store", state, f"{folder}: can be written, {free / GIB:.1f} GiB free", mend)


def data_sets(data: Path | None) -> Iterator[Finding]:
    """Whether each data set below a folder can be read: all annotation, and the pixels of its first frame."""
    from mitobench import datasets

    if data is None:
        mend = "For real frames give their folder with --data or MITOBENCH_DATA."
        yield Finding("data", "note", "no folder is given: `mitobench run` makes synthetic frames", mend)
        return
    if not data.is_dir():
        mend = "Give the folder that holds the data sets with --data or MITOBENCH_DATA."
        yield Finding("data", "FAIL", f"{data}: is no folder", mend)
        return
    names = datasets.available(data)
    if not names:
        known = ", ".join(discovery.names("dataset"))
        yield Finding("data", "FAIL", f"{data}: holds no data set at any depth", f"Looked for: {known}.")
    for name in names:
        yield from _guarded(f"data set {name}", partial(_data_set, name, data), "")


def _data_set(name: str, data: Path) -> Iterator[Finding]:
    from mitobench import datasets

    dataset = datasets.load(name, data)
    next(iter(dataset.items.values())).frame.read()
    detail = f"{len(dataset.items)} frames, {dataset.coverage or 'complete'}"
    mend = f"`mitobench data check {data} --dataset {name}` tells more." if dataset.notes else ""
    yield Finding(f"data set {name}", "ok", detail, mend)


def plugins() -> Iterator[Finding]:
    """Whether every plugin loads."""
    for role in discovery.GROUPS:
        problems = {name: plugin_problem(role, name) for name in discovery.names(role)}
        for name, problem in problems.items():
            if problem:
                yield Finding(f"{role} {name}", "FAIL", problem)
        good = [name for name, problem in problems.items() if not problem]
        yield Finding(f"{role}s", "ok" if good else "note", f"load: {', '.join(good) or 'none'}")


def plugin_problem(role: str, name: str) -> str | None:
    """Why a plugin cannot be used, with its package and the mend; None where it can."""
    from mitobench import datasets

    try:
        datasets.reader(name).card() if role == "dataset" else discovery.load(role, name)
    except MitobenchError as reason:
        return str(reason)
    except Exception as reason:  # a plugin's own code: its class may do anything when it is looked at
        claim = discovery.find(role, name)
        return (
            f"{role} {name!r} of package {claim.package} {claim.version} is broken: {type(reason).__name__}: {reason}."
        )
    return None


def plugin_checks() -> Iterator[Finding]:
    """What plugins check themselves: entry points of `mitobench.doctor`, callables that return (what, ok, detail)s."""
    limited = os.environ.get("MITOBENCH_PACKAGES")
    for entry in metadata.entry_points(group=PLUGIN_CHECKS):
        package = entry.dist.name if entry.dist else "?"
        if limited is None or package in [name.strip() for name in limited.split(",")]:
            mend = f"Install {package} again: `pip install --force-reinstall {package}`."
            yield from _guarded(f"{package}: {entry.name}", partial(_plugin_check, entry, mend), mend)


def _plugin_check(entry: metadata.EntryPoint, mend: str) -> Iterator[Finding]:
    package = entry.dist.name if entry.dist else "?"
    for what, ok, detail in entry.load()():
        yield Finding(f"{package}: {what}", "ok" if ok else "FAIL", detail, "" if ok else mend)
