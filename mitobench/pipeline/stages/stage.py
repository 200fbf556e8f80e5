"""Describes one stage: one step of a benchmark, for example one fit. Its key is the address of its output.

The key is a SHA-256 over the stage's kind, mitobench's code for it, its plugin (name, version, code, options), its
frames, the versions of imported packages, and the keys of the stages that it depends on. Equal keys mean equal outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mitobench.errors import PluginError
from mitobench.pipeline import canonical
from mitobench.pipeline.plugin_ref import PluginRef


@dataclass(frozen=True)
class Stage:
    """One step of a benchmark, which runs once for all combinations that need it.

    Attributes:
        kind: what is done, for example `fit-detector`; `mitobench.pipeline.stages.kinds` names the function.
        plugin: the plugin that is called; None if none is.
        frames: keys of the frames that it works on, by part.
        settings: everything else that decides its output, as JSON values.
        upstream: the stages whose outputs it reads, by role.
        digests: SHA-256 of the frames, by part.
        members: of a fit, the complete plugins that it starts from, by their role in `upstream`; there is no upstream
            stage for those that learn nothing.
    """

    kind: str
    plugin: PluginRef | None
    frames: Mapping[str, tuple[str, ...]]
    settings: Mapping[str, Any]
    upstream: Mapping[str, Stage]
    digests: Mapping[str, str]
    members: Mapping[str, PluginRef] = field(default_factory=dict)

    @cached_property
    def spec(self) -> dict[str, Any]:
        """Everything that decides the output, as JSON values: what the key is the digest of."""
        members = {role: member.spec() for role, member in self.members.items()}
        return {
            "kind": self.kind,
            "plugin": self.plugin.spec() if self.plugin else None,
            "frames": dict(self.digests),
            "settings": dict(self.settings),
            "upstream": {role: stage.key for role, stage in self.upstream.items()},
            **({"members": members} if members else {}),
        }

    @cached_property
    def key(self) -> str:
        """SHA-256 of the spec, in hexadecimal."""
        return canonical.digest(self.spec)

    def check_files(self) -> None:
        """Raises PluginError if weights or a file among the plugin's options changed since the key was computed."""
        if self.plugin is None:
            return
        for plugin in (self.plugin, *self.members.values()):
            plugin.check_files()
        if self.plugin.spec() != self.spec["plugin"]:
            raise PluginError(f"{self.plugin.weights} was changed during the run. Run the same command again.")

    @property
    def label(self) -> str:
        """The stage for display: its kind, plugin, data sets and part."""
        where = "+".join(sorted({key.partition("/")[0] for keys in self.frames.values() for key in keys}))
        name = self.plugin.name if self.plugin else "harness"
        part = self.settings.get("part")
        inside = " ".join(filter(None, (where, part)))
        return f"{self.kind} {name}" + (f" ({inside})" if inside else "")
