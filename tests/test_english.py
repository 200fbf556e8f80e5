"""Plain English: words of the project's first, private dialect stay out of code, messages and documents."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]

# What to write instead. Whole words; upper and lower case alike.
INSTEAD = {
    r"mend|mends|mended": "fix, fixes, fixed",
    r"told|tells": "reported, logged, shown, named",
    r"(?<!there\s)is no(?!\slonger|\smore)": "is not a",
    r"there is(?=:)": "Available: a, b.",
    r"no (?:\w+ ){1,2}is called": "Unknown detector 'x'",
    r"has no say|have no say": "what happens instead",
    r"known by": "part of the key",
    r"spoil|spoils|spoiled": "fails, breaks, discards",
    r"given up": "what happens",
    r"vouch|vouches|vouched": "guarantees, declares",
    r"stands": "is",
    r"said so": "what is reported, and where",
    r"whole or not(?: at all)?": "completely or not at all; atomic",
    r"room|rooms|house|houses": "module, package, space",
    r"takes files of it": "mitobench has no submission format for it",
}
PATTERNS = [words.replace(" ", r"\s+") for words in INSTEAD]
WORDS = re.compile("|".join(rf"(?P<w{n}>\b(?:{words})\b)" for n, words in enumerate(PATTERNS)), re.IGNORECASE)
IN_NAMES = {
    "mend",
    "mends",
    "mended",
    "told",
    "tells",
    "spoil",
    "spoils",
    "spoiled",
    "vouch",
    "vouches",
    "shelf",
    "grave",
    "vouched",
}

# What these say is as it was: old records, what changed under which name, and these tables.
AS_IT_WAS = {"CHANGELOG.md", "tests/test_english.py"}
FOLDERS = ("mitobench", "plugins", "registry", "tests", "benchmarks", "docs", ".github")
KINDS = {".py", ".md", ".toml", ".html", ".js", ".css", ".j2", ".yml", ".svg", ".tex", ".txt", ".ipynb"}


def files() -> list[Path]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in KINDS]
    found += [*ROOT.glob("*.md"), *ROOT.glob("*.toml"), *ROOT.glob("*.cff"), ROOT / "Makefile", ROOT / ".ci" / "run"]
    kept = [path for path in found if not {"version1", "__pycache__", "_registry", "vendor"} & set(path.parts)]
    return sorted(path for path in kept if path.relative_to(ROOT).as_posix() not in AS_IT_WAS)


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """What people read, with the line where it starts: of Python comments and strings, of another file everything."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield 1, text
        return
    read = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in read:
            yield token.start[0], token.string


def names(path: Path) -> Iterator[tuple[int, str]]:
    """Words that names are made of."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.NAME:
            yield from ((token.start[0], word) for word in token.string.lower().split("_"))


def found_in(path: Path) -> list[str]:
    hits = []
    for start, text in prose(path):
        for match in WORDS.finditer(text):
            line = start + text.count("\n", 0, match.start())
            better = list(INSTEAD.values())[int((match.lastgroup or "w0")[1:])]
            hits.append(f"{path.relative_to(ROOT)}:{line}: '{match.group()}'. Write: {better}.")
    if path.suffix == ".py":
        hits += [f"{path.relative_to(ROOT)}:{line}: '{w}' in a name." for line, w in names(path) if w in IN_NAMES]
    return hits


@pytest.mark.parametrize("top", [*FOLDERS, "."])
def test_the_words_of_the_first_dialect_are_gone(top: str) -> None:
    here = [path for path in files() if (path.relative_to(ROOT).parts[0] if path.parent != ROOT else ".") == top]
    found = [hit for path in here for hit in found_in(path)]
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize(
    "text",
    [
        "Mend that.",
        "It is told.",
        "a file that is no folder",
        "There is: a, b",
        "No such detector is called 'x'",
        "is known by",
        "whole or not at all",
    ],
)
def test_the_test_finds_them(text: str) -> None:
    assert WORDS.search(text)


@pytest.mark.parametrize(
    "text", ["There is no mask.", "It is no longer there.", "amended", "a household name", "understands"]
)
def test_it_leaves_other_words_alone(text: str) -> None:
    assert not WORDS.search(text)


if __name__ == "__main__":  # python tests/test_english.py [PATH ...]
    import sys

    asked = [Path(name).resolve() for name in sys.argv[1:]] or [ROOT]
    print(
        "\n".join(hit for path in files() if any(path.is_relative_to(one) for one in asked) for hit in found_in(path))
    )
