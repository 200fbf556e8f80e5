"""Whether the generated files of a leaderboard are what its records give."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from mitobench.report import build, page

MEND = "Run `mitobench leaderboard build`."


def stale(folder: Path) -> tuple[list[str], list[str]]:
    """Build the leaderboard anew in a temporary folder and compare every byte.

    Returns the names of the generated files, and what is wrong with them, one line each: missing, different, or beside
    them and made from no record. Where none of them is there yet, nothing is stale.
    """
    with tempfile.TemporaryDirectory() as temporary:
        fresh = Path(temporary)
        shutil.copytree(folder / build.RECORDS, fresh / build.RECORDS)
        build.build(fresh)
        made = [path.relative_to(fresh) for path in sorted(fresh.rglob("*")) if path.is_file()]
        made = [path for path in made if path.parts[0] != build.RECORDS]
        if not any((folder / name).is_file() for name in made):
            return [], []
        problems = [f"{folder / name}: {said} {MEND}" for name in made if (said := _difference(fresh, folder, name))]
    for inside in {name.parent for name in made if len(name.parts) > 1}:
        for path in sorted((folder / inside).glob("*")):
            if path.is_file() and path.relative_to(folder) not in made:
                problems.append(f"{path}: is made from no record here. Remove it.")
    return [name.as_posix() for name in made], problems


def _difference(fresh: Path, folder: Path, name: Path) -> str | None:
    if not (folder / name).is_file():
        return "is missing."
    there, made = ((place / name).read_bytes() for place in (folder, fresh))
    if name.name == page.PAGE:  # another version of plotly makes no page stale
        there, made = (page.without_library(content.decode(errors="replace")).encode() for content in (there, made))
    return None if there == made else "is stale: the records give another one."
