"""Splits that are computed from a data set's slides and domains, for every data set with enough of them.

    all                         one split by slide, 60 : 20 : 20, every domain in every part as far as possible
    cv-by-slide                 K folds by slide: every slide is tested once
    leave-one-domain-out-KIND   a fold for each value of a domain (scanner, tumour, lab, species, region): tested on its
                                frames, trained on those of all others
    single-domain-KIND          a fold for each value: trained on its frames, tested on frames of every value

A slide may have frames of several values, such as scans by two scanners. It is never trained and tested on in one fold:
a slide with a frame of the tested value is tested on these frames, and its other frames are in no part.

A fold is a split of its own, named `PROTOCOL-IofK`; a row of a leaderboard pools the folds that test every slide once.
A registry or package may hold the folds of a data set as split files of these names; then those are used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from mitobench.datasets import fold_parts
from mitobench.datasets.dataset import Dataset
from mitobench.datasets.fold_names import (
    ALL,
    BY_SLIDE,
    FEW_SLIDES,
    LEAVE_OUT,
    MIN_SLIDES,
    SINGLE,
    base_of,
    fold_of,
    is_computed,
    kind_of,
    of_card,
    pools,
)
from mitobench.datasets.splits import PARTS, Split, SplitFile, assign, load_split, protocols
from mitobench.errors import DataError, MitobenchError

__all__ = [
    "ALL",
    "BY_SLIDE",
    "LEAVE_OUT",
    "SINGLE",
    "applied",
    "computed",
    "expand",
    "few_slides",
    "find_split",
    "fold_of",
    "is_computed",
    "may_have_folds",
    "note_of",
    "of_card",
    "pools",
]

FOLDS = 5  # of `cv-by-slide`, where it is not said how many


def may_have_folds(dataset: str, protocol: str) -> bool:
    """Returns whether a protocol may have folds. Says so without reading the data set."""
    base = base_of(protocol)[0]
    return fold_of(protocol) is None and (is_computed(protocol) or bool(list(_stored(dataset, base, None))))


def check_single(dataset: str, protocol: str) -> None:
    """Raises MitobenchError for a protocol that may have several folds, where one split is needed."""
    if base_of(protocol)[0] != ALL and may_have_folds(dataset, protocol):
        raise MitobenchError(
            f"The protocol {protocol} of {dataset} has several folds, and a row of a table has one split. Name one of "
            "the folds, as in cv-by-slide-1of3, or use [[grid]] in place of [[row]]."
        )


def expand(dataset: Dataset, protocol: str) -> list[str]:
    """Returns the names of all folds of a protocol: `["cv-by-slide-1of3", ...]`; a name of another protocol alone.

    `cv-by-slide-of10` has 10 folds. Raises DataError if the data set has too few slides or values.
    """
    if fold_of(protocol):
        return [protocol]
    base, wanted = base_of(protocol)
    stored = sorted(_stored(dataset.name, base, wanted), key=lambda name: fold_of(name) or ("", 0, 0))
    if stored:
        return stored
    if not is_computed(protocol) or base == ALL:
        return [protocol]
    count = wanted or _count(dataset, base)
    return [f"{base}-{number}of{count}" for number in range(1, count + 1)]


def _stored(dataset: str, base: str, wanted: int | None) -> Iterable[str]:
    """Yields the split files of a protocol's folds; if there are several sets of folds, of the smallest."""
    found = [(name, fold_of(name)) for name in protocols(dataset)]
    folds = [(name, fold) for name, fold in found if fold and fold[0] == base]
    count = wanted or min((fold[2] for _, fold in folds), default=0)
    return [name for name, fold in folds if fold[2] == count]


def _count(dataset: Dataset, base: str) -> int:
    if base == BY_SLIDE:
        groups = len(fold_parts.mitoses_of(dataset))
        if groups < 3:
            raise DataError(f"{dataset.name}: {base} needs 3 labelled slides or more; this copy has {groups}.")
        return min(FOLDS, groups)
    return len(fold_parts.values_of(dataset, base))


def find_split(dataset: Dataset, protocol: str) -> SplitFile:
    """Returns the split of this copy of a data set under a protocol, computed or from a file.

    Raises MitobenchError for an unknown protocol, DataError if the copy has too few slides or values.
    """
    if is_computed(protocol) and protocol not in protocols(dataset.name):
        return computed(dataset, protocol)
    return load_split(dataset.name, protocol)


def applied(dataset: Dataset, split: SplitFile, needed: Sequence[str] | None = None) -> Split:
    """Returns the parts of this copy under a split; `needed`: see `splits.assign`.

    Raises what `splits.assign` raises, and DataError for a fold without a mitosis in one of its parts.
    """
    assigned = assign(split, dataset, needed)
    for part in (PARTS if needed is None else needed) if fold_of(split.protocol) else ():
        if not any(len(dataset.items[id].mitoses) for id in assigned.parts[part]):
            slides = assigned.groups[part]
            raise DataError(
                f"{dataset.name}, {split.protocol}: no mitosis is annotated in its {part} part (slides "
                f"{' '.join(slides[:8])}{' ...' if len(slides) > 8 else ''}), so nothing can be learned, chosen or "
                "measured there. Use fewer folds or another protocol, or add slides."
            )
    return assigned


def few_slides(dataset: Dataset, tested: Collection[str]) -> str:
    """Says how every slide can be tested where a split tests fewer than three; empty where that cannot be done."""
    can_be_folded = len(fold_parts.mitoses_of(dataset)) >= MIN_SLIDES
    return FEW_SLIDES if len(tested) < MIN_SLIDES and can_be_folded else ""


def note_of(dataset: str, protocol: str) -> str:
    """Returns what a protocol is, in a sentence, without reading the data set; of several folds, that of the first."""
    stored = sorted(_stored(dataset, *base_of(protocol))) if may_have_folds(dataset, protocol) else []
    if is_computed(protocol) and not stored and protocol not in protocols(dataset):
        return "Computed from the slides of your copy."
    return load_split(dataset, stored[0] if stored else protocol).note


def computed(dataset: Dataset, protocol: str) -> SplitFile:
    """Returns a computed split of this copy of a data set. The same copy always gives the same.

    Raises MitobenchError for a name that is not computed, DataError if the data set has too few slides or values.
    """
    base, _ = base_of(protocol)
    fold = fold_of(protocol)
    if base == ALL:
        return fold_parts.split_of(
            dataset,
            protocol,
            *fold_parts.all_parts(dataset),
            note="By slide; every domain in every part as far as possible.",
        )
    if fold is None:
        raise MitobenchError(
            f"--protocol {protocol}: has several folds. Name one of them ({', '.join(expand(dataset, protocol)[:3])}, "
            "...), or use `mitobench run`, which runs all."
        )
    number, of = fold[1], fold[2]
    if base == BY_SLIDE:
        parts = fold_parts.by_slide(dataset, number, of)
        note = f"Fold {number} of {of} by slide."
    else:
        values = fold_parts.values_of(dataset, base)
        if of != len(values) or number > of:
            raise DataError(
                f"{dataset.name}: {protocol} does not exist: this copy has {len(values)} values of "
                f"{kind_of(base)}: {', '.join(values)}."
            )
        return fold_parts.by_domain(dataset, protocol, values, list(values)[number - 1])
    return fold_parts.split_of(dataset, protocol, *parts, note=note)
