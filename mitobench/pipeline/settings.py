"""Merges and checks the options of plugins and pipeline.

They come from class defaults, the profile and `--set`; `--scale` scales training schedules. The profile's `[defaults]`
name the plugins of the roles for which a run names none.
"""

from __future__ import annotations

import functools
import itertools
import json
import logging
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, ValidationError
from pydantic.fields import FieldInfo

from mitobench import discovery, registry
from mitobench.api import Options, Plugin
from mitobench.discovery import ROLES
from mitobench.errors import MitobenchError, PluginError, as_text, nearest
from mitobench.foreign import load_json, printable
from mitobench.pipeline import canonical

log = logging.getLogger("mitobench")

VALIDATION: Literal["validation"] = "validation"
F1: Literal["f1"] = "f1"
Threshold = Annotated[float, Field(allow_inf_nan=False)] | Literal["validation"] | None

PIPELINE = "the pipeline"  # what messages call the owner of the pipeline's options
OVERRIDE_FORMS = (
    "Give ROLE.OPTION=VALUE, ROLE.PLUGIN.OPTION=VALUE or pipeline.OPTION=VALUE, for example detector.iterations=500."
)
DEFAULTS = "defaults"  # the table of a profile that names the default plugin of each role
MAX_STEPS = "max_steps"  # the entry of a profile that shortens the schedules of plugins without options in it
PAPER = "paper"  # the profile whose default plugins a user's own profile inherits


class PipelineOptions(Options):
    """Options of what mitobench does between the plugins.

    Attributes:
        candidate_threshold: only detections with a detector score above it are verified (the paper's gate). One of: a
            number; `validation`, which chooses it on the validation frames; null, which keeps all detections; or a
            table of these by detector, in which detectors that are not named have `validation`.
        candidates: where the verifier's training candidates come from: `in-sample` (detections on the frames that the
            detector was fitted on, as in the paper) or `out-of-fold(k)` (k detectors are fitted, and each predicts
            frames that it was not fitted on).
        choose_by: what the candidate threshold and the fusion weight have the best of on validation: `f1` at the best
            threshold (the paper), or `average-precision`, which depends less on single detections where validation has
            few mitoses. The detection threshold always has the best F1.
    """

    renamed: ClassVar[Mapping[str, str]] = {"gate": "candidate_threshold"}

    candidate_threshold: Threshold | dict[str, Threshold] = VALIDATION
    candidates: Annotated[str, Field(pattern=r"^(in-sample|out-of-fold\(([2-9]|[1-9]\d+)\))$")] = "in-sample"
    choose_by: Literal["f1", "average-precision"] = F1

    @property
    def folds(self) -> int:
        """Number of detectors that are fitted to make training candidates; 0 for `in-sample`."""
        found = re.search(r"\d+", self.candidates)
        return int(found.group()) if found else 0

    def for_detector(self, name: str) -> PipelineOptions:
        """Returns the options for one detector, in which `candidate_threshold` is one value and not a table."""
        value = self.candidate_threshold
        family = value.get(discovery.split(name)[0], VALIDATION) if isinstance(value, dict) else value
        threshold = value.get(name, family) if isinstance(value, dict) else value
        return self.model_copy(update={"candidate_threshold": threshold})


