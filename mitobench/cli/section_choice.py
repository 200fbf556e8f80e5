"""Chooses sections of a leaderboard by the options that its commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitobench.errors import MitobenchError, listed, nearest

if TYPE_CHECKING:
    from mitobench.report.table import Section

MAX_NAMES = 30

OfTitle = Annotated[str | None, typer.Option(help="Only sections whose title or name contains this text.")]
OfDataset = Annotated[str | None, typer.Option(help="Only sections of this data set.")]
OfProtocol = Annotated[str | None, typer.Option(help="Only sections of this protocol.")]


def sections_of(records: Path, section: str | None, dataset: str | None, protocol: str | None) -> list[Section]:
    """Reads the records of a folder, and returns the sections that match. Records that fail the checks are left out.

    Raises MitobenchError if none matches; an unknown data set or protocol gives the nearest that there is.
    """
    from mitobench.report.build import read_sections
    from mitobench.results.check import verified_all

    every = read_sections(records, verified_all)
    found = [
        one
        for one in every
        if (dataset or one.dataset) == one.dataset
        and (protocol or one.protocol) == one.protocol
        and (section or "").lower() in f"{one.title}\n{one.name}".lower()
    ]
    if found or not (section or dataset or protocol):
        return found
    for option, value, there in (
        ("--dataset", dataset, {one.dataset for one in every}),
        ("--protocol", protocol, {one.protocol for one in every}),
    ):
        if value is not None and there and value not in there:
            raise MitobenchError(f"{records}: no section matches {option} {value}. {nearest(value, there)}")
    names = listed([one.name for one in every], MAX_NAMES) or "none, as there are no records"
    raise MitobenchError(f"{records}: no section matches. Available: {names}.")
