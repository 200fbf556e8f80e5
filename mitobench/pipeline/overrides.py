"""Single changed options, as `--set ROLE.OPTION=VALUE` gives them: their form, and which options they change."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from mitobench import discovery
from mitobench.api import Options
from mitobench.discovery import ROLES
from mitobench.errors import MitobenchError, as_text, nearest
from mitobench.foreign import load_json, printable
from mitobench.pipeline.pipeline_options import PIPELINE, PipelineOptions
from mitobench.pipeline.renamed_options import current_name

OVERRIDE_FORMS = (
    "Give ROLE.OPTION=VALUE, ROLE.PLUGIN.OPTION=VALUE or pipeline.OPTION=VALUE, for example detector.iterations=500."
)


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
        return override.under(current_name(PipelineOptions, PIPELINE, option)) if role == "pipeline" else override

    @property
    def place(self) -> str:
        """Where it was given, with its text, for messages."""
        return f"{self.location} {self.text}"

    def under(self, option: str) -> Override:
        """Returns the override under another name of its option."""
        if option == self.option:
            return self
        where, _, value = self.text.partition("=")
        return replace(self, option=option, text=f"{where.rpartition('.')[0]}.{option}={value}")

    def applies_to(self, role: str, plugin: str | None) -> bool:
        """Returns whether it is given to a plugin: to its role, its name or its family. `pipeline` has no plugins."""
        if self.role != role or self.plugin is None or plugin is None:
            return self.role == role and self.plugin is None
        return self.plugin == discovery.split(plugin)[0] or discovery.same(role, self.plugin, plugin)

    def option_of(self, role: str, plugin: str | None, options: type[Options] | None) -> str | None:
        """Returns the current name of the option that it changes in a plugin; None if it changes none of its options.

        Args:
            role: the plugin's role, or `pipeline`.
            plugin: the plugin's name; None for the pipeline.
            options: the class of its options; None if it is not known: then it is taken to have the option.

        Logs a warning if the given name is an old one.
        """
        if not self.applies_to(role, plugin):
            return None
        if options is None:
            return self.option
        option = current_name(options, plugin or PIPELINE, self.option)
        return option if option in options.model_fields else None


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
