"""Merges and checks the options of plugins and pipeline.

They come from class defaults, the profile and overrides (`--set`); `--scale` scales training schedules. The profile's
`[defaults]` name the plugins of the roles for which a run names none.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mitobench import discovery
from mitobench.api import Options, Plugin
from mitobench.discovery import ROLES
from mitobench.errors import MitobenchError, PluginError, as_text, nearest
from mitobench.foreign import printable
from mitobench.pipeline import canonical
from mitobench.pipeline.option_texts import allowed
from mitobench.pipeline.overrides import Override
from mitobench.pipeline.pipeline_options import PIPELINE, PipelineOptions
from mitobench.pipeline.profile_files import DEFAULTS, MAX_STEPS, ProfileFile, read_profile
from mitobench.pipeline.renamed_options import under_current_names


@dataclass(frozen=True)
class Settings:
    """A profile with overrides.

    Attributes:
        profile: the profile's name in `registry/profiles`, or the name of the user's file.
        files: the profile, after the one that it is based on; later ones win.
        overrides: in the order given; the last one of an option counts.
        scale: factor on all schedules (the options that a plugin counts in optimizer steps).
    """

    profile: str
    files: Sequence[ProfileFile]
    overrides: Sequence[Override] = ()
    scale: float = 1.0

    @classmethod
    def load(cls, profile: str, sets: Sequence[str | Override] = (), scale: float = 1.0) -> Settings:
        """Returns the settings of a profile, given by name or as a `.toml` file.

        Raises MitobenchError for an unknown profile, a file that is not a profile, or an override of another form.
        """
        if not 0 < scale < math.inf:  # nan is neither
            raise MitobenchError(f"--scale {scale}: must be a finite number greater than 0.")
        files = read_profile(profile)
        own = files[-1].path
        overrides = [Override.parse(each) if isinstance(each, str) else each for each in sets]
        return cls(as_text(own.name if profile.endswith(".toml") else own.stem), files, overrides, scale)

    def pipeline(self) -> PipelineOptions:
        """Returns the pipeline's options. Raises MitobenchError for an option of the wrong type."""
        options: PipelineOptions = self._merge(
            PipelineOptions, "pipeline", None, [file.pipeline for file in self.files]
        )
        return options

    def options(self, role: str, cls: type[Plugin], extra: Mapping[str, Any] | None = None) -> Options:
        """Returns a plugin's options.

        `extra` are the options that another plugin requires of this one; they override all others. Raises
        MitobenchError for an unknown option or one of the wrong type, with the place where it was given, and
        PluginError for a card that cannot be read.
        """
        tables = self._tables(role, cls) or [(f"the schedule of {cls.name}", self._shortened(cls))]
        extra = {cls.Options.renamed.get(option, option): value for option, value in (extra or {}).items()}
        options: Options = self._merge(cls.Options, role, cls.name, tables, extra)
        return options if self.scale == 1 else _scaled(options, cls.schedule, self.scale)

    def note_on(self, role: str, cls: type[Plugin]) -> str | None:
        """Returns what the user should know about a plugin's options: that its schedule was shortened. None: nothing.

        Raises PluginError for a card that cannot be read.
        """
        shortened = {} if self._tables(role, cls) else self._shortened(cls)
        if not shortened:
            return None
        defaults = cls.Options()
        text = ", ".join(
            f"{name} {_spelled(getattr(defaults, name))} -> {_spelled(v)}" for name, v in shortened.items()
        )
        return (
            f"Profile {self.profile} has no options for {cls.name}: its schedule is shortened to at most "
            f"{self._max_steps} steps ({text})."
        )

    def default(self, role: str) -> tuple[str, str | None]:
        """Returns the default plugin of a role: the first one in the profile that is installed.

        Returns its name, and a note for the user if it is not the profile's first choice, otherwise None. Raises
        MitobenchError if the profile names no plugin of the role, or none that is installed.
        """
        named = [file.tables[DEFAULTS][role] for file in self.files if role in file.tables.get(DEFAULTS, {})]
        wanted: list[str] = named[-1] if named else []
        installed = discovery.names(role)
        missing = list(itertools.takewhile(lambda name: not discovery.is_installed(role, name), wanted))
        if len(missing) == len(wanted):
            problem = (
                f"none of the default {role}s is installed ({', '.join(wanted)})" if wanted else f"no default {role}"
            )
            available = ", ".join(installed) or "none"
            raise MitobenchError(f"{self._source}: {problem}. Give --{role} NAME. Available: {available}.")
        name = wanted[len(missing)]
        if not missing:
            return name, None
        verb = "is" if len(missing) == 1 else "are"
        absent = f"{' and '.join(missing)} of profile {self.profile} {verb} not installed"
        return name, f"Default {role}: {name}, because {absent}."

    def check_names(self) -> None:
        """Raises MitobenchError for an unknown plugin in overrides or in the user's own profile.

        Built-in profiles may name plugins that are not installed here.
        """
        named = [(o.place, o.role, o.plugin) for o in self.overrides if o.plugin]
        for file in self.files:
            tables = [(role, name) for role in ROLES if not file.built_in for name in file.tables.get(role, {})]
            named += [(f"{file.path}: [{role}.{name}]", role, name) for role, name in tables]
        where, thresholds = self._candidate_threshold()
        named += [(where, "detector", name) for name in thresholds] if isinstance(thresholds, dict) else []
        for where, role, name in named:
            if not discovery.is_installed(role, name):
                raise MitobenchError(f"{where}: unknown {role} {name!r}. {nearest(name, discovery.names(role))}")
            _check_member(where, role, name)

    def touching(self, plugins: Sequence[tuple[str, str, type[Options] | None]]) -> list[Override]:
        """Returns the overrides that take effect in these plugins, in the order given, under current option names.

        Args:
            plugins: (role, name, options class); the class is None if it is not known. The pipeline counts as a plugin
                of role `pipeline`.
        """
        last: dict[tuple[str, str, str], tuple[int, Override]] = {}
        for number, override in enumerate(self.overrides):
            for role, name, options in plugins:
                option = override.option_of(role, name, options)
                if option is not None:
                    last[role, name, option] = number, override.under(option)
        return [override for _, override in sorted(dict(last.values()).items())]

    # ----------------------------------------------------------------------------------------------------- details

    @property
    def _source(self) -> Path:
        return self.files[-1].path if self.files else Path(self.profile)

    @property
    def _max_steps(self) -> int | None:
        return next((file.tables[MAX_STEPS] for file in reversed(self.files) if MAX_STEPS in file.tables), None)

    def _tables(self, role: str, cls: type[Plugin]) -> list[tuple[str, Mapping[str, Any]]]:
        """Returns (where, options) of a plugin in the profile and on its package's card; later ones win."""
        return [entry for file in self.files for entry in file.entries(role, cls.name)]

    def _shortened(self, cls: type[Plugin]) -> dict[str, Any]:
        """Returns the schedule of a plugin that the profile has no options for, shortened to `max_steps`.

        All of its numbers are multiplied by one factor, so that none is greater than `max_steps`.
        """
        limit, defaults = self._max_steps, cls.Options()
        numbers = [getattr(defaults, name) for name in cls.schedule]
        longest = max((max(v, default=0) if isinstance(v, tuple) else v for v in numbers), default=0)
        if limit is None or longest <= limit:
            return {}
        return _scaled(defaults, cls.schedule, limit / longest).model_dump(mode="json", include=set(cls.schedule))

    def _candidate_threshold(self) -> tuple[str, Any]:
        """Returns where the user gave the candidate threshold, and its value; None if the user did not give it."""
        given: tuple[str, Any] = "", None
        for file in self.files:
            where, table = file.pipeline
            if "candidate_threshold" in table:
                value = None if file.built_in else table["candidate_threshold"]
                given = f"{where} candidate_threshold", value
        for override in self.overrides:
            if override.option_of("pipeline", None, PipelineOptions) == "candidate_threshold":
                given = override.place, override.value
        return given

    def _merge(
        self,
        model: type[Options],
        role: str,
        plugin: str | None,
        tables: Iterable[tuple[str, Mapping[str, Any]]],
        extra: Mapping[str, Any] = {},
    ) -> Any:
        values: dict[str, Any] = {}
        places: dict[str, str] = {}
        for where, table in tables:
            for option, value in under_current_names(where, model, plugin or PIPELINE, table).items():
                values[option], places[option] = value, f"{where} {option}"
        for override in self.overrides:
            changed = override.option_of(role, plugin, model)
            if changed is not None:
                values[changed], places[changed] = override.value, override.place
        try:
            # strict JSON: rejects true as a number and "12" as an integer; accepts a list as a tuple and 1 as a float
            return model.model_validate_json(canonical.dumps({**values, **extra}), strict=True)
        except ValidationError as reason:
            whole = f"{self._source}: [{role}.{plugin}]" if plugin else f"{self._source}: [{role}]"
            raise MitobenchError(_explained(reason, model, whole, places)) from reason


