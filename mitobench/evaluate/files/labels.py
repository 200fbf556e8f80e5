"""Decides which rows are mitoses, by their class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mitobench.errors import MitobenchError, one_line
from mitobench.foreign.classes import listed, meaning, plain, same

_BACKGROUND = {"background"}  # no figure at all
_CANDIDATE = "candidate"  # of `mitobench predict`: a figure below the threshold, beside mitoses

ONE = "1"  # the class of a mitosis where nothing else has a class: MIDOG's and torchvision's first class


def wanted(labels: Sequence[str], classes: Sequence[str], where: str) -> tuple[set[str], str | None]:
    """Returns which of the labels are mitoses, and a note if rows of other classes are left out.

    Args:
        labels: the class of each row.
        classes: the classes that the user names; empty if they name none.
        where: the file and what holds the classes, for messages.

    Raises MitobenchError if the user names a class that no row has, or names none and the labels are not clear.
    """
    counts = Counter(labels)
    if classes:
        chosen = {label for label in counts if any(same(label, name) for name in classes)}
        absent = [name for name in classes if not any(same(label, name) for label in counts)]
        only_others = all(_is_other(label, True) for label in counts) and all(meaning(name) for name in absent)
        if absent and not only_others:
            raise MitobenchError(f"{where} never is {absent[0]!r}. It is: {listed(counts)}. Correct --class.")
    else:
        chosen = {label for label in counts if meaning(label)}
        unclear = [label for label in counts if not meaning(label) and not _is_other(label, bool(chosen))]
        if unclear and not all(same(label, ONE) for label in counts):
            clear = [*chosen, *(["mitosis"] if all(_is_other(label, True) for label in counts) else []), unclear[0]]
            raise MitobenchError(
                f"{where} is {listed(counts)}, which does not say which are mitoses. Name the class of mitoses with "
                f"--class, for example --class {_quoted(clear[0])}."
            )
        chosen = chosen if not unclear else set(counts)
    left_out = counts.total() - sum(counts[label] for label in chosen)
    if not left_out:
        return chosen, None
    others = {label: n for label, n in counts.items() if label not in chosen}
    return chosen, f"{where}: {left_out} detections of other classes are left out: {listed(others)}"


def _is_other(label: str, beside_mitoses: bool) -> bool:
    """Whether a class is clearly not that of mitoses. Alone, candidates may be all that a tool found."""
    name = plain(label)
    return meaning(label) is False or name in _BACKGROUND or (beside_mitoses and name == _CANDIDATE)


def _quoted(label: str) -> str:
    return f"'{one_line(label)}'" if " " in label or not label else one_line(label)
