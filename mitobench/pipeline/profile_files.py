"""Reads profiles: files with options of plugins and pipeline, and with the default plugins of the roles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitobench import discovery, registry
from mitobench.discovery import ROLES
from mitobench.errors import MitobenchError, nearest
from mitobench.pipeline.pipeline_options import PIPELINE, PipelineOptions
from mitobench.pipeline.renamed_options import under_current_names

DEFAULTS = "defaults"  # the table of a profile that names the default plugin of each role
MAX_STEPS = "max_steps"  # the entry of a profile that shortens the schedules of plugins without options in it
PAPER = "paper"  # the profile whose default plugins a user's own profile inherits


@dataclass(frozen=True)
class ProfileFile:
    """A profile, or the one that it is based on.

    Attributes:
        path: the file.
        tables: its content.
        built_in: its name, under which packages add options of their own plugins; empty for a user's file.
    """

    path: Path
    tables: Mapping[str, Any]
    built_in: str

    def entries(self, role: str, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yields (where, options) for a plugin: those of its package's card, then those of this file; later ones win.

        Raises PluginError for a card that cannot be read.
        """
        if self.built_in:
            yield from discovery.profile(role, name, self.built_in)
        for key in _tables_of(self.tables.get(role, {}), role, name):
            quoted = f'"{key}"' if ":" in key else key
            yield f"{self.path}: [{role}.{quoted}]", self.tables[role][key]

    @property
    def pipeline(self) -> tuple[str, Mapping[str, Any]]:
        """(where, options) of the pipeline."""
        return f"{self.path}: [pipeline]", self.tables.get("pipeline", {})


def read_profile(profile: str) -> list[ProfileFile]:
    """Returns a profile, given by name or as a `.toml` file, after the built-in one that it is based on, if any.

    Raises MitobenchError for an unknown profile, or a file that is not one.
    """
    if not profile.endswith(".toml"):
        found = _built_in(profile)
    else:
        found = ProfileFile(Path(profile), _read(Path(profile)), "")
    if "based_on" in found.tables:
        base = _built_in(str(found.tables["based_on"]))
        if "based_on" in base.tables:
            raise MitobenchError(
                f"{found.path}: based_on = {base.built_in!r}, which is itself based on another profile. Name one that "
                "is not."
            )
        return [base, found]
    if found.built_in:
        return [found]
    paper = _built_in(PAPER)  # a user's profile without `based_on` inherits the default plugins and no options
    return [ProfileFile(paper.path, {DEFAULTS: paper.tables[DEFAULTS]}, ""), found]


def _built_in(name: str) -> ProfileFile:
    path = registry.entry("profiles", name)
    return ProfileFile(path, _read(path), path.stem)


def _read(path: Path) -> dict[str, Any]:
    """Returns a profile's tables. Raises MitobenchError for a file that is not a profile."""
    tables = registry.read_toml(path)
    known = {"title", "based_on", MAX_STEPS, DEFAULTS, "pipeline", *ROLES}
    for table in tables.keys() - known:
        raise MitobenchError(f"{path}: unknown table [{table}]. {nearest(table, known)}")
    limit = tables.get(MAX_STEPS, 1)
    if type(limit) is not int or limit < 1:
        raise MitobenchError(f"{path}: {MAX_STEPS} must be a whole number of steps, at least 1.")
    if not isinstance(tables.get("pipeline", {}), dict):
        raise MitobenchError(f"{path}: pipeline must be a table: [pipeline].")
    if DEFAULTS in tables:
        tables = {**tables, DEFAULTS: _defaults(path, tables[DEFAULTS])}
    for role in ROLES:
        plugins = tables.get(role, {})
        if not isinstance(plugins, dict) or not all(isinstance(table, dict) for table in plugins.values()):
            raise MitobenchError(f"{path}: [{role}] must contain one table for each plugin: [{role}.NAME].")
    pipeline = under_current_names(f"{path}: [pipeline]", PipelineOptions, PIPELINE, tables.get("pipeline", {}))
    return {**tables, "pipeline": pipeline}


def _tables_of(tables: Mapping[str, Any], role: str, name: str) -> list[str]:
    """Returns the names of the tables that hold options of a plugin: its family's, then those of this member."""
    family, argument = discovery.split(name)
    own = [] if argument is None else [key for key in tables if key != family and discovery.same(role, key, name)]
    return [key for key in (family, *own) if key in tables]


def _defaults(path: Path, table: Any) -> dict[str, list[str]]:
    """Returns plugin names by role, in order of preference. Raises MitobenchError for a table of another form."""
    if not isinstance(table, dict):
        raise MitobenchError(f"{path}: {DEFAULTS} must be a table: [{DEFAULTS}].")
    read = {}
    for role, value in table.items():
        if role not in ROLES:
            raise MitobenchError(f"{path}: [{DEFAULTS}] {role}: unknown role. {nearest(role, ROLES)}")
        names = [value] if isinstance(value, str) else value
        if not (isinstance(names, list) and names and all(isinstance(name, str) and name for name in names)):
            raise MitobenchError(
                f"{path}: [{DEFAULTS}] {role}: must be a plugin's name, or several in order of preference: "
                f'{role} = ["one", "other"].'
            )
        read[role] = names
    return read
