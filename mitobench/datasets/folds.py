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

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from mitobench.api import DOMAINS
from mitobench.datasets.base import Dataset
from mitobench.datasets.splits import PARTS, Split, SplitFile, SplitPart, SplitParts, assign, load_split, protocols
from mitobench.errors import DataError, MitobenchError

ALL, BY_SLIDE, LEAVE_OUT, SINGLE = "all", "cv-by-slide", "leave-one-domain-out-", "single-domain-"
FOLDS = 5  # of `cv-by-slide`, where it is not said how many
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
VALIDATION_SHARE = 0.25  # of the slides that are not tested on
MAX_FOLDS = 1_000

_FOLD = re.compile(r"(?P<base>.+)-(?P<number>[1-9]\d*)of(?P<of>[1-9]\d*)")
_WHOLE = re.compile(r"(?P<base>.+)-of(?P<of>[1-9]\d*)")

Groups = Sequence[str]
_Slides = Mapping[str, int]  # number of mitoses of each slide, or of its frames of one domain


def fold_of(protocol: str) -> tuple[str, int, int] | None:
    """Returns the protocol of a fold, its number and how many there are: ("cv-by-slide", 2, 5); None for others."""
    found = _FOLD.fullmatch(protocol)
    return (found["base"], int(found["number"]), int(found["of"])) if found else None


def is_computed(protocol: str) -> bool:
    """Returns whether this is the name of a computed protocol, or of a fold of one. Its domain may not exist."""
    base = _base(protocol)[0]
    return base in (ALL, BY_SLIDE) or base.startswith((LEAVE_OUT, SINGLE))


def pools(protocol: str) -> bool:
    """Returns whether the folds of a protocol test every slide once, so that their counts may be summed."""
    return not protocol.startswith(SINGLE)


def _base(protocol: str) -> tuple[str, int | None]:
    """Returns the name without number and count of folds, and the count."""
    fold, whole = fold_of(protocol), _WHOLE.fullmatch(protocol)
    if fold:
        return fold[0], fold[2]
    return (whole["base"], int(whole["of"])) if whole else (protocol, None)


def may_have_folds(dataset: str, protocol: str) -> bool:
    """Returns whether a protocol may have folds. Says so without reading the data set."""
    base = _base(protocol)[0]
    return fold_of(protocol) is None and (is_computed(protocol) or bool(list(_stored(dataset, base, None))))


def expand(dataset: Dataset, protocol: str) -> list[str]:
    """Returns the names of all folds of a protocol: `["cv-by-slide-1of3", ...]`; a name of another protocol alone.

    `cv-by-slide-of10` has 10 folds. Raises DataError if the data set has too few slides or values.
    """
    if fold_of(protocol):
        return [protocol]
    base, wanted = _base(protocol)
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
        groups = len(_mitoses(dataset))
        if groups < 3:
            raise DataError(f"{dataset.name}: {base} needs 3 labelled slides or more; this copy has {groups}.")
        return min(FOLDS, groups)
    return len(_values(dataset, base))


def find_split(dataset: Dataset, protocol: str) -> SplitFile:
    """Returns the split of this copy of a data set under a protocol, computed or from a file.

    Raises MitobenchError for an unknown protocol, DataError if the copy has too few slides or values.
    """
    if is_computed(protocol) and protocol not in protocols(dataset.name):
        return computed(dataset, protocol)
    return load_split(dataset.name, protocol)


def applied(dataset: Dataset, split: SplitFile) -> Split:
    """Returns the parts of this copy under a split.

    Raises what `splits.assign` raises, and DataError for a fold without a mitosis in one of its parts.
    """
    assigned = assign(split, dataset)
    for part in PARTS if fold_of(split.protocol) else ():
        if not any(len(dataset.items[id].mitoses) for id in assigned.parts[part]):
            slides = assigned.groups[part]
            raise DataError(
                f"{dataset.name}, {split.protocol}: no mitosis is annotated in its {part} part (slides "
                f"{' '.join(slides[:8])}{' ...' if len(slides) > 8 else ''}), so nothing can be learned, chosen or "
                "measured there. Use fewer folds or another protocol, or add slides."
            )
    return assigned


