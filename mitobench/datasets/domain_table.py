"""Counts what a data set holds by tumour type: slides, scanners, laboratories, annotations and official parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mitobench.datasets.dataset import Item
from mitobench.datasets.spans import spans


@dataclass(frozen=True)
class DomainRow:
    """The slides of one tumour type, labelled or not; `tumour` is `all` in the row of sums.

    `scanners`, `labs` and `species` list the values that occur; a laboratory or scanner that is not the only one has
    its number of slides or its slides behind it.
    """

    tumour: str
    slides: int
    ids: str
    scanners: str
    labs: str
    species: str
    mitoses: int
    imposters: int
    train: int
    test: int
    labelled: bool = True


def domain_rows(items: Sequence[Item]) -> tuple[DomainRow, ...]:
    """Returns a row a tumour type in the order of the slides, unlabelled slides apart, and the sums of labelled ones.

    Empty if the frames are not of several tumour types, scanners or laboratories.
    """
    values = [
        (i.frame.domains.get("tumour"), i.frame.domains.get("scanner"), i.frame.domains.get("lab")) for i in items
    ]
    if len(set(values)) < 2:
        return ()
    groups: dict[tuple[bool, str], list[Item]] = {}
    for item in items:
        key = (not item.mitoses.labelled, item.frame.domains.get("tumour", "not known"))
        groups.setdefault(key, []).append(item)
    rows = [_row(tumour, own, not bare) for (bare, tumour), own in sorted(groups.items(), key=lambda pair: pair[0][0])]
    labelled = [item for item in items if item.mitoses.labelled]
    return (*rows, _row("all", labelled, True, sums=True))


def _row(tumour: str, items: Sequence[Item], labelled: bool, sums: bool = False) -> DomainRow:
    slides = {item.frame.group: item for item in items}
    parts = Counter(item.part for item in slides.values())
    shown = ("", "", "", "") if sums else (spans(list(slides)), *_domains(slides.values()))
    return DomainRow(
        tumour,
        len(slides),
        *shown,
        sum(len(item.mitoses) for item in items),
        sum(len(item.mitoses.imposters) for item in items),
        parts["train"],
        parts["test"],
        labelled,
    )


def _domains(items: Iterable[Item]) -> tuple[str, str, str]:
    items = list(items)
    by_scanner: dict[str, list[str]] = {}
    for item in items:
        by_scanner.setdefault(item.frame.domains.get("scanner", ""), []).append(item.frame.group)
    scanners = [f"{name} {spans(own)}" if len(by_scanner) > 1 else name for name, own in by_scanner.items()]
    labs = Counter(item.frame.domains.get("lab", "") for item in items)
    laboratories = [f"{name} {count}" if len(labs) > 1 else name for name, count in labs.most_common()]
    species = sorted({item.frame.domains.get("species", "") for item in items})
    return ", ".join(scanners), ", ".join(laboratories), ", ".join(species)
