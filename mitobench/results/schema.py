"""What a record holds (schema 2): one combination and seed, with everything that its numbers follow from.

A record's content (what was computed, from what) is apart from its run (when, where, how long): two runs of one
command on one machine give equal content. Numbers that follow from others are never trusted: `recompute` computes them
anew, from the frames and detections that the record holds.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mitobench.evaluate import BoxScores, FrameEntry, Metrics, OperatingPoint
from mitobench.foreign.limits import MAX_SEED
from mitobench.pipeline import canonical
from mitobench.results.option_files import FileEntry, Place
from mitobench.results.ranges import MAX_VALUE

SCHEMA_VERSION: Literal[2] = 2

ROLES = ("estimator", "detector", "verifier", "fuser")
UNUSED = "-"  # in the place of an estimator whose boxes the detector does not use

SCORES = ("chosen", "validation", "test", "detector_alone", "detections")  # of a run that came to its end


Seconds = Annotated[float, Field(ge=0, le=MAX_VALUE)]
Count = Annotated[int, Field(ge=0, le=MAX_VALUE)]


class Strict(BaseModel):
    """Refuses fields that it does not know, and infinite numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PluginEntry(Strict):
    """A plugin as it took part.

    Attributes:
        options: as they enter its key: in place of a file its SHA-256.
        variant: the options that a table shows beside its name.
        files: those files, by the name of their option.
    """

    name: str
    version: str
    source: str
    options: dict[str, Any]
    variant: dict[str, Any] = {}
    files: dict[Place, FileEntry] = {}


class SplitEntry(Strict):
    """A split as it was used.

    Attributes:
        name, protocol: of the split; `note` what it says about itself.
        digest: SHA-256 over its content.
        content: the split itself, where it is not in the registry.
    """

    name: str
    protocol: str
    digest: str
    note: str
    content: dict[str, Any] | None = None


class DataEntry(Strict):
    """A data set as it took part.

    Attributes:
        digest: over files and annotation of all frames used, by part.
        frames: number of frames, by part.
        coverage: what part of the data set was there; None: all of it.
        scanners: those whose frames were used; None: not known of a migrated record.
        split: which frames train, validate and test.
    """

    digest: dict[str, str]
    frames: dict[str, Count]
    coverage: str | None
    scanners: list[str] | None
    split: SplitEntry


class Chosen(Strict):
    """What validation chose.

    Attributes:
        candidate_threshold: detections whose detector score is not above it were not ranked; None: all were.
        fuser: what the fuser chose (for `linear` the weight and the curve over it).
        point: threshold and scores on validation.
        detector_alone: the same for the detector's own score.
    """

    candidate_threshold: float | None
    fuser: dict[str, Any]
    point: OperatingPoint
    detector_alone: OperatingPoint


class Frames(Strict):
    """The frames that chose (`val`) and that were scored (`test`)."""

    val: list[FrameEntry]
    test: list[FrameEntry]


class DetectionsEntry(Strict):
    """A file of detections beside the record: its name, number of rows, and SHA-256 of its text and of its bytes."""

    file: str
    rows: int
    sha256: str
    packed: str


class Run(Strict):
    """When, where and how long; no part of the content.

    Attributes:
        command: what makes this row again; data is named DATA, wherever it lay.
        seconds: of each stage, by role; `cached` ones took theirs in an earlier run.
        seconds_a_frame: detection plus verification, mean over test frames.
        seconds_a_candidate: verification alone, mean over the test candidates above the candidate threshold.
    """

    command: str
    started: str
    seconds: dict[str, Seconds]
    cached: list[str]
    seconds_a_frame: Seconds | None
    seconds_a_candidate: Seconds | None = None
    host: dict[str, str]
    git: str | None


class EarlierVersion(Strict):
    """An earlier form of this record: its schema version, and the digest that it had."""

    schema_version: int
    digest: str