def of_card(protocol: str) -> str:
    """Returns the name that a card has for a protocol: that without number and count for a fold."""
    fold = fold_of(protocol)
    return fold[0] if fold else protocol


def note_of(dataset: str, protocol: str) -> str:
    """Returns what a protocol is, in a sentence, without reading the data set; of several folds, that of the first."""
    stored = sorted(_stored(dataset, *_base(protocol))) if may_have_folds(dataset, protocol) else []
    if is_computed(protocol) and not stored and protocol not in protocols(dataset):
        return "Computed from the slides of your copy."
    return load_split(dataset, stored[0] if stored else protocol).note


def computed(dataset: Dataset, protocol: str) -> SplitFile:
    """Returns a computed split of this copy of a data set. The same copy always gives the same.

    Raises MitobenchError for a name that is not computed, DataError if the data set has too few slides or values.
    """
    base, _ = _base(protocol)
    fold = fold_of(protocol)
    if base == ALL:
        return _split(
            dataset, protocol, *_all(dataset), note="By slide; every domain in every part as far as possible."
        )
    if fold is None:
        raise MitobenchError(
            f"--protocol {protocol}: has several folds. Name one of them ({', '.join(expand(dataset, protocol)[:3])}, "
            "...), or use `mitobench run`, which runs all."
        )
    number, of = fold[1], fold[2]
    if base == BY_SLIDE:
        parts = _by_slide(dataset, number, of)
        note = f"Fold {number} of {of} by slide."
    else:
        values = _values(dataset, base)
        if of != len(values) or number > of:
            raise DataError(
                f"{dataset.name}: {protocol} does not exist: this copy has {len(values)} values of "
                f"{_kind(base)}: {', '.join(values)}."
            )
        return _by_domain(dataset, protocol, values, list(values)[number - 1])
    return _split(dataset, protocol, *parts, note=note)


# --------------------------------------------------------------------------------------------------- the protocols


def _all(dataset: Dataset) -> tuple[Groups, Groups, Groups]:
    mitoses, domains = _mitoses(dataset), _domains(dataset)
    parts: dict[str, list[str]] = {name: [] for name in SHARES}
    for groups in _by(domains).values():
        for name, found in zip(SHARES, _shared_out(groups, mitoses, list(SHARES.values())), strict=True):
            parts[name] += found
    return parts["train"], parts["val"], parts["test"]


def _by_slide(dataset: Dataset, number: int, of: int) -> tuple[Groups, Groups, Groups]:
    mitoses = _mitoses(dataset)
    if number > of or not 2 <= of <= min(len(mitoses), MAX_FOLDS):
        raise DataError(
            f"{dataset.name}: {BY_SLIDE} with fold {number} of {of} does not exist: this copy has {len(mitoses)} "
            "labelled slides, and each fold needs one."
        )
    test = _shared_out(list(mitoses), mitoses, [1.0] * of)[number - 1]
    return *_train_and_val([group for group in mitoses if group not in test], mitoses), test


def _by_domain(dataset: Dataset, protocol: str, values: Mapping[str, _Slides], value: str) -> SplitFile:
    """Returns the fold of a value. Where slides have frames of other values, its parts name those that they take."""
    base, kind = _base(protocol)[0], _kind(_base(protocol)[0])
    others = [other for other in values if other != value]
    if base.startswith(LEAVE_OUT):
        parts, learned, tested = _left_out(dataset, protocol, values, value), others, [value]
    else:
        parts, learned, tested = _single(dataset, protocol, values, value), [value], list(values)
    where = [
        {kind: tuple(wanted)} if _has_others(dataset, groups, kind, wanted) else None
        for groups, wanted in zip(parts, (learned, learned, tested), strict=True)
    ]
    note = f"{'Tested on' if base.startswith(LEAVE_OUT) else 'Trained on'} {kind} {value} only."
    return _split(dataset, protocol, *parts, note=note, where=where)


