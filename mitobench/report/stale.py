"""Whether the generated files of a leaderboard are what its records give."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mitobench.report import build, figures, page
from mitobench.report.table import Section

FIX = "Run `mitobench leaderboard build`."


def stale(folder: Path) -> tuple[list[str], list[str]]:
    """Make the pages of a leaderboard anew in a temporary folder and compare every byte; of figures compare the data.

    The page's plotly.js may be packed otherwise; its text must be that of the installed plotly, unless it names another
    version: then all but it is compared, and said to be.

    Returns the names of the generated files, with what was not compared, and what is wrong with them, one line each:
    missing, different, or beside them and made from no record. Where none of them is there yet, nothing is stale.
    """
    found = build.read_sections(folder / build.RECORDS)
    with tempfile.TemporaryDirectory() as temporary:
        fresh = Path(temporary)
        (fresh / build.RECORDS).symlink_to((folder / build.RECORDS).resolve(), target_is_directory=True)
        made = [path.relative_to(fresh) for path in build.write_pages(fresh, found)]
        if not any((folder / name).is_file() for name in made):
            return [], []
        problems = [f"{folder / name}: {said} {FIX}" for name in made if (said := _difference(fresh, folder, name))]
        compared = [f"{name.as_posix()}{_uncompared(fresh, folder, name)}" for name in made]
    return [*compared, f"{figures.FOLDER}/ (by their data)"], [*problems, *stale_figures(folder, found)]


def stale_figures(folder: Path, sections: Sequence[Section]) -> Iterator[str]:
    """Figures that show other data than the records give, were altered, are missing, or belong to no section."""
    place = folder / figures.FOLDER
    expected, manifest = figures.digests(folder, sections), figures.read_manifest(place / figures.MANIFEST)
    known = {figures.MANIFEST}
    for name, digest in expected.items():
        entry = manifest.get(name)
        if not isinstance(entry, dict) or not isinstance(entry.get("files"), dict):
            yield f"{place / name}-*: are missing in {figures.MANIFEST}. {FIX}"
            continue
        if entry.get("data") != digest:
            yield f"{place / name}-*: are stale: the records give other data. {FIX}"
        for file, written in entry["files"].items():
            known.add(file)
            there = figures.is_figure(place, file)
            if not there or hashlib.sha256((place / file).read_bytes()).hexdigest() != written:
                yield f"{place / file}: is missing, or was altered after it was drawn. {FIX}"
    for path in sorted(place.glob("*")):
        if path.name not in known:
            yield f"{path}: is made from no record here. Remove it."


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
