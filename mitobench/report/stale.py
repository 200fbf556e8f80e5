"""Checks whether the generated files of a leaderboard are up to date with its records."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mitobench.report import build, figures, html_page
from mitobench.report.table import Section
from mitobench.results.record import read_good

FIX = "Run `mitobench leaderboard build`."


def stale(folder: Path, read: build.Read = read_good) -> tuple[list[str], list[str]]:
    """Compare the generated files of a leaderboard with what its records give now.

    The pages are rebuilt in a temporary folder and compared byte by byte, except for the packed blocks of index.html,
    which are compared by their text. Figures are compared by the data they show, because their bytes depend on the
    version of matplotlib.

    `read` returns the good records of the folder, and a line for each broken one.

    Returns the names of the files that were compared, and the problems, one line each: files that are missing,
    different, or not made from any record here. If none of the generated files exists yet, both lists are empty.
    """
    sections = build.read_sections(folder / build.RECORDS, read)
    with tempfile.TemporaryDirectory() as temporary:
        fresh = Path(temporary)
        (fresh / build.RECORDS).symlink_to((folder / build.RECORDS).resolve(), target_is_directory=True)
        rebuilt = [path.relative_to(fresh) for path in build.write_pages(fresh, sections)]
        if not any((folder / name).is_file() for name in rebuilt):
            return [], []
        problems = [
            f"{folder / name}: {state} {FIX}" for name in rebuilt if (state := _difference(fresh, folder, name))
        ]
    old = [
        *build.old_pages(folder, sections),
        *html_page.old_details(folder, {name.name for name in rebuilt if name.parent.name == html_page.DETAILS}),
    ]
    problems += [f"{path}: is not made from any record here. Remove it." for path in old]
    names = [name.as_posix() for name in rebuilt if name.parent == Path()]
    folders = dict.fromkeys(f"{name.parent.as_posix()}/" for name in rebuilt if name.parent != Path())
    compared = [*names, *folders, f"{figures.FOLDER}/ (by their data)"]
    return compared, [*problems, *stale_figures(folder, sections)]


def stale_figures(folder: Path, sections: Sequence[Section]) -> Iterator[str]:
    """Yields problems with the figures: outdated data, altered or missing files, and figures of no section."""
    place = folder / figures.FOLDER
    expected, manifest = figures.digests(folder, sections), figures.read_manifest(place / figures.MANIFEST)
    drawn = any(isinstance(entry, dict) and "count" in entry for entry in manifest.values())
    counts = figures.count_digests(folder, sections) if drawn else {}
    known = {figures.MANIFEST}
    for name, digest in expected.items():
        entry = manifest.get(name)
        if not isinstance(entry, dict) or not isinstance(entry.get("files"), dict):
            yield f"{place / name}-*: are missing in {figures.MANIFEST}. {FIX}"
            continue
        if entry.get("data") != digest or ("count" in entry and entry["count"] != counts.get(name)):
            yield f"{place / name}-*: are stale: the records give other data. {FIX}"
        for file, written in entry["files"].items():
            known.add(file)
            if not figures.is_figure(place, file) or hashlib.sha256((place / file).read_bytes()).hexdigest() != written:
                yield f"{place / file}: is missing, or was altered after it was drawn. {FIX}"
    for path in sorted(place.glob("*")):
        if path.name not in known:
            yield f"{path}: is not made from any record here. Remove it."


def _difference(fresh: Path, folder: Path, name: Path) -> str | None:
    if not (folder / name).is_file():
        return "is missing."
    rebuilt, existing = ((place / name).read_bytes() for place in (fresh, folder))
    packed = name.name == html_page.PAGE or name.parent.name == html_page.DETAILS
    same = rebuilt == existing or (packed and _parts(rebuilt) == _parts(existing))
    return None if same else "is stale: the records give a different one."


def _parts(page: bytes) -> list[str | None]:
    return html_page.parts(page.decode(errors="surrogateescape"))