def check_all_used(grids: Sequence[tuple[Settings, Collection[tuple[str, type[Plugin]]]]]) -> None:
    """Raises MitobenchError for an unknown plugin, or an override that changes no option of the run.

    Args:
        grids: the settings of each grid of the run, with (role, class) of all of its plugins. If several grids have the
            same override, it is enough that it changes an option in one of them.
    """
    overrides: dict[str, Override] = {}
    plugins: dict[str, list[tuple[str, type[Plugin]]]] = {}
    for settings, own in grids:
        settings.check_names()
        for override in settings.overrides:
            overrides[override.place] = override
            plugins.setdefault(override.place, []).extend(own)
    for place, override in overrides.items():
        changeable: dict[str | None, type[Options]] = {
            cls.name: cls.Options for role, cls in plugins[place] if role == override.role
        }
        if override.role == "pipeline":
            changeable = {None: PipelineOptions}
        if not any(override.option_of(override.role, name, options) for name, options in changeable.items()):
            raise MitobenchError(f"{place}: {_why_unused(override, changeable)}")


def _why_unused(override: Override, plugins: Mapping[str | None, type[Options]]) -> str:
    """Says why an override changes no option of the run's plugins of its role, given with their options."""
    role, names = override.role, sorted(name for name in plugins if name)
    concerned = [options for name, options in plugins.items() if override.applies_to(role, name)]
    if override.plugin and not concerned:
        have = f"its {role} is {' and '.join(names)}" if names else f"it has no {role}"
        return (
            f"this run has no {override.plugin}; {have}. Leave the option out, or add the plugin: --{role} "
            f"{override.plugin}"
        )
    known = sorted({option for options in concerned for option in options.model_fields})
    if not known:
        which = f" ({' and '.join(names)})" if names else ""
        return (
            f"no {role} of this run{which} has options. Leave the option out, or add a {role} that has it: --{role} "
            "NAME. `mitobench info NAME` shows the options."
        )
    owner = override.plugin or role
    return f"no {owner} of this run has an option {override.option!r}. {nearest(override.option, known)}"


