"""A data set's card: what a complete copy holds, and at what scale."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, PositiveFloat, ValidationError

from mitobench import registry
from mitobench.errors import MitobenchError, wrong_fields


class Expected(BaseModel):
    """What one scanner's official part holds in a complete copy; None: not published."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    frames: int | None = None
    mitoses: int | None = None
    imposters: int | None = None
    labelled: bool = True


class Card(BaseModel):
    """What is known of a data set: `registry/datasets/NAME.toml`.

    Attributes:
        name: of the data set, as in `--dataset`.
        title: for people.
        radius_um: a detection nearer than this to a mitosis is a hit, um.
        mpp: um/px along x and y, by scanner.
        has_masks: whether every mitosis comes with its pixels.
        has_imposters: whether look-alikes are annotated.
        protocols: the splits that exist; the first is the default. Empty where the user must give a split.
        test_groups, test_fields: the official test part, where it is known by slide or by field.
        expected: what a complete copy holds, by scanner and official part.
        frames_with_mitosis: labelled frames of one scanner that hold a mitosis; None: not published.
        notes: what a reader of results should know.
        citation, licence, url: where it comes from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    radius_um: PositiveFloat
    mpp: dict[str, tuple[float, float]]
    has_masks: bool
    has_imposters: bool
    protocols: tuple[str, ...]
    test_groups: tuple[str, ...] = ()
    test_fields: tuple[str, ...] = ()
    expected: dict[str, dict[str, Expected]] = {}
    frames_with_mitosis: int | None = None
    notes: tuple[str, ...] = ()
    citation: str = ""
    licence: str = ""
    url: str = ""

    @property
    def default_protocol(self) -> str:
        """The first protocol. Raises MitobenchError where the card names none."""
        if not self.protocols:
            raise MitobenchError(
                f"The card of data set {self.name!r} names no protocol (protocols = []). "
                "Name one there that has a split, or give a split of your own with --protocol FILE.json."
            )
        return self.protocols[0]

    @classmethod
    def load(cls, path: Path) -> Card:
        """The card in a TOML file. Raises MitobenchError naming the file and every field that is wrong."""
        try:
            return cls.model_validate(registry.read_toml(path))
        except ValidationError as reason:
            wrong = wrong_fields(reason)
            raise MitobenchError(f"{path}: is no data set's card: {wrong}.") from reason
