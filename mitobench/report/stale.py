"""Whether the generated files of a leaderboard are what its records give."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mitobench.report import build, page

MEND = "Run `mitobench leaderboard build`."


def stale(folder: Path) -> tuple[list[str], list[str]]:
    """Build the leaderboard anew in a temporary folder and compare every byte.

    The page's plotly.js may be packed otherwise; its text must be that of the installed plotly, unless it names another
    version: then all but it is compared, and said to be.

    Returns the names of the generated files, with what was not compared, and what is wrong with them, one line each:
    missing, different, or beside them and made from no record. Where none of them is there yet, nothing is stale.
    """
    with tempfile.TemporaryDirectory() as temporary:
        fresh = Path(temporary)
        (fresh / build.RECORDS).symlink_to((folder / build.RECORDS).resolve(), target_is_directory=True)
        build.build(fresh)
        made = [path.relative_to(fresh) for path in sorted(fresh.rglob("*")) if path.is_file()]
        made = [path for path in made if path.parts[0] != build.RECORDS]
        if not any((folder / name).is_file() for name in made):
            return [], []
        problems = [f"{folder / name}: {said} {MEND}" for name in made if (said := _difference(fresh, folder, name))]
        compared = [f"{name.as_posix()}{_uncompared(fresh, folder, name)}" for name in made]
    for inside in {name.parent for name in made if len(name.parts) > 1}:
        for path in sorted((folder / inside).glob("*")):
            if path.is_file() and path.relative_to(folder) not in made:
                problems.append(f"{path}: is made from no record here. Remove it.")
    return compared, problems


def _difference(fresh: Path, folder: Path, name: Path) -> str | None:
    if not (folder / name).is_file():
        return "is missing."
    if name.name == page.PAGE:
        same = _same_page(*_texts(fresh, folder, name))
    else:
        same = (folder / name).read_bytes() == (fresh / name).read_bytes()
    return None if same else "is stale: the records give another one."


def _same_page(made: str, there: str) -> bool:
    library = page.library(made) == page.library(there) or _other_version(made, there)
    return library and page.without_library(made) == page.without_library(there)


def _other_version(made: str, there: str) -> bool:
    """Whether a page carries a plotly.js of another version than the installed one, by what that says itself."""
    return page.library_version(there) not in (None, page.library_version(made))


def _uncompared(fresh: Path, folder: Path, name: Path) -> str:
    """What of a file was not compared, in words."""
    if name.name != page.PAGE or not (folder / name).is_file():
        return ""
    made, there = _texts(fresh, folder, name)
    if not _other_version(made, there):
        return ""
    versions = [page.library_version(html) for html in (there, made)]
    return " (but not its plotly.js: it says to be {}, installed is {})".format(*versions)


def _texts(fresh: Path, folder: Path, name: Path) -> list[str]:
    """The page as made anew, and as it is there; bytes that are no text are kept apart from each other."""
    return [(place / name).read_bytes().decode(errors="surrogateescape") for place in (fresh, folder)]