class Combination(Strict):
    """Names of the parts, data and seed of a row."""

    model_config = ConfigDict(strict=True)

    dataset: str
    protocol: str
    estimator: str
    detector: str
    verifier: str
    fuser: str
    train_on: list[str]
    seed: int = Field(ge=0, le=MAX_SEED)


class Record(Strict):
    """One row of a leaderboard.

    Attributes:
        status: `ok`, or `failed` with a reason and no scores.
        combination: names of the parts, data and seed.
        profile, overrides, scale: where the options came from: the profile's name, every `--set`, and the factor on
            all schedules.
        only_scanners: the scanners that the run was limited to; None: it was not.
        plugins: by role, each with all its options.
        pipeline: what the harness did between the plugins, with matcher and radius.
        stages: keys of the stages in the store, by role.
        specs: what each key is the digest of; empty in a migrated record.
        training_info: what each fit reported, by role: counts of its training samples, for example.
        notes: what every table must say of this row (synthetic, from scratch, partial data, shared slides).
        frames: the frames behind `validation` and `test`.
        boxes: the box estimator against masks, on test frames.
        detections, validation_detections: files beside the record; None where it failed. Migrated records have none
            of validation, and so no score over thresholds there.
        migrated: earlier forms of this record, oldest first.
        digest: over all of the above (the content), `run_digest` over `run`.
    """

    schema_version: Literal[2] = SCHEMA_VERSION
    status: Literal["ok", "failed"]
    reason: str | None = None
    combination: dict[str, Any]
    profile: str
    overrides: list[str] = []
    scale: float = Field(default=1.0, gt=0)
    only_scanners: list[str] | None = None
    plugins: dict[str, PluginEntry]
    pipeline: dict[str, Any]
    data: dict[str, DataEntry]
    stages: dict[str, str] = {}
    specs: dict[str, dict[str, Any]] = {}
    training_info: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    frames: Frames | None = None
    chosen: Chosen | None = None
    validation: Metrics | None = None
    test: Metrics | None = None
    detector_alone: Metrics | None = None
    boxes: BoxScores | None = None
    versions: dict[str, str]
    device: str
    detections: DetectionsEntry | None = None
    validation_detections: DetectionsEntry | None = None
    migrated: list[EarlierVersion] = []
    digest: str = ""
    run: Run
    run_digest: str = ""

    def content(self) -> dict[str, Any]:
        """Everything but the run and the digests: equal for equal results."""
        return self.model_dump(mode="json", exclude={"run", "digest", "run_digest"})

    def sealed(self) -> Record:
        """The record with its digests."""
        run = canonical.digest(self.run.model_dump(mode="json"))
        return self.model_copy(update={"digest": canonical.digest(self.content()), "run_digest": run})

    @property
    def stem(self) -> str:
        """The file's name without ending: readable, and unique by what was computed."""
        c = self.combination
        parts = [c["dataset"], c["protocol"], *(c[role] for role in ROLES), f"s{c['seed']}"]
        safe = re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(str(part) for part in parts if part != UNUSED))
        return f"{safe[:MAX_STEM]}-{self.identity[:10]}"

    @property
    def identity(self) -> str:
        """Digest of what was asked for: equal for a repetition, whatever came out and on whatever device."""
        asked = {
            "combination": self.combination,
            "plugins": {role: [p.name, p.options] for role, p in self.plugins.items()},
            "pipeline": self.pipeline,
            "data": {name: entry.digest for name, entry in self.data.items()},
        }
        return canonical.digest(asked)

    @property
    def series(self) -> str:
        """The identity without the seed, with all it was computed with: records that share it are seeds of one row."""
        without = {**self.combination, "seed": None}
        computed = {
            "identity": self.model_copy(update={"combination": without}).identity,
            "code": {role: [plugin.version, plugin.source] for role, plugin in self.plugins.items()},
            "versions": self.versions,
            "device": self.device,
        }
        return canonical.digest(computed)


MAX_STEM = 180  # file systems end at 255 bytes; digest and endings come on top
