"""Checks that data sets can be read and plugins load, and runs the checks that packages provide."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path

from mitobench import discovery
from mitobench.doctor.finding import Finding, guarded
from mitobench.errors import MitobenchError
from mitobench.installing import install

PLUGIN_CHECKS = "mitobench.doctor"


def data_sets(data: Path | None) -> Iterator[Finding]:
    """Checks that each data set below a folder can be read: all annotation, and the pixels of its first frame."""
    from mitobench import datasets

    if data is None:
        fix = "To use real frames, give their folder with --data or MITOBENCH_DATA."
        yield Finding("data", "note", "no folder given: `mitobench run` uses synthetic frames", fix)
        return
    if not data.is_dir():
        fix = "Give the folder that holds the data sets with --data or MITOBENCH_DATA."
        yield Finding("data", "FAIL", f"{data}: is not a directory", fix)
        return
    names = datasets.available(data)
    if not names:
        known = ", ".join(discovery.names("dataset"))
        yield Finding("data", "FAIL", f"{data}: holds no data set at any depth", f"Give a folder with one of: {known}.")
    for name in names:
        yield from guarded(f"data set {name}", partial(_data_set, name, data), "")


def _data_set(name: str, data: Path) -> Iterator[Finding]:
    from mitobench import datasets

    dataset = datasets.load(name, data)
    next(iter(dataset.items.values())).frame.read()
    detail = f"{len(dataset.items)} frames, {dataset.coverage or 'complete'}"
    fix = f"See details with `mitobench data check {data} --dataset {name}`." if dataset.notes else ""
    yield Finding(f"data set {name}", "ok", detail, fix)


def plugins() -> Iterator[Finding]:
    """Checks that every plugin loads."""
    for role in discovery.GROUPS:
        problems = {name: plugin_problem(role, name) for name in discovery.names(role)}
        for name, problem in problems.items():
            if problem:
                yield Finding(f"{role} {name}", "FAIL", problem)
        good = [name for name, problem in problems.items() if not problem]
        yield Finding(f"{role}s", "ok" if good else "note", f"loaded: {', '.join(good) or 'none'}")


def plugin_problem(role: str, name: str) -> str | None:
    """Why a plugin cannot be used, with its package and how to fix it; None if it can be used."""
    from mitobench import datasets

    try:
        datasets.reader(name).card() if role == "dataset" else discovery.family(role, name)
    except MitobenchError as reason:
        return str(reason)
    except Exception as reason:  # importing a plugin may raise anything
        claim = discovery.find(role, name)
        return (
            f"{role} {name!r} of package {claim.package} {claim.version} is broken: {type(reason).__name__}: {reason}."
        )
    return None


def plugin_checks() -> Iterator[Finding]:
    """Runs checks from packages: entry points of `mitobench.doctor`, which return tuples (what, ok, detail)."""
    for entry in metadata.entry_points(group=PLUGIN_CHECKS):
        package = entry.dist.name if entry.dist else "?"
        if discovery.allowed(package):
            fix = f"Install {package} again: {install(package, again=True)}."
            yield from guarded(f"{package}: {entry.name}", partial(_plugin_check, entry, fix), fix)


def _plugin_check(entry: metadata.EntryPoint, fix: str) -> Iterator[Finding]:
    package = entry.dist.name if entry.dist else "?"
    for what, ok, detail in entry.load()():
        yield Finding(f"{package}: {what}", "ok" if ok else "FAIL", detail, "" if ok else fix)