def _check_member(where: str, role: str, name: str) -> None:
    """Raises MitobenchError for a member that its family does not know; a family that is broken is left to the plan."""
    try:
        discovery.spelled(role, name)
    except PluginError:
        return
    except MitobenchError as reason:
        raise MitobenchError(f"{where}: {reason}") from reason


def _explained(reason: ValidationError, model: type[Options], whole: str, places: Mapping[str, str]) -> str:
    """Returns a line for each wrong option: where it was given, and what is wrong.

    `places` are where the options were given, `whole` that of an option that was given nowhere.
    """
    lines = []
    for error in reason.errors():
        option = str(error["loc"][0]) if error["loc"] else "options"
        problem, may_be = error["msg"], ""
        if error["type"] == "extra_forbidden":
            problem = f"unknown option. {nearest(option, model.model_fields)}"
        elif option in model.model_fields:
            may_be = f" {allowed(model.model_fields[option])}"
        where = places.get(option, f"{whole} {option}")
        lines.append(f"{where}: {problem} (given: {printable(repr(error['input']), 200)}).{may_be}")
    return "\n".join(dict.fromkeys(lines))


def _spelled(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _scaled(options: Options, schedule: Collection[str], scale: float) -> Options:
    """Returns the options with those in `schedule` multiplied by `scale`. Positive values stay at least 1."""

    def steps(value: int) -> int:
        return max(1, round(value * scale)) if value else 0

    values = {name: getattr(options, name) for name in schedule}
    scaled = {name: tuple(map(steps, v)) if isinstance(v, tuple) else steps(v) for name, v in values.items()}
    return options.model_copy(update=scaled)
