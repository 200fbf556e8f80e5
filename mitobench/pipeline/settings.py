"""Options of plugins and of the pipeline: class defaults, then the profile, then `--set`, each typed and checked."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mitobench import discovery, registry
from mitobench.api import Options, Plugin
from mitobench.discovery import ROLES
from mitobench.errors import MitobenchError, nearest
from mitobench.foreign import load_json, printable
from mitobench.pipeline import canonical


class PipelineOptions(BaseModel):
    """What the harness does between the plugins.

    Attributes:
        gate: detections whose detector score is not above it are dropped before verification; `validation` chooses
            it on the validation frames (paper, section 4.3: .88); null drops nothing.
        candidates: where the verifier's training candidates come from: `in-sample` (the detector's own training
            frames, as in the paper) or `out-of-fold(k)` (k detector fits, each predicting what it has not seen).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    gate: float | Literal["validation"] | None = "validation"
    candidates: Annotated[str, Field(pattern=r"^(in-sample|out-of-fold\(([2-9]|[1-9]\d+)\))$")] = "in-sample"

    @property
    def folds(self) -> int:
        """Number of detector fits that make the candidates; 0 for `in-sample`."""
        found = re.search(r"\d+", self.candidates)
        return int(found.group()) if found else 0


@dataclass(frozen=True)
class Override:
    """One `WHERE=VALUE`: WHERE is ROLE.OPTION, ROLE.PLUGIN.OPTION or pipeline.OPTION.

    `given` says where it was: `--set`, or a file and its line.
    """

    given: str
    text: str
    role: str
    plugin: str | None
    option: str
    value: Any

    @classmethod
    def parse(cls, text: str, given: str = "--set") -> Override:
        """Raises MitobenchError when the text is not of that form."""
        where, equals, value = text.partition("=")
        parts = where.strip().split(".")
        if not equals or len(parts) not in (2, 3) or not all(parts):
            raise MitobenchError(f"{given} {text}: give ROLE.OPTION=VALUE, for example detector.iterations=500.")
        if parts[0] not in (*ROLES, "pipeline"):
            raise MitobenchError(f"{given} {text}: {parts[0]!r} is no role. {nearest(parts[0], (*ROLES, 'pipeline'))}")
        parsed = load_json(value, f"{given} {printable(text, 200)}") if _is_json(value) else value
        return cls(given, text, parts[0], parts[1] if len(parts) == 3 else None, parts[-1], parsed)


def _is_json(value: str) -> bool:
    """Whether a value is spelled as JSON; any other is text."""
    try:
        json.loads(value, parse_int=str, parse_constant=_no_number)
    except ValueError:
        return False
    except RecursionError:
        return True
    return True


def _no_number(token: str) -> None:
    raise ValueError(token)


