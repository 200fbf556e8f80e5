"""`dataset.toml`: what a folder of images does not say by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveFloat, ValidationError, field_validator

from mitobench import foreign
from mitobench.api import Domains
from mitobench.datasets.card import CutOffTable
from mitobench.errors import DataError, wrong_fields
from mitobench.foreign.classes import class_column, meaning, same
from mitobench.foreign.limits import MAX_CONFIG_BYTES
from mitobench.foreign.strict import Strict

FILE = "dataset.toml"
MAX_TITLE = 100  # letters
Boxes = Literal["corners", "xywh", "centre"]

MITOSIS = ("mitosis", "mitoses", "mitotic figure", "mitotic", "mf")
IMPOSTER = (
    *("imposter", "imposters", "hard negative", "non-mitotic figure", "not mitotic figure", "non-mitosis"),
    *("nonmitosis", "not mitosis", "mitosis-like", "mitotic-like figure", "non-mitotic"),
)


def _one_line(value: str) -> str:
    if foreign.printable(value, None) != value:
        raise ValueError("must be one line without control characters")
    return value


Title = Annotated[str, Field(min_length=1, max_length=MAX_TITLE), AfterValidator(_one_line)]


def as_title(text: str) -> str:
    """Returns a text without what a `Title` may not have; perhaps empty."""
    return foreign.printable(text, None)[:MAX_TITLE]


class FolderSettings(Strict):
    """The content of `dataset.toml`; every key may be left out.

    Attributes:
        title: what tables call the data set; default: its name in mitobench.
        annotations: the annotation file, or a pattern such as `*.geojson`; default: the only one in the folder.
        images: if `annotations` is a list of COCO results: a COCO file in the folder whose `images` say which file an
            `image_id` means, and whose `categories`, what a class is called.
        mpp: um/px, for images that do not say it.
        radius_um: a detection closer than this to a mitosis is a hit, um.
        boxes: what four numbers of a box are: two corners; x and y of the upper left corner, width and height; or x and
            y of the centre, width and height.
        class_column: the column (GeoJSON: property, COCO: key) that holds the classes; `none`: none does; default: it
            is found by its name.
        mitosis, imposter, ignore: names of the classes beside the usual ones, in any letter case.
        unannotated: whether an image without an annotation is `unlabelled` or `empty` (it was searched).
        slide: a regular expression whose first group is the slide in an image's name; default: the patient, case or
            slide that the annotation gives beside the image, else the image's folder, or its name if it is in none.
        domains: domains that all images share.
        cut_offs: the classes of grading by mitoses per mm2, by tumour type, as on a card.
    """

    title: Title | None = None
    annotations: str = ""
    images: str = ""
    mpp: PositiveFloat | None = None
    radius_um: PositiveFloat = 7.5
    boxes: Boxes | None = None
    class_column: str = ""
    mitosis: tuple[str, ...] = MITOSIS
    imposter: tuple[str, ...] = IMPOSTER
    ignore: tuple[str, ...] = ()
    unannotated: Literal["unlabelled", "empty"] = "unlabelled"
    slide: str = ""
    domains: dict[str, str] = Field(default_factory=dict)
    cut_offs: CutOffTable = ()

    @field_validator("domains")
    @classmethod
    def _known_domains(cls, value: dict[str, str]) -> dict[str, str]:
        try:
            Domains(value)
        except DataError as reason:
            raise ValueError(str(reason)) from reason
        return value

    @field_validator("slide")
    @classmethod
    def _one_group(cls, value: str) -> str:
        try:
            groups = re.compile(value).groups
        except re.error as reason:
            raise ValueError(f"is not a regular expression: {reason}") from reason
        if value and (groups != 1 or len(value) > 200):
            raise ValueError("must have exactly one group in parentheses, for example ^(\\w+?)_")
        return value

    def column_of_classes(self, columns: Mapping[str, Sequence[str]], path: Path) -> str | None:
        """The column that holds the classes, given the values of all; None without one. DataError if it is unclear."""
        return class_column(columns, self.class_column or None, str(path), _class_line, DataError)

    def is_mitosis(self, label: str, where: str) -> bool | None:
        """Whether a class is a mitosis; None if it is ignored. Raises DataError for a class that is not listed."""
        for names, answer in ((self.mitosis, True), (self.imposter, False), (self.ignore, None)):
            if any(same(label, name) for name in names):
                return answer
        usual = meaning(label)
        if usual is not None:
            return usual
        raise DataError(
            f"{where}: unknown class {foreign.printable(repr(label), 60)}. Write in {FILE} what it is, for example: "
            f"mitosis = [{label!r:.40}], or the same for imposter or ignore."
        )


def _class_line(name: str) -> str:
    return f"write in {FILE}: class_column = {json.dumps(name, ensure_ascii=False)}"


def read_settings(folder: Path) -> FolderSettings:
    """Reads `dataset.toml` of a folder; the defaults if there is none. Raises DataError naming file and key."""
    path = folder / FILE
    if not path.exists():
        return FolderSettings()
    content = foreign.read_toml(path, MAX_CONFIG_BYTES, FILE, DataError)
    try:
        return FolderSettings.model_validate(content)
    except ValidationError as reason:
        wrong = wrong_fields(reason, known=FolderSettings.model_fields)
        raise DataError(
            f"{path}: {wrong}. Correct it, or delete it and make it anew: mitobench data init {folder}"
        ) from reason
