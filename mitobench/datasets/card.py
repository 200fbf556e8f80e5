"""A data set's card: what a complete copy holds, its resolution and its matching radius."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
)

from mitobench import registry
from mitobench.errors import MitobenchError, wrong_fields


class Expected(BaseModel):
    """What one official part of a complete copy holds, for one scanner; None: not published."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    frames: int | None = None
    mitoses: int | None = None
    imposters: int | None = None
    labelled: bool = True


class Cohort(BaseModel):
    """Slides that were made alike: `slides` is a range such as `001-050`, both ends included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slides: str
    scanner: str = ""
    tumour: str = ""
    lab: str = ""
    species: str = ""
    labelled: bool = True

    @property
    def names(self) -> frozenset[str]:
        """The names of the slides."""
        return slide_names((self.slides,))


class CutOffs(BaseModel):
    """The classes that mitoses per mm2 divide the cases of one tumour type into.

    Attributes:
        tumour: the tumour type, spelled as the frames' domain.
        per_mm2: mitoses per mm2 at which the next class begins, ascending.
        source: where they are published.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tumour: str = Field(min_length=1)
    per_mm2: tuple[PositiveFloat, ...] = Field(min_length=1)
    source: str = Field(min_length=1)

    @field_validator("per_mm2")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError("must be in ascending order, each number once")
        return value


def _each_tumour_once(value: tuple[CutOffs, ...]) -> tuple[CutOffs, ...]:
    if len({found.tumour for found in value}) < len(value):
        raise ValueError("must name each tumour type once")
    return value


CutOffTable = Annotated[tuple[CutOffs, ...], AfterValidator(_each_tumour_once)]


def slide_names(ranges: Iterable[str]) -> frozenset[str]:
    """Returns the slides in ranges such as `001-150`, and those named singly."""
    return frozenset(name for text in ranges for name in _range(text))


def _range(text: str) -> list[str]:
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal()):
        return [text]
    return [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]


class Card(BaseModel):
    """A data set's description, read from `registry/datasets/NAME.toml`.

    Attributes:
        name: name of the data set, as in `--dataset`.
        title: the full name, shown to users.
        radius_um: a detection closer than this to a mitosis is a hit, um.
        mpp: um/px along x and y, by scanner.
        frame_size: width and height of a frame, px, by scanner, where all frames have about one size.
        has_masks: whether every mitosis is annotated with its pixels.
        has_imposters: whether imposters (hard negatives: annotated figures that are not mitoses) are annotated.
        protocols: names of the available splits; the first is the default. Empty if users must give their own split.
        test_groups, test_fields: the official test part as slides or as fields of view, if the data set defines it so.
        expected: what a complete copy holds, by scanner and official part.
        slides: labelled slides or cases of a complete copy; None: not published, or `expected` says enough.
        frames_with_mitosis: labelled frames of one scanner with at least one mitosis; None: not published.
        area_mm2: what every image shows, mm2. Readers derive the um/px of images that do not say it from this and
            their size, and note so; without it, such images have `mpp`.
        cohorts: what is known of ranges of slides: their scanner and domains, and whether they are labelled.
        domains: domains that all frames share (tumour, lab, species, ...).
        scanners: full names of the scanners, by the scanner's short name as in `mpp`.
        contains: slides of this data set that another data set is made of, by that data set's name: single slides and
            ranges, such as "001-150". The slides have the same names in both.
        contained_in: the same in the other direction, for data sets that have no card here.
        duplicates: what two annotations of one figure count as: `once` (the default), or `all`.
        cut_offs: the classes of grading by mitoses per mm2, by tumour type.
        images_from: where to get the images.
        notes: what a reader of results should know.
        citation, licence, url: source and terms of use.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    radius_um: PositiveFloat
    mpp: dict[str, tuple[float, float]]
    frame_size: dict[str, tuple[PositiveInt, PositiveInt]] = {}
    has_masks: bool
    has_imposters: bool
    protocols: tuple[str, ...]
    test_groups: tuple[str, ...] = ()
    test_fields: tuple[str, ...] = ()
    expected: dict[str, dict[str, Expected]] = {}
    slides: PositiveInt | None = None
    frames_with_mitosis: int | None = None
    area_mm2: PositiveFloat | None = None
    cohorts: tuple[Cohort, ...] = ()
    domains: dict[str, str] = {}
    scanners: dict[str, str] = {}
    contains: dict[str, tuple[str, ...]] = {}
    contained_in: dict[str, tuple[str, ...]] = {}
    duplicates: Literal["once", "all"] = "once"
    cut_offs: CutOffTable = ()
    images_from: str = ""
    notes: tuple[str, ...] = ()
    citation: str = ""
    licence: str = ""
    url: str = ""

    @property
    def cut_offs_by_tumour(self) -> dict[str, list[float]]:
        """Mitoses per mm2 at which the next class begins, by tumour type, as a record has them."""
        return {found.tumour: list(found.per_mm2) for found in self.cut_offs}

    def domains_of(self, scanner: str) -> dict[str, str]:
        """Returns the domains of frames of a scanner, as far as the card knows them."""
        return {"scanner": self.scanners.get(scanner, scanner), **self.domains}

    def cohort_of(self, slide: str) -> Cohort | None:
        """Returns the cohort of a slide; None if the card has none for it."""
        return next((cohort for cohort in self.cohorts if slide in cohort.names), None)

    @property
    def default_protocol(self) -> str:
        """The first protocol. Raises MitobenchError if the card names none."""
        if not self.protocols:
            raise MitobenchError(
                f"The card of data set {self.name!r} lists no protocol (protocols = []). "
                "List one that has a split, or give your own split with --protocol FILE.json."
            )
        return self.protocols[0]

    @classmethod
    def load(cls, path: Path) -> Card:
        """Reads a card from a TOML file. Raises MitobenchError naming the file and every invalid field."""
        try:
            return cls.model_validate(registry.read_toml(path))
        except ValidationError as reason:
            wrong = wrong_fields(reason, known=cls.model_fields)
            raise MitobenchError(f"{path}: is not a valid data set card: {wrong}.") from reason
