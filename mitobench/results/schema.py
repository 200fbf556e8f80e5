"""Defines what a record holds (schema 2): one combination and seed, with everything that its numbers follow from.

The content of a record (what was computed, from what) is separate from its run (when, where, how long): the same
command on the same machine gives equal content twice. Numbers that follow from others are not trusted: `recompute`
computes them again from the frames and detections in the record.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from mitobench.datasets.folder_settings import Title
from mitobench.evaluate import BoxScores, FrameEntry, Metrics, OperatingPoint
from mitobench.foreign.limits import MAX_SEED
from mitobench.pipeline import canonical
from mitobench.pipeline.workspace import validation_sets
from mitobench.results.current_names import current_options
from mitobench.results.option_files import FileEntry, Place
from mitobench.results.ranges import MAX_VALUE
from mitobench.weights_search import MAX_LEARNED_FROM, MAX_LEARNED_FROM_TEXT

SCHEMA_VERSION: Literal[2] = 2

ROLES = ("estimator", "detector", "verifier", "fuser")
UNUSED = "-"  # the estimator's name where the detector does not use boxes

SCORES = ("chosen", "validation", "test", "detector_alone", "detections")  # fields that every record with scores has


Seconds = Annotated[float, Field(ge=0, le=MAX_VALUE)]
LearnedFrom = Annotated[str, Field(max_length=MAX_LEARNED_FROM_TEXT)]
Count = Annotated[int, Field(ge=0, le=MAX_VALUE)]


class RecordPart(BaseModel):
    """Rejects unknown fields, and numbers that are infinite or NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PluginEntry(RecordPart):
    """A plugin that took part.

    Attributes:
        options: as they are in the stage's key: a file is replaced by its SHA-256.
        variant: the options that a table shows next to its name.
        files: the files among the options, by the name of the option.
        trained_on: the data sets that its published weights have seen, as its card says; left out if there are none.
        learned_from: with weights of another record (`pretrained=record:`), the data sets, each with its protocol, that
            those had been trained on; left out if there are none.
    """

    name: str
    version: str
    source: str
    options: dict[str, Any]
    variant: dict[str, Any] = {}
    files: dict[Place, FileEntry] = {}
    trained_on: list[str] = []
    learned_from: list[LearnedFrom] = Field(default=[], max_length=MAX_LEARNED_FROM)

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out what is empty of the last two, so that records from before them keep their digests."""
        fields: dict[str, Any] = serialize(self)
        return {k: v for k, v in fields.items() if v or k not in ("trained_on", "learned_from")}


class SplitEntry(RecordPart):
    """The split that was used.

    Attributes:
        name, protocol, note: from the split's file.
        digest: SHA-256 of its content.
        content: the split itself; None for a split of the registry.
        together_with: data sets of the run whose splits belong to it; left out if there are none.
    """

    name: str
    protocol: str
    digest: str
    note: str
    content: dict[str, Any] | None = None
    together_with: list[str] = []

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out an empty `together_with`, so that records from before it keep their digests."""
        fields: dict[str, Any] = serialize(self)
        return fields if fields.get("together_with") else {k: v for k, v in fields.items() if k != "together_with"}


