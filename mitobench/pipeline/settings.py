"""Options of plugins and of the pipeline: class defaults, then the profile, then `--set`, each typed and checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mitobench import discovery, registry
from mitobench.api import Options, Plugin
from mitobench.discovery import ROLES
from mitobench.errors import MitobenchError, nearest
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
    """One `--set WHERE=VALUE`: WHERE is ROLE.OPTION, ROLE.PLUGIN.OPTION or pipeline.OPTION."""

    text: str
    role: str
    plugin: str | None
    option: str
    value: Any

    @classmethod
    def parse(cls, text: str) -> Override:
        """Raises MitobenchError when the text is not of that form."""
        where, equals, value = text.partition("=")
        parts = where.strip().split(".")
        if not equals or len(parts) not in (2, 3) or not all(parts):
            raise MitobenchError(f"--set {text}: give ROLE.OPTION=VALUE, for example detector.iterations=500.")
        if parts[0] not in (*ROLES, "pipeline"):
            raise MitobenchError(f"--set {text}: {parts[0]!r} is no role. {nearest(parts[0], (*ROLES, 'pipeline'))}")
        try:
            parsed = json.loads(value, parse_constant=str)  # NaN and infinity are no values of options
        except ValueError:
            parsed = value
        return cls(text, parts[0], parts[1] if len(parts) == 3 else None, parts[-1], parsed)


@dataclass
class Settings:
    """A profile and what `--set` changes of it.

    Attributes:
        profile: its name, in `registry/profiles`.
        tables: options by role and plugin, as the profile has them.
        overrides: from the command line, in their order.
    """

    profile: str
    tables: Mapping[str, Any]
    source: Path
    overrides: Sequence[Override] = ()
    _used: set[str] = field(default_factory=set)
    _options: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, profile: str, sets: Sequence[str] = ()) -> Settings:
        """A profile by name, or from a `.toml` file. Raises MitobenchError for an unknown profile or a bad --set."""
        own = profile.endswith(".toml")
        path = Path(profile) if own else registry.entry("profiles", profile)
        tables = registry.read_toml(path)
        known = {"title", "pipeline", *ROLES}
        for table in tables.keys() - known:
            raise MitobenchError(f"{path}: unknown table [{table}]. {nearest(table, known)}")
        if not isinstance(tables.get("pipeline", {}), dict):
            raise MitobenchError(f"{path}: pipeline must be a table: [pipeline].")
        for role in ROLES:
            plugins = tables.get(role, {})
            if not isinstance(plugins, dict) or not all(isinstance(table, dict) for table in plugins.values()):
                raise MitobenchError(f"{path}: [{role}] must hold one table a plugin: [{role}.NAME].")
        return cls(path.name if own else path.stem, tables, path, [Override.parse(text) for text in sets])

    def pipeline(self) -> PipelineOptions:
        """The pipeline's options."""
        options: PipelineOptions = self._merge(PipelineOptions, "pipeline", None, self.tables.get("pipeline", {}))
        return options

    def options(self, role: str, cls: type[Plugin], extra: Mapping[str, Any] | None = None) -> Options:
        """A plugin's options; `extra` (what another plugin requires of it) has the last word."""
        table = self.tables.get(role, {}).get(cls.name, {})
        options: Options = self._merge(cls.Options, role, cls.name, table, extra or {})
        return options

    def check_all_used(self) -> None:
        """Raises MitobenchError for a name that no plugin has, or an option that no plugin of the run has."""
        named = [(f"--set {o.text}", o.role, o.plugin) for o in self.overrides if o.plugin]
        if self.source.parent != registry.ROOT / "profiles":  # ours may name plugins that are not installed
            tables = [(role, name) for role in ROLES for name in self.tables.get(role, {})]
            named += [(f"{self.source}: [{role}.{name}]", role, name) for role, name in tables]
        for where, role, name in named:
            if name not in discovery.names(role):
                raise MitobenchError(f"{where}: no {role} is called {name!r}. {nearest(name, discovery.names(role))}")
        for override in self.overrides:
            if override.text not in self._used:
                known = sorted(self._options.get(override.role, set()))
                raise MitobenchError(
                    f"--set {override.text}: no {override.plugin or override.role} of this run has an option "
                    f"{override.option!r}. {nearest(override.option, known)}"
                )

    def _merge(
        self, model: type[Any], role: str, plugin: str | None, table: Mapping[str, Any], extra: Mapping[str, Any] = {}
    ) -> Any:
        values = dict(table)
        self._options.setdefault(role, set()).update(model.model_fields)
        for override in self.overrides:
            if override.role == role and override.plugin in (None, plugin) and override.option in model.model_fields:
                values[override.option] = override.value
                self._used.add(override.text)
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
            where = f"--set {given[-1].text}" if given else f"{self.source}: {table} {option}"
            said = error["msg"]
            if error["type"] == "extra_forbidden":
                said = f"unknown option. {nearest(option, model.model_fields)}"
            lines.append(f"{where}: {said} (given: {error['input']!r})")
        return "\n".join(dict.fromkeys(lines))