@dataclass(frozen=True)
class Override:
    """One changed option: ROLE.OPTION=VALUE, ROLE.PLUGIN.OPTION=VALUE or pipeline.OPTION=VALUE.

    Attributes:
        location: where it was given, for messages: `--set`, or a file and its line.
        text: the whole text; a renamed option of the pipeline appears under its current name.
        role: a role, or `pipeline`.
        plugin: the plugin that it is limited to; None: all plugins of the role that have the option.
        option: the option's name: of the pipeline its current one, of plugins the one given until the plugin is known.
        value: the parsed value.
    """

    location: str
    text: str
    role: str
    plugin: str | None
    option: str
    value: Any

    @classmethod
    def parse(cls, text: str, location: str = "--set") -> Override:
        """Returns the override that a text describes. Raises MitobenchError for a text of another form."""
        if as_text(text) != text:
            raise MitobenchError(f"{location} {as_text(text)}: is not UTF-8 text. If it names a file, rename the file.")
        where, equals, value = text.partition("=")
        role, _, rest = where.strip().partition(".")
        plugin, _, option = rest.rpartition(".")  # a plugin's argument may hold dots: mmdet:my_config.py
        parts = [role, plugin, option] if "." in rest else [role, option]
        if not equals or not all(parts) or ("." in plugin and ":" not in plugin):
            raise MitobenchError(f"{location} {text}: {_missing_part(where, equals)}. {OVERRIDE_FORMS}")
        if parts[0] not in (*ROLES, "pipeline"):
            roles = nearest(parts[0], (*ROLES, "pipeline"))
            raise MitobenchError(f"{location} {text}: {parts[0]!r} is not a role. {roles}")
        if parts[0] == "pipeline" and len(parts) == 3:
            raise MitobenchError(f"{location} {text}: the pipeline has no plugins. Give pipeline.OPTION=VALUE.")
        parsed = load_json(value, f"{location} {printable(text, 200)}") if _is_json(value) else value
        override = cls(location, text, role, plugin or None, option, parsed)
        return override.renamed(PipelineOptions, PIPELINE) if role == "pipeline" else override

    def renamed(self, options: type[Options], owner: str) -> Override:
        """Returns the override with its option's current name; logs a warning if the given name is an old one."""
        option = _current_name(options, owner, self.option)
        if option == self.option:
            return self
        where, _, value = self.text.partition("=")
        return replace(self, option=option, text=f"{where.rpartition('.')[0]}.{option}={value}")

    def applies_to(self, role: str, plugin: str | None) -> bool:
        """Returns whether it is given to a plugin: to its role, its name or its family. `pipeline` has no plugins."""
        if self.role != role or self.plugin is None or plugin is None:
            return self.role == role and self.plugin is None
        return self.plugin == discovery.split(plugin)[0] or discovery.same(role, self.plugin, plugin)


def _missing_part(where: str, equals: str) -> str:
    """Returns what is wrong with the part of an override before `=`."""
    if not equals:
        return "the value is missing"
    parts = where.strip().split(".")
    if len(parts) == 1 and all(parts):
        return f"the role or the option is missing in {printable(where.strip(), 200)!r}"
    return "the part before = must be two or three names with a dot between them"


def _is_json(value: str) -> bool:
    """Returns whether a value is JSON; any other value is text."""
    try:
        json.loads(value, parse_int=str, parse_constant=_no_number)
    except ValueError:
        return False
    except RecursionError:
        return True
    return True


def _no_number(token: str) -> None:
    raise ValueError(token)


