"""A data set's card: what a complete copy holds, its resolution and its matching radius."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt, ValidationError

from mitobench import registry
from mitobench.errors import MitobenchError, wrong_fields


class Expected(BaseModel):
    """What one official part of a complete copy holds, for one scanner; None: not published."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    frames: int | None = None
    mitoses: int | None = None
    imposters: int | None = None
    labelled: bool = True


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
        frames_with_mitosis: labelled frames of one scanner with at least one mitosis; None: not published.
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
    frames_with_mitosis: int | None = None
    notes: tuple[str, ...] = ()
    citation: str = ""
    licence: str = ""
    url: str = ""

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
            wrong = wrong_fields(reason)
            raise MitobenchError(f"{path}: is not a valid data set card: {wrong}.") from reason
