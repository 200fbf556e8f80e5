"""Digests the code that a stage runs: mitobench's own, the plugin's, and that of the data set readers."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mitobench import discovery
from mitobench.errors import PluginError
from mitobench.pipeline.code import Code, code_of, locate
from mitobench.pipeline.stages import kinds

if TYPE_CHECKING:
    from mitobench.api import Plugin


def stage_code(kind: str) -> Code:
    """Returns mitobench's own code for a kind of stage."""
    return _code(kinds.module(kind))


@functools.cache
def _code(module: str) -> Code:
    return code_of([module])


@functools.cache
def plugin_code(role: str, cls: type[Plugin]) -> Code:
    """Returns the code of a plugin's class and of its base classes.

    Raises PluginError for a class without a source file.
    """
    if locate(cls.__module__) is None:
        raise PluginError(f"{cls.__module__} has no source file. Install the plugin as an importable package.")
    modules = dict.fromkeys(base.__module__ for base in cls.__mro__)
    return code_of(modules, _package(discovery.find(role, cls.name)))


@functools.cache
def reader_code(dataset: str) -> Code:
    """Returns the code that reads a data set's frames."""
    installed = discovery.find("dataset", dataset)
    return code_of([installed.target.partition(":")[0]], _package(installed))


def code_settings(kind: str, plugins: Sequence[tuple[str, str]], datasets: Iterable[str]) -> dict[str, Any]:
    """Returns the part of a stage's settings that describes its code. `plugins` are their roles and names.

    It holds the digests of mitobench's code for this kind and of the data set readers, and the versions of all packages
    that they and the plugins import.
    """
    harness = stage_code(kind)
    readers = {name: reader_code(name) for name in sorted(datasets)}
    codes = (harness, *(plugin_code(role, discovery.load(role, name)) for role, name in plugins), *readers.values())
    return {
        "harness": harness.digest,
        "readers": {name: code.digest for name, code in readers.items()},
        "environment": {name: version for code in codes for name, version in code.versions.items()},
    }


def _package(installed: discovery.InstalledPlugin) -> str | None:
    """Returns the package whose declared requirements are part of keys, imported or not.

    None for mitobench itself: most of its requirements serve its reports and decide no result.
    """
    return None if installed.package == discovery.CORE else installed.package