@dataclass
class Settings:
    """A profile and what is changed of it.

    Attributes:
        profile: its name, in `registry/profiles`.
        tables: options by role and plugin, as the profile has them.
        overrides: in their order; of two of one option the last counts.
        scale: factor on all schedules, those options that a plugin counts in optimizer steps.
    """

    profile: str
    tables: Mapping[str, Any]
    source: Path
    overrides: Sequence[Override] = ()
    scale: float = 1.0
    _used: set[tuple[str, str]] = field(default_factory=set)
    _options: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, profile: str, sets: Sequence[str | Override] = (), scale: float = 1.0) -> Settings:
        """A profile by name, or from a `.toml` file. Raises MitobenchError for an unknown profile or a bad override."""
        own = profile.endswith(".toml")
        path = Path(profile) if own else registry.entry("profiles", profile)
        tables = _read(path)
        if "based_on" in tables:
            tables = _over(_base(path, str(tables["based_on"])), tables)
        overrides = [Override.parse(given) if isinstance(given, str) else given for given in sets]
        return cls(path.name if own else path.stem, tables, path, overrides, scale)

    def pipeline(self) -> PipelineOptions:
        """The pipeline's options."""
        options: PipelineOptions = self._merge(PipelineOptions, "pipeline", None, self.tables.get("pipeline", {}))
        return options

    def options(self, role: str, cls: type[Plugin], extra: Mapping[str, Any] | None = None) -> Options:
        """A plugin's options; `extra` (what another plugin requires of it) has the last word."""
        table = self.tables.get(role, {}).get(cls.name, {})
        options: Options = self._merge(cls.Options, role, cls.name, table, extra or {})
        return options if self.scale == 1 else _shortened(options, cls.schedule, self.scale)

    def check_all_used(self, also: Sequence[Settings] = ()) -> None:
        """Raises MitobenchError for a name that no plugin has, or an option that no plugin of the run has.

        `also` are the settings of the run's other grids: an override given to all need not be of use to each.
        """
        named = [(f"{o.given} {o.text}", o.role, o.plugin) for o in self.overrides if o.plugin]
        if self.source.parent != registry.ROOT / "profiles":  # ours may name plugins that are not installed
            tables = [(role, name) for role in ROLES for name in self.tables.get(role, {})]
            named += [(f"{self.source}: [{role}.{name}]", role, name) for role, name in tables]
        for where, role, name in named:
            if name not in discovery.names(role):
                raise MitobenchError(f"{where}: no {role} is called {name!r}. {nearest(name, discovery.names(role))}")
        for override in self.overrides:
            if not any((override.given, override.text) in settings._used for settings in (self, *also)):
                whose = override.plugin or override.role
                known = sorted(self._options.get(override.role, set()))
                raise MitobenchError(
                    f"{override.given} {override.text}: no {whose} of this run has an option {override.option!r}. "
                    f"{nearest(override.option, known)}"
                )

    def _merge(
        self, model: type[Any], role: str, plugin: str | None, table: Mapping[str, Any], extra: Mapping[str, Any] = {}
    ) -> Any:
        values = dict(table)
        self._options.setdefault(role, set()).update(model.model_fields)
        for override in self.overrides:
            if override.role == role and override.plugin in (None, plugin) and override.option in model.model_fields:
                values[override.option] = override.value
                self._used.add((override.given, override.text))
        try:
            # as JSON, strictly: true is no number and "12" no integer, but a list may be a tuple and 1 a float
            return model.model_validate_json(canonical.dumps({**values, **extra}), strict=True)
        except ValidationError as reason:
            raise MitobenchError(self._explain(reason, model, role, plugin)) from reason

    def _explain(self, reason: ValidationError, model: type[Any], role: str, plugin: str | None) -> str:
        """Each wrong option, where it was given, and what it may be."""
        lines = []
        for error in reason.errors():
            option = str(error["loc"][0]) if error["loc"] else "options"
            given = [o for o in self.overrides if o.role == role and o.plugin in (None, plugin) and o.option == option]
            table = f"[{role}.{plugin}]" if plugin else f"[{role}]"
            where = f"{given[-1].given} {given[-1].text}" if given else f"{self.source}: {table} {option}"
            said = error["msg"]
            if error["type"] == "extra_forbidden":
                said = f"unknown option. {nearest(option, model.model_fields)}"
            lines.append(f"{where}: {said} (given: {printable(repr(error['input']), 200)})")
        return "\n".join(dict.fromkeys(lines))


def _read(path: Path) -> dict[str, Any]:
    """A profile's tables. Raises MitobenchError for what is none."""
    tables = registry.read_toml(path)
    known = {"title", "based_on", "pipeline", *ROLES}
    for table in tables.keys() - known:
        raise MitobenchError(f"{path}: unknown table [{table}]. {nearest(table, known)}")
    if not isinstance(tables.get("pipeline", {}), dict):
        raise MitobenchError(f"{path}: pipeline must be a table: [pipeline].")
    for role in ROLES:
        plugins = tables.get(role, {})
        if not isinstance(plugins, dict) or not all(isinstance(table, dict) for table in plugins.values()):
            raise MitobenchError(f"{path}: [{role}] must hold one table a plugin: [{role}.NAME].")
    return tables


def _base(path: Path, name: str) -> dict[str, Any]:
    """The tables of the registry's profile that the one at `path` is based on."""
    base = _read(registry.entry("profiles", name))
    if "based_on" in base:
        raise MitobenchError(f"{path}: based_on = {name!r}, which is itself based on another; name one that is not.")
    return base


def _over(base: Mapping[str, Any], tables: Mapping[str, Any]) -> dict[str, Any]:
    """The base's tables with what the others change in them, option by option."""
    merged = {"pipeline": {**base.get("pipeline", {}), **tables.get("pipeline", {})}}
    for role in ROLES:
        old, new = base.get(role, {}), tables.get(role, {})
        merged[role] = {name: {**old.get(name, {}), **new.get(name, {})} for name in {**old, **new}}
    return merged


def _shortened(options: Options, schedule: Collection[str], scale: float) -> Options:
    """The options with those of the schedule scaled; what was above zero stays so."""

    def short(steps: int) -> int:
        return max(1, round(steps * scale)) if steps else 0

    values = {name: getattr(options, name) for name in schedule}
    scaled = {name: tuple(map(short, v)) if isinstance(v, tuple) else short(v) for name, v in values.items()}
    return options.model_copy(update=scaled)
