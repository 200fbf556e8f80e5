"""Defines the argument of every stage function: the stage to run, its inputs, and where its output goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitobench.api import Frame, Mitoses
from mitobench.pipeline import canonical
from mitobench.pipeline.stages.stage import Stage
from mitobench.pipeline.workspace import Workspace


@dataclass(frozen=True)
class Job:
    """One stage to run.

    Attributes:
        stage: the stage.
        inputs: folders with the verified outputs of its upstream stages, by role.
        folder: an empty folder for the output.
        work: a folder for checkpoints, which is kept if the run is killed.
        workspace: the frames.
        progress: to be called with (done, total).
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
        """Returns an instance of the stage's plugin, fitted if it is one that learns."""
        assert self.stage.plugin is not None
        fit_output = self.inputs.get(self.stage.plugin.role)
        return self.stage.plugin.create(self.device, fit_output)

    def frames(self, part: str) -> Iterator[tuple[str, Frame, Mitoses]]:
        """Yields (key, frame, annotation) of each frame of a part, and reports progress."""
        keys = self.stage.frames[part]
        for done, key in enumerate(keys):
            item = self.workspace.item(key)
            yield key, item.frame, item.mitoses
            self.progress(done + 1, len(keys))


def silent(done: int, total: int) -> None:
    """Ignores progress. Used for stages in other processes, whose progress is not shown."""


def write_json(path: Path, value: Any) -> None:
    """Write a value as canonical JSON."""
    path.write_text(canonical.dumps(value), encoding="utf-8")