@dataclass(frozen=True)
class Layer:
    """A file of options: a profile, or the one that it is based on.

    Attributes:
        path: the file.
        tables: its content.
        profile: its name, under which packages add options of their own plugins; empty for a user's file.
    """

    path: Path
    tables: Mapping[str, Any]
    profile: str

    def entries(self, role: str, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yields (where, options) for a plugin: those of its package's card, then those of this file; later ones win.

        Raises PluginError for a card that cannot be read.
        """
        if self.profile:
            yield from discovery.profile(role, name, self.profile)
        for key in _tables_of(self.tables.get(role, {}), role, name):
            quoted = f'"{key}"' if ":" in key else key
            yield f"{self.path}: [{role}.{quoted}]", self.tables[role][key]


@dataclass
class Settings:
    """A profile with overrides.

    Attributes:
        profile: the profile's name in `registry/profiles`, or the name of the user's file.
        tables: the profile's options, by role and plugin.
        source: the profile's file.
        overrides: in the order given; the last one of an option counts.
        scale: factor on all schedules (the options that a plugin counts in optimizer steps).
        layers: the profiles that `tables` was merged from; later ones win.
        notes: what the user should know about the options, for example a schedule that was shortened.
    """

    profile: str
    tables: Mapping[str, Any]
    source: Path
    overrides: Sequence[Override] = ()
    scale: float = 1.0
    layers: Sequence[Layer] = ()
    notes: dict[str, None] = field(default_factory=dict)
    _used: set[tuple[str, str]] = field(default_factory=set)
    _options: dict[str, set[str]] = field(default_factory=dict)
    _plugins: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, profile: str, sets: Sequence[str | Override] = (), scale: float = 1.0) -> Settings:
        """Returns the settings of a profile, given by name or as a `.toml` file.

        Raises MitobenchError for an unknown profile, a file that is not a profile, or an override of another form.
        """
        if not 0 < scale < math.inf:  # nan is neither
            raise MitobenchError(f"--scale {scale}: must be a finite number greater than 0.")
        own = profile.endswith(".toml")
        path = Path(profile) if own else registry.entry("profiles", profile)
        tables = _read(path)
        layers = [Layer(path, tables, "" if own else path.stem)]
        if "based_on" in tables:
            parent = str(tables["based_on"])
            base = _base(path, parent)
            layers.insert(0, Layer(registry.entry("profiles", parent), base, parent))
            tables = _over(base, tables)
        elif own:  # a user's profile without `based_on` inherits the default plugins and no options
            tables = {**tables, DEFAULTS: {**_base(path, PAPER)[DEFAULTS], **tables.get(DEFAULTS, {})}}
        overrides = [Override.parse(each) if isinstance(each, str) else each for each in sets]
        return cls(as_text(path.name if own else path.stem), tables, path, overrides, scale, layers)

    def pipeline(self) -> PipelineOptions:
        """Returns the pipeline's options. Raises MitobenchError for an option of the wrong type."""
        options: PipelineOptions = self._merge(PipelineOptions, "pipeline", None, self.tables.get("pipeline", {}))
        return options

    def options(self, role: str, cls: type[Plugin], extra: Mapping[str, Any] | None = None) -> Options:
        """Returns a plugin's options.

        `extra` are the options that another plugin requires of this one; they override all others. Raises
        MitobenchError for an unknown option or one of the wrong type, with the place where it was given, and
        PluginError for a card that cannot be read.
        """
        table: dict[str, Any] = {}
        places: dict[str, str] = {}
        entries = [entry for layer in self._all_layers for entry in layer.entries(role, cls.name)]
        for where, given in entries:
            values = _renamed(where, cls.Options, cls.name, given)
            table |= values
            places |= dict.fromkeys(values, where)
        if not entries:
            table = self._shortened(cls)
        extra = {cls.Options.renamed.get(option, option): value for option, value in (extra or {}).items()}
        options: Options = self._merge(cls.Options, role, cls.name, table, extra, places)
        return options if self.scale == 1 else _scaled(options, cls.schedule, self.scale)

    @property
    def _all_layers(self) -> Sequence[Layer]:
        return self.layers or [Layer(self.source, self.tables, "")]

    def _shortened(self, cls: type[Plugin]) -> dict[str, Any]:
        """Returns the schedule of a plugin that the profile has no options for, shortened to `max_steps`.

        All of its numbers are multiplied by one factor, so that none is greater than `max_steps`.
        """
        limit, defaults = self.tables.get(MAX_STEPS), cls.Options()
        numbers = {name: getattr(defaults, name) for name in cls.schedule}
        longest = max((max(v, default=0) if isinstance(v, tuple) else v for v in numbers.values()), default=0)
        if limit is None or longest <= limit:
            return {}
        values = _scaled(defaults, cls.schedule, limit / longest).model_dump(mode="json", include=set(cls.schedule))
        text = ", ".join(f"{name} {_spelled(numbers[name])} -> {_spelled(value)}" for name, value in values.items())
        self.notes[
            f"Profile {self.profile} has no options for {cls.name}: its schedule is shortened to at most {limit} steps "
            f"({text})."
        ] = None
        return values

    def default(self, role: str) -> tuple[str, str | None]:
        """Returns the default plugin of a role: the first one in the profile that is installed.

        Returns its name, and a note for the user if it is not the profile's first choice, otherwise None. Raises
        MitobenchError if the profile names no plugin of the role, or none that is installed.
        """
        wanted: list[str] = self.tables.get(DEFAULTS, {}).get(role, [])
        installed = discovery.names(role)
        missing = list(itertools.takewhile(lambda name: not discovery.is_installed(role, name), wanted))
        if len(missing) == len(wanted):
            problem = (
                f"none of the default {role}s is installed ({', '.join(wanted)})" if wanted else f"no default {role}"
            )
            available = ", ".join(installed) or "none"
            raise MitobenchError(f"{self.source}: {problem}. Give --{role} NAME. Available: {available}.")
        name = wanted[len(missing)]
        if not missing:
            return name, None
        verb = "is" if len(missing) == 1 else "are"
        absent = f"{' and '.join(missing)} of profile {self.profile} {verb} not installed"
        return name, f"Default {role}: {name}, because {absent}."

    def check_all_used(self, also: Sequence[Settings] = ()) -> None:
        """Raises MitobenchError for an unknown plugin, or an override that concerns no plugin of the run.

        `also` are the settings of the run's other grids: it is enough if one of the grids uses an override.
        """
        named = [(f"{o.location} {o.text}", o.role, o.plugin) for o in self.overrides if o.plugin]
        if self.source.parent != registry.ROOT / "profiles":  # built-in profiles may name plugins not installed here
            tables = [(role, name) for role in ROLES for name in self.tables.get(role, {})]
            named += [(f"{self.source}: [{role}.{name}]", role, name) for role, name in tables]
        named += self._thresholds()
        for where, role, name in named:
            if not discovery.is_installed(role, name):
                raise MitobenchError(f"{where}: unknown {role} {name!r}. {nearest(name, discovery.names(role))}")
            _check_member(where, role, name)
        for override in self.overrides:
            if not any((override.location, override.text) in settings._used for settings in (self, *also)):
                _check_plugin_runs(override, (self, *also))
                owner = override.plugin or override.role
                known = sorted(self._options.get(override.role, set()))
                if not known:
                    raise MitobenchError(_without_options(override, (self, *also)))
                raise MitobenchError(
                    f"{override.location} {override.text}: no {owner} of this run has an option {override.option!r}. "
                    f"{nearest(override.option, known)}"
                )

    def _thresholds(self) -> list[tuple[str, str, str]]:
        """Returns (where, `detector`, name) for each detector that a table of candidate thresholds names."""
        value = self.tables.get("pipeline", {}).get("candidate_threshold")
        where = f"{self.source}: [pipeline] candidate_threshold"
        if self.source.parent == registry.ROOT / "profiles":
            value = None  # built-in profiles may name plugins not installed here
        for override in self.overrides:
            if (override.role, override.option) == ("pipeline", "candidate_threshold"):
                where, value = f"{override.location} {override.text}", override.value
        return [(where, "detector", name) for name in value] if isinstance(value, dict) else []

    def touching(self, plugins: Sequence[tuple[str, str, type[Options] | None]]) -> list[Override]:
        """Returns the overrides that take effect in these plugins, in the order given, under current option names.

        Args:
            plugins: (role, name, options class); the class is None if it is not known. The pipeline counts as a plugin
                of role `pipeline`.
        """
        last: dict[tuple[str, str, str], tuple[int, Override]] = {}
        for number, override in enumerate(self.overrides):
            for role, name, options in plugins:
                if not override.applies_to(role, name):
                    continue
                current = override.renamed(options, name) if options else override
                if options is None or current.option in options.model_fields:
                    last[role, name, current.option] = number, current
        return [override for _, override in sorted(dict(last.values()).items())]

    def _merge(
        self,
        model: type[Options],
        role: str,
        plugin: str | None,
        table: Mapping[str, Any],
        extra: Mapping[str, Any] = {},
        places: Mapping[str, str] = {},
    ) -> Any:
        values = dict(table)
        self._options.setdefault(role, set()).update(model.model_fields)
        self._plugins.setdefault(role, set()).update([plugin] if plugin else [])
        for override in self.overrides:
            if not override.applies_to(role, plugin):
                continue
            option = _current_name(model, plugin or PIPELINE, override.option)
            if option in model.model_fields:
                values[option] = override.value
                self._used.add((override.location, override.text))
        try:
            # strict JSON: rejects true as a number and "12" as an integer; accepts a list as a tuple and 1 as a float
            return model.model_validate_json(canonical.dumps({**values, **extra}), strict=True)
        except ValidationError as reason:
            raise MitobenchError(self._explain(reason, model, role, plugin, places)) from reason

    def _explain(
        self,
        reason: ValidationError,
        model: type[Options],
        role: str,
        plugin: str | None,
        places: Mapping[str, str],
    ) -> str:
        """Returns a line for each wrong option: where it was given, and what is wrong."""
        lines = []
        for error in reason.errors():
            option = str(error["loc"][0]) if error["loc"] else "options"
            matching = [
                o
                for o in self.overrides
                if o.applies_to(role, plugin) and model.renamed.get(o.option, o.option) == option
            ]
            table = f"[{role}.{plugin}]" if plugin else f"[{role}]"
            given = places.get(option, f"{self.source}: {table}")
            where = f"{matching[-1].location} {matching[-1].text}" if matching else f"{given} {option}"
            problem, allowed = error["msg"], ""
            if error["type"] == "extra_forbidden":
                problem = f"unknown option. {nearest(option, model.model_fields)}"
            elif option in model.model_fields:
                allowed = f" {_allowed(model.model_fields[option])}"
            lines.append(f"{where}: {problem} (given: {printable(repr(error['input']), 200)}).{allowed}")
        return "\n".join(dict.fromkeys(lines))


def type_of(option: FieldInfo) -> str:
    """Returns the type of an option with its bounds, for example `float >= 0.1, <= 1`."""
    annotation: Any = option.annotation
    name = annotation.__name__ if _is_plain(option) else str(annotation).replace("typing.", "")
    return f"{name} {', '.join(_bounds(option))}".rstrip()


def default_of(option: FieldInfo) -> str:
    """Returns `default VALUE`, as `--set` accepts the value, or `required`."""
    if option.is_required():
        return "required"
    return f"default {spelled_value(option.get_default(call_default_factory=True))}"


def _allowed(option: FieldInfo) -> str:
    """Says what an option may be; of a choice or a list only the default, as pydantic names the choices."""
    if _is_plain(option):
        return f"Allowed: {type_of(option)}; {default_of(option)}."
    if option.is_required():
        return "It is required."
    return f"Its default is {spelled_value(option.get_default(call_default_factory=True))}."


def _is_plain(option: FieldInfo) -> bool:
    """Returns whether an option is of a simple type, such as float."""
    return isinstance(option.annotation, type) and not get_args(option.annotation)


def _bounds(option: FieldInfo) -> Iterator[str]:
    for bound in option.metadata:
        for attribute, sign in {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}.items():
            if hasattr(bound, attribute):
                yield f"{sign} {getattr(bound, attribute)}"


def spelled_value(value: Any) -> str:
    """Formats a value as `--set` accepts it."""
    return json.dumps(value, default=str)


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
    pipeline = _renamed(f"{path}: [pipeline]", PipelineOptions, PIPELINE, tables.get("pipeline", {}))
    return {**tables, "pipeline": pipeline}


def _check_plugin_runs(override: Override, grids: Sequence[Settings]) -> None:
    """Raises MitobenchError if an override names a plugin, and no plugin of the run is the one."""
    names = _plugins_of(override.role, grids)
    if override.plugin and not any(override.applies_to(override.role, name) for name in names):
        have = f"its {override.role} is {' and '.join(names)}" if names else f"it has no {override.role}"
        raise MitobenchError(
            f"{override.location} {override.text}: this run has no {override.plugin}; {have}. Leave the option out, or "
            f"add the plugin: --{override.role} {override.plugin}"
        )


def _without_options(override: Override, grids: Sequence[Settings]) -> str:
    """Returns the message for an override of a role whose plugins in this run, if it has any, have no options."""
    role, names = override.role, " and ".join(_plugins_of(override.role, grids))
    which = f" ({names})" if names else ""
    return (
        f"{override.location} {override.text}: no {role} of this run{which} has options. Leave the option out, or add "
        f"a {role} that has it: --{role} NAME. `mitobench info NAME` shows the options."
    )


def _plugins_of(role: str, grids: Sequence[Settings]) -> list[str]:
    return sorted(set().union(*(own._plugins.get(role, ()) for own in grids)))


def _check_member(where: str, role: str, name: str) -> None:
    """Raises MitobenchError for a member that its family does not know; a family that is broken is left to the plan."""
    try:
        discovery.spelled(role, name)
    except PluginError:
        return
    except MitobenchError as reason:
        raise MitobenchError(f"{where}: {reason}") from reason


def _tables_of(tables: Mapping[str, Any], role: str, name: str) -> list[str]:
    """Returns the names of the tables that hold options of a plugin: its family's, then those of this member."""
    family, argument = discovery.split(name)
    own = [] if argument is None else [key for key in tables if key != family and discovery.same(role, key, name)]
    return [key for key in (family, *own) if key in tables]


def _renamed(where: str, options: type[Options], owner: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a table's options under their current names. Raises MitobenchError if one is given under both names."""
    renamed: dict[str, Any] = {}
    for option, value in values.items():
        current = _current_name(options, owner, option)
        if current in renamed:
            raise MitobenchError(f"{where} gives {current} twice, once under its old name. Remove one of them.")
        renamed[current] = value
    return renamed


def _current_name(options: type[Options], owner: str, option: str) -> str:
    """Returns an option's current name; logs a warning if the given name is an old one."""
    current = options.renamed.get(option, option)
    if current != option:
        _note_renamed(owner, option, current)
    return current


@functools.cache  # once a process
def _note_renamed(owner: str, option: str, current: str) -> None:
    log.warning("Option `%s` of %s is now called `%s`.", option, owner, current)


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


def _base(path: Path, name: str) -> dict[str, Any]:
    """Returns the tables of the built-in profile that the profile at `path` is based on."""
    base = _read(registry.entry("profiles", name))
    if "based_on" in base:
        raise MitobenchError(
            f"{path}: based_on = {name!r}, which is itself based on another profile. Name one that is not."
        )
    return base


def _over(base: Mapping[str, Any], tables: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the base's tables, in which `tables` override single options."""
    merged: dict[str, Any] = {part: {**base.get(part, {}), **tables.get(part, {})} for part in ("pipeline", DEFAULTS)}
    for role in ROLES:
        old, new = base.get(role, {}), tables.get(role, {})
        merged[role] = {name: {**old.get(name, {}), **new.get(name, {})} for name in {**old, **new}}
    limit = tables.get(MAX_STEPS, base.get(MAX_STEPS))
    return merged if limit is None else {**merged, MAX_STEPS: limit}


def _spelled(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _scaled(options: Options, schedule: Collection[str], scale: float) -> Options:
    """Returns the options with those in `schedule` multiplied by `scale`. Positive values stay at least 1."""

    def steps(value: int) -> int:
        return max(1, round(value * scale)) if value else 0

    values = {name: getattr(options, name) for name in schedule}
    scaled = {name: tuple(map(steps, v)) if isinstance(v, tuple) else steps(v) for name, v in values.items()}
    return options.model_copy(update=scaled)
