"""The parts of a fold, computed from a data set's slides, their domains and their numbers of mitoses."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from mitobench.api import DOMAINS
from mitobench.datasets.dataset import Dataset
from mitobench.datasets.fold_names import BY_SLIDE, LEAVE_OUT, SINGLE, base_of, kind_of
from mitobench.datasets.splits import PARTS, SplitFile, SplitPart, SplitParts
from mitobench.errors import DataError

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
VALIDATION_SHARE = 0.25  # of the slides that are not tested on
MAX_FOLDS = 1_000

Groups = Sequence[str]
Slides = Mapping[str, int]  # number of mitoses of each slide, or of its frames of one domain


def all_parts(dataset: Dataset) -> tuple[Groups, Groups, Groups]:
    """Returns the slides of train, val and test, with every domain in every part as far as possible."""
    mitoses, domains = mitoses_of(dataset), _domains(dataset)
    parts: dict[str, list[str]] = {name: [] for name in SHARES}
    for groups in _by(domains).values():
        for name, found in zip(SHARES, _shared_out(groups, mitoses, list(SHARES.values())), strict=True):
            parts[name] += found
    return parts["train"], parts["val"], parts["test"]


def by_slide(dataset: Dataset, number: int, of: int) -> tuple[Groups, Groups, Groups]:
    """Returns the slides of train, val and test of a fold by slide. Raises DataError if there are too few slides."""
    mitoses = mitoses_of(dataset)
    if number > of or not 2 <= of <= min(len(mitoses), MAX_FOLDS):
        raise DataError(
            f"{dataset.name}: {BY_SLIDE} with fold {number} of {of} does not exist: this copy has {len(mitoses)} "
            "labelled slides, and each fold needs one."
        )
    test = _shared_out(list(mitoses), mitoses, [1.0] * of)[number - 1]
    return *_train_and_val([group for group in mitoses if group not in test], mitoses), test


def by_domain(dataset: Dataset, protocol: str, values: Mapping[str, Slides], value: str) -> SplitFile:
    """Returns the fold of a value. Where slides have frames of other values, its parts name those that they take."""
    base, kind = base_of(protocol)[0], kind_of(base_of(protocol)[0])
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
    return split_of(dataset, protocol, *parts, note=note, where=where)


def _has_others(dataset: Dataset, groups: Groups, kind: str, values: Groups) -> bool:
    """Returns whether slides have a frame whose domain is not among the values."""
    frames = [item.frame for item in dataset.items.values() if item.frame.group in groups]
    return any(frame.domains.get(kind) not in values for frame in frames)


def _left_out(
    dataset: Dataset, protocol: str, values: Mapping[str, Slides], value: str
) -> tuple[Groups, Groups, Groups]:
    test, mitoses = values[value], Counter[str]()
    for other, slides in values.items():
        mitoses.update({slide: number for slide, number in slides.items() if other != value})
    rest = [slide for slide in mitoses if slide not in test]
    if len(rest) < 2:
        kind, both = kind_of(base_of(protocol)[0]), len(set(mitoses) & set(test))
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


def _single(dataset: Dataset, protocol: str, values: Mapping[str, Slides], value: str) -> tuple[Groups, Groups, Groups]:
    """Every value's slides are shared out alike, whichever is trained on: the test slides are always the same.

    A slide with frames of several values is in the same part for all of them.
    """
    kind = kind_of(base_of(protocol)[0])
    shared: dict[str, list[list[str]]] = {}
    part_of: dict[str, int] = {}
    for name, slides in sorted(values.items(), key=lambda entry: len(entry[1])):
        shared[name] = _shared_out(list(slides), slides, list(SHARES.values()), part_of)
        part_of.update({slide: number for number, part in enumerate(shared[name]) for slide in part})
        empty = [part for part, found in zip(SHARES, shared[name], strict=True) if not found]
        if empty:
            raise DataError(
                f"{dataset.name}, {protocol}: no slide of {kind} {name} is left for {empty[0]}: "
                "its slides have frames of other values, too, and are in one part for all. Choose another protocol."
            )
    train, val, _ = shared[value]
    return train, val, sorted({slide for parts in shared.values() for slide in parts[2]})


def _train_and_val(groups: Groups, mitoses: Mapping[str, int]) -> tuple[list[str], list[str]]:
    train, val = _shared_out(groups, mitoses, [1 - VALIDATION_SHARE, VALIDATION_SHARE])
    return train, val


# ----------------------------------------------------------------------------------------------- slides and domains


def mitoses_of(dataset: Dataset) -> dict[str, int]:
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


def values_of(dataset: Dataset, base: str) -> dict[str, Slides]:
    """Returns the slides with labelled frames of each value of a protocol's domain, by value, sorted. Raises DataError.

    A slide may have frames of several values.
    """
    kind = kind_of(base)
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
    base = base_of(protocol)[0]
    if not base.startswith((LEAVE_OUT, SINGLE)):
        number = len({item.frame.group for item in dataset.items.values()} - set(mitoses_of(dataset)))
        return f" Slides without labels, which are in no part: {number}." if number else ""
    kind, used = kind_of(base), {slide for slides in values_of(dataset, base).values() for slide in slides}
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


def split_of(
    dataset: Dataset,
    protocol: str,
    train: Groups,
    val: Groups,
    test: Groups,
    *,
    note: str,
    where: Sequence[Mapping[str, tuple[str, ...]] | None] = (None, None, None),
) -> SplitFile:
    """Returns the split with these slides, and with these domains of their frames (`where`), by part.

    Raises DataError if a part has no slide.
    """
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
