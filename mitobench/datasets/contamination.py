"""Which test slides may have been seen before: by declared data sets, by slide, and by image."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from mitobench import discovery
from mitobench.datasets.card import Card, slide_names
from mitobench.datasets.dataset import Dataset, Item
from mitobench.datasets.duplicates import Duplicate, find
from mitobench.datasets.looks import Progress, fingerprints, is_made_here
from mitobench.datasets.reader import reader
from mitobench.errors import MitobenchError


def shared_slides(tested: Card, other: str) -> frozenset[str] | None:
    """Returns the slides of a data set that are part of another one, as cards declare; None: all of them.

    Declarations are followed from card to card: if X and Z both contain slide 001 of Y, then X and Z share it.

    Args:
        tested: card of the data set that is tested on.
        other: name of a data set that was trained on. It need not have a reader here.
    """
    if other == tested.name:
        return None
    links = _links([tested, *_cards(tuple(discovery.names("dataset")))])
    found: dict[str, frozenset[str]] = {}  # the slides of `tested` in each data set that was reached
    reached = list(links.get(tested.name, {}).items())
    while reached:
        name, slides = reached.pop()
        if name != tested.name and not slides <= found.get(name, frozenset()):
            found[name] = found.get(name, frozenset()) | slides
            reached += [(further, slides & shared) for further, shared in links.get(name, {}).items()]
    return found.get(other, frozenset())


def _links(cards: Iterable[Card]) -> dict[str, dict[str, frozenset[str]]]:
    """Returns the slides that two data sets share as a card of one of them declares, by the names of both."""
    links: defaultdict[str, dict[str, frozenset[str]]] = defaultdict(dict)
    for card in cards:
        for other, ranges in (*card.contains.items(), *card.contained_in.items()):
            for one, two in ((card.name, other), (other, card.name)):
                links[one][two] = links[one].get(two, frozenset()) | slide_names(ranges)
    return links


@functools.cache
def _cards(names: tuple[str, ...]) -> list[Card]:
    """Returns the cards of data sets; those of packages that cannot be read are left out."""
    found = []
    for name in names:
        with suppress(MitobenchError):
            found.append(reader(name).card())
    return found


def seen(tested: Card, slides: Iterable[str], other: str) -> list[str]:
    """Returns those of the test slides that a data set may contain, sorted."""
    shared = shared_slides(tested, other)
    return sorted(set(slides) if shared is None else set(slides) & shared)


def note(seen: Sequence[str], slides: Sequence[str], by: str) -> str:
    """The note on test slides that may have been seen."""
    return f"{len(seen)} of {len(slides)} test slides may have been seen, by {by}"


# --------------------------------------------------------------------------------------------------------- by image


def duplicates(items: Mapping[str, tuple[Dataset, Item]], progress: Progress | None = None) -> list[Duplicate]:
    """Returns the pairs of frames that show the same tissue, except those that their ids declare to.

    Frames of one field of view are scans of the same tissue by two scanners.
    """
    found = find(fingerprints(items, progress))
    return [pair for pair in found if _field(*items[pair.one]) != _field(*items[pair.other])]


def _field(dataset: Dataset, item: Item) -> tuple[str, str]:
    return dataset.name, item.field


def in_data(datasets: Mapping[str, Dataset]) -> list[Duplicate]:
    """Returns the pairs of frames of different slides that show the same tissue, by their keys `DATASET/ID`.

    Synthetic frames are not compared. The last result is kept, since the folds of a protocol and the parts of an
    experiment have the same frames.
    """
    global _last
    real = {name: dataset for name, dataset in sorted(datasets.items()) if not is_made_here(name)}
    key = tuple((name, dataset.digest()) for name, dataset in real.items())
    if _last is None or _last[0] != key:
        _last = key, _in_data(real)
    return _last[1]


_last: tuple[tuple[tuple[str, str], ...], list[Duplicate]] | None = None


def _in_data(datasets: Mapping[str, Dataset]) -> list[Duplicate]:
    items = {
        f"{name}/{id}": (dataset, item) for name, dataset in datasets.items() for id, item in dataset.items.items()
    }
    return [pair for pair in duplicates(items) if _slide(*items[pair.one]) != _slide(*items[pair.other])]


def _slide(dataset: Dataset, item: Item) -> tuple[str, str]:
    return dataset.name, item.frame.group


def of_slides(pairs: Iterable[Duplicate], fitted: Iterable[str], test: Iterable[str]) -> Iterator[str]:
    """Yields the keys of test frames that show the same tissue as a frame that was trained or chosen on."""
    learned, tested = set(fitted), set(test)
    for pair in pairs:
        for one, other in ((pair.one, pair.other), (pair.other, pair.one)):
            if one in tested and other in learned:
                yield one
