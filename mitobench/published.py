"""What others have published, by data set and protocol: `registry/published/*.toml`. Read, never measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mitobench import registry
from mitobench.errors import MitobenchError, wrong_fields

Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1)]

TOLERANCE = 0.0015  # three decimals of precision and recall leave F1 that uncertain


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Method(_Strict):
    """One published row.

    Attributes:
        name: of the method.
        precision, recall: None where not published.
        f1: as published, also where it does not follow from the two.
        threshold: of the score, where the source says one.
        seconds_a_frame: with the hardware in `note`.
        table: its number in Li et al. 2018; None for what is in no table there.
        source: full citation.
        note: what a reader of the number should know.
    """

    name: Text
    precision: Share | None = None
    recall: Share | None = None
    f1: Share
    threshold: Share | None = None
    seconds_a_frame: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    table: Annotated[int, Field(ge=1)] | None = None
    source: Text
    note: str = ""

    @property
    def f1_follows(self) -> bool:
        """Whether F1 agrees with precision and recall, within rounding; True where one of them is not published."""
        if self.precision is None or self.recall is None:
            return True
        total = self.precision + self.recall
        return abs(self.f1 - (2 * self.precision * self.recall / total if total else 0.0)) <= TOLERANCE


class Published(_Strict):
    """What is published for a data set under a protocol. Rows of different protocols are never ranked together."""

    dataset: Text
    protocol: Text
    title: Text
    notes: Annotated[tuple[str, ...], Field(strict=False)] = ()
    method: Annotated[tuple[Method, ...], Field(strict=False, min_length=1)]


def read(dataset: str, protocol: str) -> Published | None:
    """The registry's numbers; None where it has none. Raises MitobenchError for a file that is broken."""
    path = registry.ROOT / "published" / f"{dataset}-{protocol}.toml"
    return read_file(path) if path.is_file() else None


def read_file(path: Path) -> Published:
    """The numbers in a TOML file. Raises MitobenchError naming the file and every field that is wrong."""
    try:
        return Published.model_validate(registry.read_toml(path))
    except ValidationError as reason:
        wrong = wrong_fields(reason)
        raise MitobenchError(f"{path}: holds no published numbers: {wrong}.") from reason
