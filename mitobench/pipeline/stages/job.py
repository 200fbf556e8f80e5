"""A stage about to be done: what its function is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitobench.api import Frame, Mitoses
from mitobench.pipeline import canonical
from mitobench.pipeline.stages.stage import Stage
from mitobench.pipeline.workspace import Workspace

# Beside what a plugin saved in the output of a fit: what it said of itself, and its log.
TRAINING_INFO = "facts.json"
LOG = "fit.log"


@dataclass(frozen=True)
class Job:
    """One stage about to be done.

    Attributes:
        stage: what.
        inputs: folders of the verified outputs of its upstream stages, by role.
        folder: empty; the output goes here.
        work: survives a killed run.
        workspace: the frames.
        progress: called with (done, total).
    """

    stage: Stage
    inputs: Mapping[str, Path]
    folder: Path
    work: Path
    workspace: Workspace
    progress: Callable[[int, int], None]

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""
        return str(self.stage.settings["device"])

    def plugin(self) -> Any:
        """The stage's plugin, as it was fitted upstream where it learns."""
        assert self.stage.plugin is not None
        fitted = self.inputs.get(self.stage.plugin.role)
        return self.stage.plugin.create(self.device, fitted)

    def frames(self, part: str) -> Iterator[tuple[str, Frame, Mitoses]]:
        """(key, frame, annotation) of a part, with progress."""
        keys = self.stage.frames[part]
        for done, key in enumerate(keys):
            item = self.workspace.item(key)
            yield key, item.frame, item.mitoses
            self.progress(done + 1, len(keys))


def silent(done: int, total: int) -> None:
    """Progress of a stage in another process is not shown."""


def write_json(path: Path, value: Any) -> None:
    """Write a JSON value in its canonical spelling."""
    path.write_text(canonical.dumps(value), encoding="utf-8")
