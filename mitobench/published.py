"""Reads published results by data set and protocol, from `registry/published/*.toml`. None of them is measured here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from mitobench import registry
from mitobench.errors import MitobenchError, wrong_fields
from mitobench.foreign.strict import Strict

Share = Annotated[float, Field(ge=0, le=1)]
Size = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]

TOLERANCE = 0.0015  # uncertainty of F1 that follows from three decimals of precision and recall


class Method(Strict, strict=True):
    """One published row.

    Attributes:
        name: name of the method.
        precision, recall: None if not published.
        f1: as published, even if it does not follow from precision and recall.
        threshold: threshold on the score; None if the source gives none.
        rule: the rule that decided what is a hit, by the name of the matcher here that does the same; empty: unknown.
        radius_um: radius of a hit, um; None if it is unknown, or published in px.
        radius_px: radius of a hit, px; None if it is unknown, or published in um.
        seconds_a_frame: seconds per frame, on the hardware named in `note`; None if not published.
        table: number of the table in Li et al. 2018; None if the method is in none of its tables.
        source: full citation.
        note: what readers should know about the numbers.
    """

    name: Text
    precision: Share | None = None
    recall: Share | None = None
    f1: Share
    threshold: Share | None = None
    rule: str = ""
    radius_um: Size | None = None
    radius_px: Size | None = None
    seconds_a_frame: Size | None = None
    table: Annotated[int, Field(ge=1)] | None = None
    source: Text
    note: str = ""

    @property
    def f1_follows(self) -> bool:
        """Whether F1 agrees with precision and recall, within rounding; True if one of them is not published."""
        if self.precision is None or self.recall is None:
            return True
        total = self.precision + self.recall
        return abs(self.f1 - (2 * self.precision * self.recall / total if total else 0.0)) <= TOLERANCE

    @property
    def hits(self) -> str:
        """What is a hit: `rule mitos, radius 5 um`; what is not known is named so."""
        sizes = [f"{value:g} {unit}" for value, unit in ((self.radius_um, "um"), (self.radius_px, "px")) if value]
        if not self.rule and not sizes:
            return "rule and radius unknown"
        return f"rule {self.rule or 'unknown'}, radius {' or '.join(sizes) or 'unknown'}"


class PublishedResults(Strict, strict=True):
    """Published results for a data set under a protocol. Different protocols are never ranked together.

    Attributes:
        dataset, protocol: their names here.
        title: data set and test frames in words.
        no_split: why there is no split of this name, so that no row can be measured beside these; empty: there is one.
        notes: what holds for all methods.
        method: the methods.
    """

    dataset: Text
    protocol: Text
    title: Text
    no_split: str = ""
    notes: Annotated[tuple[str, ...], Field(strict=False)] = ()
    method: Annotated[tuple[Method, ...], Field(strict=False, min_length=1)]


def read(dataset: str, protocol: str) -> PublishedResults | None:
    """Returns the published results in the registry, or None. Raises MitobenchError for a file that is not valid."""
    path = registry.ROOT / "published" / f"{dataset}-{protocol}.toml"
    return read_file(path) if path.is_file() else None


def read_all() -> list[PublishedResults]:
    """Returns all published results in the registry, by data set and protocol. Raises what `read_file` raises."""
    return [read_file(path) for path in sorted((registry.ROOT / "published").glob("*.toml"))]


def read_file(path: Path) -> PublishedResults:
    """Reads published results from a TOML file. Raises MitobenchError with the file and its wrong fields."""
    try:
        return PublishedResults.model_validate(registry.read_toml(path))
    except ValidationError as reason:
        wrong = wrong_fields(reason)
        raise MitobenchError(f"{path}: is not a file of published results: {wrong}.") from reason
