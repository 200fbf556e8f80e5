"""Figures for papers: an SVG of each section's plots, one column (3.5 inches) wide, in letters of 8 pt.

Colours, markers and labels are those of the page. Every row keeps the number of its rank, and published methods have
letters, so that a figure reads in black and white too.

`figures.json` has the digest of what each section's figures show, and of each file. Another version of matplotlib draws
other bytes from the same data: whether figures are up to date is decided by their data.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from mitobench import foreign, registry
from mitobench.atomic import write_whole
from mitobench.errors import MitobenchError
from mitobench.foreign.limits import MAX_RECORD_BYTES
from mitobench.report import plots
from mitobench.report.colours import labels, style_of
from mitobench.report.curves import curve_of
from mitobench.report.plots import Board, PlottedCurve, PlottedRow, digest_of
from mitobench.report.table import Section

FOLDER = "figures"
MANIFEST = "figures.json"
RECORDS = "records"
MOST = 12  # rows in a figure
MOST_CURVES = 6

LOOK: Any = {
    "axes.grid": False,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 100,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters everywhere
    "font.size": 8,
    "lines.linewidth": 1.2,
    "svg.fonttype": "path",
    "svg.hashsalt": "mitobench",
    "text.parse_math": False,  # a name may hold dollars
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}
FORMATS: dict[str, dict[str, Any]] = {
    "png": {"dpi": 300, "metadata": {"Software": None}},
    "svg": {"metadata": {"Date": None, "Creator": None}},
}

FIGURES: dict[str, Callable[[Board], Figure | None]] = {
    "f1": plots.f1_bars,
    "plane": plots.plane,
    "pr": plots.precision_recall,
    "froc": plots.froc,
    "time": plots.time,
    "effects": plots.effects,
}


def write(folder: Path, sections: Sequence[Section], kinds: Sequence[str] = ("svg",)) -> list[Path]:
    """Write `folder/figures/DATASET-PROTOCOL-FIGURE.svg` of every section that has a ranked row, and `figures.json`.

    The records are read from `folder/records`, of the rows alone whose curves are drawn. A figure that has nothing to
    show is left out. `kinds`: `svg`, `png` or both. Returns the paths. Raises MitobenchError where a file cannot be
    written, RecordError where detections are broken.
    """
    manifest: dict[str, dict[str, Any]] = {}
    written = []
    with matplotlib.rc_context(LOOK), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in another script shows boxes
        for name, board in _boards(folder, sections):
            files = {}
            for figure, draw in FIGURES.items():
                drawn = draw(board)
                if drawn is None:
                    continue
                for kind in kinds:
                    path = folder / FOLDER / f"{name}-{figure}.{kind}"
                    files[path.name] = _save(path, drawn, kind)
                    written.append(path)
            manifest[name] = {"data": digest_of(board), "files": files}
    _remove_old(folder / FOLDER, {path.name for path in written})
    if manifest:
        text = json.dumps(manifest, sort_keys=True, indent=1, ensure_ascii=False)
        write_whole(folder / FOLDER / MANIFEST, f"{text}\n".encode())
    return written


def read_manifest(path: Path) -> dict[str, Any]:
    """The content of a `figures.json`; nothing where there is none that can be read."""
    try:
        content = foreign.read_json(path, MAX_RECORD_BYTES, "list of figures")
    except MitobenchError:
        return {}
    return content if isinstance(content, dict) else {}


def _remove_old(folder: Path, written: Collection[str]) -> None:
    """Remove the figures that an earlier build wrote and this one did not."""
    for entry in read_manifest(folder / MANIFEST).values():
        files = entry.get("files") if isinstance(entry, dict) else None
        for file in files if isinstance(files, dict) else ():
            if file not in written and is_figure(folder, file):
                (folder / file).unlink()


def is_figure(folder: Path, file: str) -> bool:
    """Whether a name that a list of figures has is that of a file in their folder; a list may be damaged."""
    return registry.is_name(file) and (folder / file).is_file()


def digests(folder: Path, sections: Sequence[Section]) -> dict[str, str]:
    """The digest of what the figures of each section show, by the name that its files begin with."""
    return {name: digest_of(board) for name, board in _boards(folder, sections)}


def _boards(folder: Path, sections: Sequence[Section]) -> Iterator[tuple[str, Board]]:
    """What the figures of each section show; of those that have a ranked row."""
    for name, section in _named(sections):
        board = _board(folder, section)
        if board.rows:
            yield name, board


def _named(sections: Sequence[Section]) -> Iterator[tuple[str, Section]]:
    """Each section with a name of its own that is safe for a file.

    Those of one data set and protocol have in their name what their titles differ in.
    """
    seen: Counter[str] = Counter()
    for section in sections:
        of_one = (section.dataset, section.protocol)
        titles = [other.title for other in sections if (other.dataset, other.protocol) == of_one]
        told = [part for part in section.title.split(", ")[2:] if not all(part in title for title in titles)]
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join([*of_one, *told])).lstrip(".")
        seen[name] += 1
        yield (name if seen[name] == 1 else f"{name}-{seen[name]}"), section


def _board(folder: Path, section: Section) -> Board:
    """What the figures of a section show."""
    label = labels(section)
    rows = enumerate(section.ranked())
    ranked = [
        PlottedRow(str(rank), label[row], style_of(place), row) for place, (rank, row) in rows if rank is not None
    ]
    methods = sorted(section.published, key=lambda method: -method.f1)
    drawn = [_drawn(folder, section, shown) for shown in ranked[:MOST_CURVES]]
    return Board(
        title=section.title,
        rows=ranked[:MOST],
        n_rows=len(ranked),
        published=list(zip(ascii_lowercase, methods[:MOST], strict=False)),
        n_published=len(methods),
        curves=[curves for curves in drawn if curves is not None],
        effects=sorted(section.effects, key=lambda effect: -effect.delta)[:MOST],
        n_effects=len(section.effects),
    )


def _drawn(folder: Path, section: Section, shown: PlottedRow) -> PlottedCurve | None:
    """The curves of the seed whose F1 is nearest to the mean."""
    mean = shown.row.mean("f1") or 0.0
    tested = [(record.test, record) for record in shown.row.good if record.test]
    test, record = min(tested, key=lambda pair: abs((pair[0].f1 or 0.0) - mean))
    curves = curve_of(folder / RECORDS / section.file(record), record)
    return PlottedCurve(shown, test, curves) if curves is not None else None


def _save(path: Path, figure: Figure, kind: str) -> str:
    """Write a figure; returns the SHA-256 of the file."""
    content = io.BytesIO()
    figure.savefig(content, format=kind, **FORMATS[kind])
    write_whole(path, content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()