def _has_others(dataset: Dataset, groups: Groups, kind: str, values: Groups) -> bool:
    """Returns whether slides have a frame whose domain is not among the values."""
    frames = [item.frame for item in dataset.items.values() if item.frame.group in groups]
    return any(frame.domains.get(kind) not in values for frame in frames)


def _left_out(
    dataset: Dataset, protocol: str, values: Mapping[str, _Slides], value: str
) -> tuple[Groups, Groups, Groups]:
    test, mitoses = values[value], Counter[str]()
    for other, slides in values.items():
        mitoses.update({slide: number for slide, number in slides.items() if other != value})
    rest = [slide for slide in mitoses if slide not in test]
    if len(rest) < 2:
        kind, both = _kind(_base(protocol)[0]), len(set(mitoses) & set(test))
        why = (
            f" A tested slide is never trained on; tested slides with frames of another {kind}, too: {both}."
            if both
            else ""
        )
        raise DataError(
            f"{dataset.name}, {protocol}: without the slides of {kind} {value}, "
            f"{f'only slide {rest[0]}' if rest else 'no slide'} is left to train and to choose a threshold on.{why} "
            "Add slides, run another fold by its name, or choose another protocol."
        )
    return *_train_and_val(rest, mitoses), list(test)


def _single(
    dataset: Dataset, protocol: str, values: Mapping[str, _Slides], value: str
) -> tuple[Groups, Groups, Groups]:
    """Every value's slides are shared out alike, whichever is trained on: the test slides are always the same.

    A slide with frames of several values is in the same part for all of them.
    """
    shared: dict[str, list[list[str]]] = {}
    part_of: dict[str, int] = {}
    for name, slides in sorted(values.items(), key=lambda entry: len(entry[1])):
        shared[name] = _shared_out(list(slides), slides, list(SHARES.values()), part_of)
        part_of.update({slide: number for number, part in enumerate(shared[name]) for slide in part})
        empty = [part for part, found in zip(SHARES, shared[name], strict=True) if not found]
        if empty:
            raise DataError(
                f"{dataset.name}, {protocol}: no slide of {_kind(_base(protocol)[0])} {name} is left for {empty[0]}: "
                "its slides have frames of other values, too, and are in one part for all. Choose another protocol."
            )
    train, val, _ = shared[value]
    return train, val, sorted({slide for parts in shared.values() for slide in parts[2]})


def _train_and_val(groups: Groups, mitoses: Mapping[str, int]) -> tuple[list[str], list[str]]:
    train, val = _shared_out(groups, mitoses, [1 - VALIDATION_SHARE, VALIDATION_SHARE])
    return train, val


# ----------------------------------------------------------------------------------------------- slides and domains


def _mitoses(dataset: Dataset) -> dict[str, int]:
    """Returns the number of mitoses of each slide with labels, by slide, sorted."""
    found: Counter[str] = Counter()
    for item in dataset.items.values():
        if item.mitoses.labelled:
            found[item.frame.group] += len(item.mitoses)
    return dict(sorted(found.items()))


