"""Figures for papers: the plots of each section as SVG in 8 pt letters. A column is 3.5 inches wide; `plane` takes two.

Colours, markers and labels are those of the page. Rows are numbered by their rank and published methods have letters,
so that a figure can be read in black and white too.

`figures.json` holds the digest of the data that each section's figures show, and of each file. Another version of
matplotlib draws other bytes from the same data, so whether figures are up to date is decided by their data.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from mitobench import foreign, registry
from mitobench.atomic import write_atomic
from mitobench.errors import MitobenchError
from mitobench.foreign.limits import MAX_RECORD_BYTES
from mitobench.report import count_figure, plots
from mitobench.report.colours import labels, style_of
from mitobench.report.curves import curve_of
from mitobench.report.plots import Board, PlottedCurve, PlottedRow, digest_of
from mitobench.report.table import Section

FOLDER = "figures"
MANIFEST = "figures.json"
RECORDS = "records"
MAX_ROWS = 12  # rows in a figure
MAX_CURVES = 6

FONT = "DejaVu Sans"  # comes with matplotlib; its widths decide where text is placed
FONTS = f"'{FONT}', Verdana, sans-serif"  # Verdana has nearly the same widths
SVG_DIGITS = 2  # decimals of a coordinate, which is in points

LOOK: Any = {
    "axes.grid": False,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 100,
    "font.family": FONT,
    "font.size": 8,
    "lines.linewidth": 1.2,
    "svg.fonttype": "none",  # text as text: a fifth of the size, and it can be searched
    "svg.hashsalt": "mitobench",
    "text.parse_math": False,  # a name may contain dollar signs
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}
FORMATS: dict[str, dict[str, Any]] = {
    "png": {"dpi": 300, "metadata": {"Software": None}},
    "svg": {"metadata": {"Date": None, "Creator": None}},
}

FIGURES: dict[str, Callable[[Board], Figure | None]] = {
    "f1": plots.f1_forest,
    "plane": plots.plane,
    "pr": plots.precision_recall,
    "froc": plots.froc,
    "time": plots.time,
    "effects": plots.effects,
}


def write(
    folder: Path, sections: Sequence[Section], kinds: Sequence[str] = ("svg",), counts: bool = False
) -> list[Path]:
    """Write `folder/figures/SECTION-FIGURE.svg` for every section that has a ranked row, and `figures.json`.

    Detections are read from `folder/records` for the rows whose curves are drawn. A figure that would be empty is left
    out. Figures of an earlier build that were not written again are removed.

    Args:
        folder: of the leaderboard.
        sections: whose figures are drawn.
        kinds: `svg`, `png` or both.
        counts: also draw how well the best row of each section counts.

    Returns the paths of the figures. Raises MitobenchError where a file cannot be written, RecordError where detections
    are broken.
    """
    manifest: dict[str, dict[str, Any]] = {}
    written = []
    with matplotlib.rc_context(LOOK), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # of a name in another script
        for name, board in _boards(folder, sections):
            drawn = {figure: found for figure, draw in FIGURES.items() if (found := draw(board)) is not None}
            manifest[name] = {"data": digest_of(board)}
            count = count_figure.count_of(board) if counts else None
            if count is not None:
                drawn[count_figure.NAME] = count_figure.draw(board, count)
                manifest[name]["count"] = count_figure.digest_of(board, count)
            files = {}
            for figure, of_it in drawn.items():
                for kind in kinds:
                    path = folder / FOLDER / f"{name}-{figure}.{kind}"
                    files[path.name] = _save(path, of_it, kind)
                    written.append(path)
            manifest[name]["files"] = files
    _remove_old(folder / FOLDER, {path.name for path in written})
    if manifest:
        text = json.dumps(manifest, sort_keys=True, indent=1, ensure_ascii=False)
        write_atomic(folder / FOLDER / MANIFEST, f"{text}\n".encode())
    return written


def read_manifest(path: Path) -> dict[str, Any]:
    """The content of a `figures.json`; empty where the file is missing or cannot be read."""
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
    """Whether a name from `figures.json` is that of a file in the folder of figures; the list may be damaged."""
    return registry.is_name(file) and (folder / file).is_file()


def digests(folder: Path, sections: Sequence[Section]) -> dict[str, str]:
    """The digest of the data that the figures of each section show, by the name of the section."""
    return {name: digest_of(board) for name, board in _boards(folder, sections)}


def count_digests(folder: Path, sections: Sequence[Section]) -> dict[str, str]:
    """The digest of the data that the figure of the count shows, by the name of each section that has one."""
    found = {name: (board, count_figure.count_of(board)) for name, board in _boards(folder, sections)}
    return {name: count_figure.digest_of(board, count) for name, (board, count) in found.items() if count}


def _boards(folder: Path, sections: Sequence[Section]) -> Iterator[tuple[str, Board]]:
    """The name and the board of each section that has a ranked row."""
    for section in sections:
        board = _board(folder, section)
        if board.rows:
            yield section.name, board


def _board(folder: Path, section: Section) -> Board:
    """Returns the data that the figures of a section show."""
    label = labels(section)
    rows = enumerate(section.ranked())
    ranked = [
        PlottedRow(str(rank), label[row], style_of(place), row) for place, (rank, row) in rows if rank is not None
    ]
    methods = sorted(section.published, key=lambda method: -method.f1)
    curves = [_plotted_curve(folder, section, plotted) for plotted in ranked[:MAX_CURVES]]
    return Board(
        title=section.title,
        rows=ranked[:MAX_ROWS],
        n_rows=len(ranked),
        published=list(zip(ascii_lowercase, methods[:MAX_ROWS], strict=False)),
        n_published=len(methods),
        curves=[curve for curve in curves if curve is not None],
        effects=sorted(section.effects, key=lambda effect: -effect.delta)[:MAX_ROWS],
        n_effects=len(section.effects),
    )


def _plotted_curve(folder: Path, section: Section, plotted: PlottedRow) -> PlottedCurve | None:
    """Returns the curves of the seed whose F1 is closest to the mean; None if it has none."""
    mean = plotted.row.mean("f1") or 0.0
    tested = [(record.test, record) for record in plotted.row.good if record.test]
    test, record = min(tested, key=lambda pair: abs((pair[0].f1 or 0.0) - mean))
    curves = curve_of(folder / RECORDS / section.file(record), record)
    return PlottedCurve(plotted, test, curves) if curves is not None else None


def _save(path: Path, figure: Figure, kind: str) -> str:
    """Write a figure and return the SHA-256 of the file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, **FORMATS[kind])
    content = _compact(buffer.getvalue().decode()).encode() if kind == "svg" else buffer.getvalue()
    write_atomic(path, content)
    return hashlib.sha256(content).hexdigest()


def _compact(svg: str) -> str:
    """The same drawing with shorter numbers and no indentation, and with fonts that other machines have."""
    return re.sub(r"<[^!?][^>]*>", lambda tag: _compact_tag(tag[0]), re.sub(r"\n\s+(?=<)", "\n", svg))


def _compact_tag(tag: str) -> str:
    """A tag without its text: names in the drawing, which are not in tags, keep their numbers."""
    tag = re.sub(r" transform=\"rotate\(-0[^\"]*\"", "", tag).replace(f"'{FONT}'", FONTS)
    tag = re.sub(r"-?\d+\.\d+", lambda number: f"{round(float(number[0]), SVG_DIGITS) + 0.0:g}", tag)
    return re.sub(r"\s*\n(?=[LMQCzZ\"])", " ", tag)
