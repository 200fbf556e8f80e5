"""Defines the form of what the schema of a record leaves open; it is checked when a record is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mitobench.foreign.limits import MAX_PROCESSES, MAX_THREADS
from mitobench.results.ranges import MAX_VALUE

Finite = Annotated[float, Field(ge=-MAX_VALUE, le=MAX_VALUE)]


class Shape(BaseModel):
    """Converts no types, and allows unknown fields."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class PipelineShape(Shape):
    """`Record.pipeline`: how detections are matched, and what the harness did between the plugins."""

    matcher: str
    radius_um: Annotated[float, Field(gt=0, le=MAX_VALUE)]
    candidate_threshold: Finite | Literal["validation"] | None
    choose_by: Literal["f1", "average-precision"] = "f1"
    processes: Annotated[int, Field(ge=1, le=MAX_PROCESSES)] = 1
    threads: Annotated[int, Field(ge=1, le=MAX_THREADS)] = 1


class PluginShape(Shape):
    """The plugin of a stage."""

    name: str
    version: str
    source: str
    options: dict[str, Any]


class SettingsShape(Shape):
    """The settings of a stage; only `evaluation` has cut-offs."""

    cut_offs: dict[str, list[Finite]] = {}


class SpecShape(Shape):
    """One of `Record.specs`: everything that decides a stage's output (`mitobench.pipeline.stages.stage`)."""

    kind: str
    plugin: PluginShape | None
    frames: dict[str, str]
    settings: SettingsShape
    upstream: dict[str, str]
    members: dict[str, PluginShape] = {}