class DataEntry(RecordPart):
    """A data set that took part.

    Attributes:
        digest: of the files and annotations of all frames, by part (`train`, `val`, `test`).
        frames: number of frames, by part.
        coverage: which part of the data set was available; None: all of it.
        scanners: whose frames were used; None: unknown, in a migrated record.
        split: which frames train, validate and test.
        title: what tables call it, where its own files say so; left out otherwise.
    """

    digest: dict[str, str]
    frames: dict[str, Count]
    coverage: str | None
    scanners: list[str] | None
    split: SplitEntry
    title: Title | None = None

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out a missing `title`, so that records from before it keep their digests."""
        fields: dict[str, Any] = serialize(self)
        return fields if fields.get("title") else {k: v for k, v in fields.items() if k != "title"}


class ValidationChoices(RecordPart):
    """What validation chose.

    Attributes:
        candidate_threshold: only detections with a higher detector score were ranked; None: all were.
        fuser: what the fuser chose (for `linear` the weight, and F1 at each weight).
        point: threshold of the fused score, with the scores on validation.
        detector_alone: the same for the detector's score.
    """

    candidate_threshold: float | None
    fuser: dict[str, Any]
    point: OperatingPoint
    detector_alone: OperatingPoint


class Frames(RecordPart):
    """The frames on which thresholds were chosen (`val`), and those that were scored (`test`)."""

    val: list[FrameEntry]
    test: list[FrameEntry]


class DetectionsEntry(RecordPart):
    """A file of detections next to the record.

    Attributes:
        file: its name.
        rows: number of detections.
        sha256, packed: SHA-256 of its text, and of its compressed bytes.
    """

    file: str
    rows: int
    sha256: str
    packed: str


class Run(RecordPart):
    """When and where the record was made, and how long it took; not part of the content.

    Attributes:
        command: makes this row again; the folder of the data sets is written as DATA.
        seconds: that each stage took, by role, from 0 to a billion.
        cached: roles of the stages whose output was in the store; their seconds are those of an earlier run.
        seconds_a_frame: of detection plus verification, mean over test frames.
        seconds_a_candidate: of verification, mean over the test candidates above the candidate threshold.
        host: the machine, without its name.
        git: commit that mitobench was run from; None outside a checkout.
    """

    command: str
    started: str
    seconds: dict[str, Seconds]
    cached: list[str]
    seconds_a_frame: Seconds | None
    seconds_a_candidate: Seconds | None = None
    host: dict[str, str]
    git: str | None


class EarlierVersion(RecordPart):
    """An earlier version of this record: its schema version, and its digest then."""

    schema_version: int
    digest: str


class RecordedCombination(RecordPart):
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


class Record(RecordPart):
    """One row of a leaderboard.

    Attributes:
        status: `ok`, or `failed` with a reason and no scores.
        combination: names of the parts, data and seed.
        profile, overrides, scale: where the options came from: the profile's name, every `--set`, and the factor on
            all schedules.
        only_scanners: the scanners that the run was limited to; None: it was not limited.
        plugins: by role, each with all its options.
        pipeline: what the harness did between the plugins, with matcher and radius (um), processes of a fit and CPU
            threads of a stage (absent in earlier records, which have `run.host["threads"]`).
        stages: keys of the stages in the store, by role.
        specs: what each key is the digest of; empty in a migrated record.
        training_info: what each fit reported, by role: the number of its training samples, for example.
        notes: what every table must say about this row (synthetic, from scratch, partial data, shared slides).
        frames: the frames of `validation` and `test`.
        boxes: scores of the box estimator against masks, on test frames.
        detections, validation_detections: files next to the record; None if it failed. A migrated record has no
            detections on validation frames, and so no scores over thresholds there.
        migrated: earlier versions of this record, oldest first.
        digest: of all of the above (the content).
        run_digest: of `run`.
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
    chosen: ValidationChoices | None = None
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

    @property
    def choosing(self) -> tuple[str, ...]:
        """The data sets whose validation frames chose the thresholds."""
        tested = self.combination["dataset"]
        return validation_sets(tested, self.combination["train_on"], self.data[tested].split.together_with)

    def content(self) -> dict[str, Any]:
        """Returns everything but the run and the digests, as JSON: equal for equal results."""
        return self.model_dump(mode="json", exclude={"run", "digest", "run_digest"})

    def sealed(self) -> Record:
        """Returns the record with its digests."""
        run = canonical.digest(self.run.model_dump(mode="json"))
        return self.model_copy(update={"digest": canonical.digest(self.content()), "run_digest": run})

    @property
    def stem(self) -> str:
        """The file's name without ending: readable, and unique for what was computed."""
        c = self.combination
        parts = [c["dataset"], c["protocol"], *(c[role] for role in ROLES), f"s{c['seed']}"]
        safe = re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(str(part) for part in parts if part != UNUSED))
        return f"{safe[:MAX_STEM]}-{self.identity[:10]}"

    @property
    def identity(self) -> str:
        """Digest of the request: a repetition has the same, whatever its results, its device and its threads."""
        request = {
            "combination": self.combination,
            "plugins": {role: [p.name, p.options] for role, p in self.plugins.items()},
            "pipeline": {name: value for name, value in self.pipeline.items() if name != "threads"},
            "data": {name: entry.digest for name, entry in self.data.items()},
        }
        together = {name: entry.split.together_with for name, entry in self.data.items() if entry.split.together_with}
        return canonical.digest({**request, "together": together} if together else request)

    @property
    def series(self) -> str:
        """Digest of the request without the seed, and of the code, versions and device.

        Records that share it are seeds of one row. Options count under their current names, so that a record from
        before a rename belongs to the same row as a new one.
        """
        plugins = {role: p.model_copy(update={"options": current_options(role, p)}) for role, p in self.plugins.items()}
        alike = {"combination": {**self.combination, "seed": None}, "plugins": plugins}
        computed = {
            "identity": self.model_copy(update=alike).identity,
            "code": {role: [plugin.version, plugin.source] for role, plugin in self.plugins.items()},
            "versions": self.versions,
            "device": self.device,
        }
        return canonical.digest(computed)


MAX_STEM = 180  # file systems allow 255 bytes; the digest and the ending are added to this
