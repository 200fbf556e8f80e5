"""The code behind a stage: of the harness, of a plugin, and of the readers of its frames."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from mitobench import discovery
from mitobench.errors import PluginError
from mitobench.pipeline.code import Code, code_of, locate
from mitobench.pipeline.stages import kinds

if TYPE_CHECKING:
    from mitobench.api import Plugin


def stage_code(kind: str) -> Code:
    """The harness's code that does a kind of stage."""
    return _code(kinds.module(kind))


@functools.cache
def _code(module: str) -> Code:
    return code_of([module])


@functools.cache
def plugin_code(role: str, cls: type[Plugin]) -> Code:
    """The code of a plugin's class and of all that it derives from.

    Raises PluginError for a class that comes from no file.
    """
    if locate(cls.__module__) is None:
        raise PluginError(f"{cls.__module__} has no source file; plugins must come from an importable package.")
    modules = dict.fromkeys(base.__module__ for base in cls.__mro__)
    return code_of(modules, _package(discovery.find(role, cls.name)))


@functools.cache
def reader_code(dataset: str) -> Code:
    """The code that reads a data set's frames."""
    found = discovery.find("dataset", dataset)
    return code_of([found.target.partition(":")[0]], _package(found))


def _package(found: discovery.InstalledPlugin) -> str | None:
    """The package whose requirements count, imported or not; None for the core, which requires much for its pages."""
    return None if found.package == discovery.CORE else found.package
