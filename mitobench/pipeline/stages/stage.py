"""One thing to do, once, known by its key.

The key is the digest of the stage's kind, of the harness's code that does it, of its plugin (name, version, source,
options), of its frames, of the environment, and of the keys of all stages it builds on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mitobench.errors import PluginError
from mitobench.pipeline import canonical
from mitobench.pipeline.plugins import PluginRef


@dataclass(frozen=True)
class Stage:
    """One thing to do, once.

    Attributes:
        kind: which function does it: `mitobench.pipeline.stages.kinds`.
        plugin: whose turn it is; None for the harness's own stages.
        frames: keys of the frames it works on, by part.
        settings: everything else that goes into it, JSON values.
        upstream: the stages whose output it reads, by role.
        digests: of the frames, by part.
    """

    kind: str
    plugin: PluginRef | None
    frames: Mapping[str, tuple[str, ...]]
    settings: Mapping[str, Any]
    upstream: Mapping[str, Stage]
    digests: Mapping[str, str]

    @cached_property
    def spec(self) -> dict[str, Any]:
        """All that goes into it, spelled out: what the key is the digest of."""
        return {
            "kind": self.kind,
            "plugin": self.plugin.spec() if self.plugin else None,
            "frames": dict(self.digests),
            "settings": dict(self.settings),
            "upstream": {role: stage.key for role, stage in self.upstream.items()},
        }

    @cached_property
    def key(self) -> str:
        """The digest of the spec."""
        return canonical.digest(self.spec)

    def check_files(self) -> None:
        """Raises PluginError where weights or a file that its plugin is known by changed since the key was taken."""
        if self.plugin is None:
            return
        self.plugin.check_files()
        if self.plugin.spec() != self.spec["plugin"]:
            raise PluginError(f"{self.plugin.weights} was changed during the run. Run the same command again.")

    @property
    def label(self) -> str:
        """For people: what is done, with what, on what."""
        where = "+".join(sorted({key.partition("/")[0] for keys in self.frames.values() for key in keys}))
        name = self.plugin.name if self.plugin else "harness"
        part = self.settings.get("part")
        return f"{self.kind} {name} ({where}{' ' + part if part else ''})"
