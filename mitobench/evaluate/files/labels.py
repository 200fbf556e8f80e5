"""Decides which rows are mitoses, by their class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from mitobench.errors import MitobenchError, one_line

_MITOSIS = {"mitosis", "mitoses", "mitotic", "mitotic figure", "mitotic figures", "mitotic cell", "mitotic cells", "mf"}
_OTHER = {
    "imposter", "imposters", "impostor", "hard negative", "hard negatives", "hard negative imposter", "lookalike",
    "hard negative look alike", "hard negative lookalike", "look alike", "nmf", "hn", "background", "negative",
    "mitotic figure look alike", "mitosis look alike", "mitosis like",
}  # fmt: skip
_NOT = re.compile(r"(?:non|not|no)[ ]?(?:a )?(?=mito|mf)")

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
        chosen = {label for label in counts if any(_plain(label) == _plain(name) for name in classes)}
        absent = [name for name in classes if not any(_plain(label) == _plain(name) for label in counts)]
        if absent and counts:
            raise MitobenchError(f"{where} never is {absent[0]!r}. It is: {_listed(counts)}. Correct --class.")
    else:
        chosen = {label for label in counts if _is_mitosis(label)}
        unclear = [label for label in counts if not _is_mitosis(label) and not _is_other(label)]
        if unclear and not (set(counts) == {ONE}):
            raise MitobenchError(
                f"{where} is {_listed(counts)}, which does not say which are mitoses. Name the class of mitoses with "
                f"--class, for example --class {_quoted(unclear[0])}."
            )
        chosen = chosen if not unclear else {ONE}
    left_out = counts.total() - sum(counts[label] for label in chosen)
    if not left_out:
        return chosen, None
    others = {label: n for label, n in counts.items() if label not in chosen}
    return chosen, f"{where}: {left_out} detections of other classes are left out: {_listed(others)}"


def _plain(label: str) -> str:
    return re.sub(r"[\s_\-]+", " ", label).strip().casefold()


def _is_mitosis(label: str) -> bool:
    return _plain(label) in _MITOSIS


def _is_other(label: str) -> bool:
    plain = _plain(label)
    return plain in _OTHER or (_NOT.match(plain) is not None and _NOT.sub("", plain, count=1) in _MITOSIS)


def _listed(counts: dict[str, int]) -> str:
    shown = [
        f"{one_line(label) or 'empty'} ({n})" for label, n in sorted(counts.items(), key=lambda item: -item[1])[:5]
    ]
    return ", ".join(shown) + (f" and {len(counts) - 5} more" if len(counts) > 5 else "")


def _quoted(label: str) -> str:
    return f"'{one_line(label)}'" if " " in label or not label else one_line(label)
