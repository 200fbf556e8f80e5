"""Which column of a table holds classes, and which classes are mitoses: one rule for detections and for annotations.

Letter case and separators mean nothing in names: `agreedClass`, `agreed_class` and `Agreed class` are the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from mitobench.errors import MitobenchError, nearest, one_line

NONE = "none"  # given in place of a column: no column holds classes
UNCLASSIFIED = "unclassified"  # the class of an object without one, if others have one

# Columns of these names always hold classes.
_CLASS_NAMES = {
    *("class", "classes", "classname", "classid", "cls", "classification", "label", "labels", "category", "categories"),
    *("categoryid", "categoryname", "predclass", "predictedclass", "predlabel", "predictedlabel", "agreedclass"),
    *("celltype", "figuretype", "annotationclass", "annotationtype", "ismitosis", "mitosis", "ismitotic", "mitotic"),
    *("mitoticfigure", "ismitoticfigure", "mf", "ismf"),
}
# Columns of these names hold classes, unless their values cannot be classes: names and numbers of single objects.
_PERHAPS_NAMES = {"type", "objecttype", "name", "annotation", "pred", "prediction", "predicted", "kind", "target"}
_CLASS_WORDS = {"class", "classes", "classification", "label", "labels", "category", "categories", "cls"}
_OTHER_WORDS = {
    *("score", "scores", "confidence", "conf", "probability", "prob", "count", "file", "filename", "path", "x", "y"),
    *("scanner", "tumor", "tumour", "tissue", "species", "stain", "lab", "laboratory", "site", "origin", "slide"),
    *("image", "frame", "case", "patient", "dataset", "data", "split", "fold", "part", "model", "rater", "annotator"),
    *("reader", "pathologist", "user", "author", "date", "time", "version", "comment", "comments", "note", "notes"),
    *("remark", "remarks", "region", "roi", "unit", "units", "source", "tool", "color", "colour", "id", "uid", "index"),
    *("parent", "batch", "method", "detector", "difficult", "truncated", "occluded", "iscrowd", "locked", "gate"),
}
_FLAGS = {"mitosis", "ismitosis", "mitotic", "ismitotic", "mitoticfigure", "ismitoticfigure", "mf", "ismf"}
_YES, _NO = {"1", "true", "yes"}, {"0", "false", "no"}

_MITOSIS = {"mitosis", "mitoses", "mitotic", "mf", *(f"mitotic{a}{b}" for a in ("figure", "cell") for b in ("", "s"))}
_IMPOSTER = {
    *("imposter", "imposters", "impostor", "impostors", "hardnegative", "hardnegatives", "hardnegativeimposter"),
    *("lookalike", "lookalikes", "hardnegativelookalike", "nmf", "hn", "negative", "mitosislookalike", "mitosislike"),
    *("mitoticfigurelookalike", "mitoticlikefigure", "mitoticlike"),
}
_NOT = re.compile(r"(?:non|nota|not|no)(?=mito|mf)")
_VERDICTS = {"tp", "fp", "positive", "pos", "neg", "yes", "no", "true", "false"}
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_MAX_DISTINCT = 10  # classes that a column of an unknown name may have
_MANY = 20  # more different values than this are the names of single objects


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """Returns a name without letter case and separators: `Mitotic_figure` becomes `mitoticfigure`."""
    return re.sub(r"[\W_]+", "", text).casefold()


def same(one: str, other: str) -> bool:
    """Whether two names of classes are the same; a number may have a decimal point, as pandas writes it."""
    return _value(one) == _value(other)


def meaning(label: str) -> bool | None:
    """Whether the name of a class means a mitosis, or a figure that is not one; None if it is not clear."""
    name = plain(label)
    if name in _MITOSIS:
        return True
    if name in _IMPOSTER or (_NOT.match(name) and _NOT.sub("", name, count=1) in _MITOSIS):
        return False
    return None


def flag(column: str, value: str) -> str:
    """Returns a class in words if the column says yes or no to mitosis (`is_mitosis`: 1); otherwise the value."""
    if plain(column) not in _FLAGS:
        return value
    return "mitosis" if _value(value) in _YES else "non-mitosis" if _value(value) in _NO else value


def holds_classes(column: str) -> bool:
    """Whether a column of this name may hold classes."""
    words = set(re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).lower()))
    return plain(column) in _CLASS_NAMES | _PERHAPS_NAMES or bool(words & _CLASS_WORDS and not words & _OTHER_WORDS)


def class_column(
    columns: Mapping[str, Sequence[str]],
    given: str | None,
    where: str,
    answer: Callable[[str], str],
    error: type[MitobenchError] = MitobenchError,
) -> str | None:
    """Returns the name of the column that holds the classes; None if no column does.

    Args:
        columns: the values of each column that is not used otherwise, one value a row.
        given: the column that the user names; `none`: no column does; None: it is found.
        where: the file, for messages.
        answer: returns how to name a column, given the name: `--class-column NAME`.
        error: class of the error to raise.

    Raises `error` if columns contradict each other, if one of an unknown name looks like a class, and if there is no
    column of the name that the user gives.
    """
    if given is not None:
        return _given(columns, given, where, error)
    named = [name for name in columns if holds_classes(name) and _informs(name, columns[name])]
    worded = [name for name in columns if name not in named and _has_words(name, columns[name])]
    if named:
        best = min(named, key=lambda name: (not _is_clear(name, columns[name]), plain(name) in _PERHAPS_NAMES))
        for other in (*named, *worded):
            if not _agree(best, columns[best], other, columns[other]):
                raise error(
                    f"{where}: columns {one_line(best)} and {one_line(other)} may both hold classes, and differ: "
                    f"{listed(Counter(columns[best]))}; {listed(Counter(columns[other]))}. Say which one holds them: "
                    f"{answer(best)} or {answer(other)}."
                )
        return best
    for name in columns:
        if name in worded or _looks_like_classes(name, columns[name]):
            raise error(
                f"{where}: column {one_line(name)} may say which rows are mitoses. It is "
                f"{listed(Counter(columns[name]))}. If it does: {answer(name)}. If not: {answer(NONE)}."
            )
    return None


def listed(counts: Mapping[str, int]) -> str:
    """Lists classes with how often they occur, the five most frequent ones: `mitosis (12), cell (3)`."""
    shown = [
        f"{one_line(label) or 'empty'} ({n})" for label, n in sorted(counts.items(), key=lambda item: -item[1])[:5]
    ]
    return ", ".join(shown) + (f" and {len(counts) - 5} more" if len(counts) > 5 else "")


def _given(columns: Mapping[str, Sequence[str]], given: str, where: str, error: type[MitobenchError]) -> str | None:
    found = [name for name in columns if plain(name) == plain(given)]
    if len(found) == 1:
        return found[0]
    if found or plain(given) != NONE:
        why = "several columns are" if found else "no column that is not used otherwise is"
        raise error(f"{where}: {why} called {one_line(given)!r}. {nearest(given, columns)}")
    return None


def _value(text: str) -> str:
    number = text.strip()
    return f"{float(number):g}" if _NUMBER.fullmatch(number) else plain(text) or number


def _meanings(column: str, values: Sequence[str]) -> dict[str, bool | None]:
    return {value: meaning(flag(column, value)) for value in set(values)}


def _is_clear(column: str, values: Sequence[str]) -> bool:
    return None not in _meanings(column, values).values()


def _informs(column: str, values: Sequence[str]) -> bool:
    """Whether a column of a known name has values that can be classes."""
    if not any(value.strip() for value in values):
        return False
    if plain(column) not in _PERHAPS_NAMES:
        return True
    distinct = set(values)
    if len(distinct) == 1:
        return False in _meanings(column, values).values()
    decimal = all(_NUMBER.fullmatch(value) for value in distinct) and any("." in value for value in distinct)
    whole = all(_value(value).isdigit() for value in distinct)
    return len(distinct) <= _MANY and (whole or not decimal)


def _has_words(column: str, values: Sequence[str]) -> bool:
    """Whether values of a column of an unknown name are classes by what they say, and not all of them mitoses."""
    if len(set(values)) > _MANY:
        return False
    meanings = set(_meanings(column, values).values())
    return bool(meanings & {True, False}) and meanings != {True}


def _looks_like_classes(column: str, values: Sequence[str]) -> bool:
    """Whether a column of an unknown name has few different texts."""
    words = set(re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).lower()))
    distinct = set(values)
    texts = [value for value in distinct if value.strip() and not _NUMBER.fullmatch(value.strip())]
    if words & _OTHER_WORDS or not texts or not 2 <= len(distinct) <= _MAX_DISTINCT:
        return False
    return 2 * len(distinct) <= len(values) or any(plain(value) in _VERDICTS for value in distinct)


def _agree(one: str, values: Sequence[str], other: str, others: Sequence[str]) -> bool:
    """Whether a second column says nothing else about which rows are mitoses."""
    if one == other or (len(set(others)) == 1 and False not in _meanings(other, others).values()):
        return True
    if _is_clear(one, values):
        first, second = _meanings(one, values), _meanings(other, others)
        pairs = {(first[a], second[b], b) for a, b in zip(values, others, strict=True)}
        same_words = all(b is None or a == b for a, b, _ in pairs)
        return same_words and len({(a, text) for a, _, text in pairs}) == len({text for _, _, text in pairs})
    pairs_of_values = set(zip(values, others, strict=True))
    return len(pairs_of_values) == len({a for a, _ in pairs_of_values}) == len({b for _, b in pairs_of_values})