def _domains(dataset: Dataset) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Returns the domains of each slide with labels: those that its frames have, sorted."""
    found: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
    for item in dataset.items.values():
        if item.mitoses.labelled:
            found[item.frame.group].add(tuple(item.frame.domains.get(kind, "") for kind in DOMAINS))
    return {group: tuple(sorted(values)) for group, values in sorted(found.items())}


def _by(domains: Mapping[str, tuple[tuple[str, ...], ...]]) -> dict[tuple[tuple[str, ...], ...], list[str]]:
    found: defaultdict[tuple[tuple[str, ...], ...], list[str]] = defaultdict(list)
    for group, values in domains.items():
        found[values].append(group)
    return dict(sorted(found.items()))


def _values(dataset: Dataset, base: str) -> dict[str, _Slides]:
    """Returns the slides with labelled frames of each value of a protocol's domain, by value, sorted. Raises DataError.

    A slide may have frames of several values.
    """
    kind = _kind(base)
    if kind not in DOMAINS:
        raise DataError(f"--protocol {base}: {kind!r} is not a domain. Choose among {', '.join(DOMAINS)}.")
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item in dataset.items.values():
        if item.mitoses.labelled and (value := item.frame.domains.get(kind, "")):
            found[value][item.frame.group] += len(item.mitoses)
    if len(found) < 2:
        raise DataError(
            f"{dataset.name}: {base} needs slides of two values of {kind} or more; this copy has "
            f"{', '.join(sorted(found)) or 'none'}."
        )
    few = [value for value, slides in sorted(found.items()) if len(slides) < 3 and base.startswith(SINGLE)]
    if few:
        raise DataError(f"{dataset.name}: {base} needs 3 labelled slides of each {kind}; {few[0]} has fewer.")
    return {value: dict(sorted(slides.items())) for value, slides in sorted(found.items())}


def _kind(base: str) -> str:
    return base.removeprefix(LEAVE_OUT).removeprefix(SINGLE)


def _shared_out(
    groups: Groups, mitoses: Mapping[str, int], shares: Sequence[float], part_of: Mapping[str, int] | None = None
) -> list[list[str]]:
    """Divides slides into parts with these shares of the slides, and about these shares of the mitoses.

    The slides with most mitoses come first, each to the part that lacks most slides, of equals to that with the fewest
    mitoses. No part stays empty where there are slides enough. `part_of`: parts of slides that are already known.
    """
    known = {group: number for group, number in (part_of or {}).items() if group in groups}
    whole, parts = sum(shares), [[group for group in known if known[group] == number] for number in range(len(shares))]
    free = sorted(set(groups) - set(known), key=lambda group: (-mitoses[group], group))
    for place, group in enumerate(free):

        def lack(number: int, parts: Sequence[Groups] = parts) -> tuple[float, float]:
            share, part = shares[number] / whole, parts[number]
            return round(share * len(groups) - len(part), 9), -sum(mitoses[other] for other in part) / share

        empty = [number for number, part in enumerate(parts) if not part]
        parts[max(empty if len(free) - place <= len(empty) else range(len(shares)), key=lack)].append(group)
    return [sorted(part) for part in parts]


def _left_out_note(dataset: Dataset, protocol: str, parts: SplitParts) -> str:
    """Says how many slides are in no part, as they have no labels or not the domain, and how many frames of others."""
    base = _base(protocol)[0]
    if not base.startswith((LEAVE_OUT, SINGLE)):
        number = len({item.frame.group for item in dataset.items.values()} - set(_mitoses(dataset)))
        return f" Slides without labels, which are in no part: {number}." if number else ""
    kind, used = _kind(base), {slide for slides in _values(dataset, base).values() for slide in slides}
    number = len({item.frame.group for item in dataset.items.values()} - used)
    note = f" Slides without labels or without a {kind}, which are in no part: {number}." if number else ""
    frames = sum(
        item.frame.group in (part.groups or ()) and item.frame.domains.get(kind) not in part.where[kind]
        for part in (parts.train, parts.val, parts.test)
        if part.where
        for item in dataset.items.values()
    )
    return (
        f"{note} Frames of these slides with another {kind} or none, which are in no part: {frames}."
        if frames
        else note
    )


def _split(
    dataset: Dataset,
    protocol: str,
    train: Groups,
    val: Groups,
    test: Groups,
    *,
    note: str,
    where: Sequence[Mapping[str, tuple[str, ...]] | None] = (None, None, None),
) -> SplitFile:
    named = dict(zip(PARTS, zip((train, val, test), where, strict=True), strict=True))
    for part, (groups, _) in named.items():
        if not groups:
            raise DataError(f"{dataset.name}, {protocol}: too few slides. Nothing is left for {part}.")
    parts = SplitParts(
        **{
            name: SplitPart(groups=tuple(sorted(groups)), where=dict(values) if values else None)
            for name, (groups, values) in named.items()
        }
    )
    return SplitFile(
        name=f"{dataset.name}-{protocol}",
        dataset=dataset.name,
        protocol=protocol,
        disjoint_by="group",
        note=f"{note} Computed from the slides of this copy.{_left_out_note(dataset, protocol, parts)}",
        parts=parts,
    )
