"""`index.html`: the whole leaderboard as one page that needs no network.

A few small scripts (`templates/*.js`) render the table and the plots from JSON in the page. They insert data as text,
never as markup, and the page's Content-Security-Policy allows these scripts alone: a plugin's name cannot become code.
The data and Chart.js, which draws the plots, are stored as gzip in base64.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mitobench.atomic import write_text_atomic
from mitobench.foreign import gunzip
from mitobench.foreign.limits import MAX_DETECTIONS_BYTES
from mitobench.report import page_data
from mitobench.report.markdown import number
from mitobench.report.published_page import PAGE as PUBLISHED
from mitobench.report.published_page import elsewhere
from mitobench.report.section_page import SECTIONS
from mitobench.report.table import Section

PAGE = "index.html"
TEMPLATES = Path(__file__).with_name("templates")
VENDOR = Path(__file__).with_name("vendor")
SCRIPTS = (
    "page.js",
    "columns.js",
    "state.js",
    "table.js",
    "download.js",
    "record.js",
    "comparison.js",
    "drawing.js",
    "plotting.js",
    "points.js",
    "forest.js",
    "curves.js",
    "start.js",
)
LIBRARIES = ("chart.js/chart.umd.min.js", "chartjs-plugin-datalabels/chartjs-plugin-datalabels.min.js")
JSON_STYLE: dict[str, Any] = {"allow_nan": False, "separators": (",", ":")}
_PACKED = re.compile(r'(?<=<script type="application/gzip" id=")([\w-]+">)([^<]*)')


def write(folder: Path, sections: Sequence[Section]) -> list[Path]:
    """Write `folder/index.html`; the records are in `folder/records`. Returns its path.

    Raises RecordError where the detections of a record are broken or changed.
    """
    path = folder / PAGE
    write_text_atomic(path, render(folder, sections))
    return [path]


def render(folder: Path, sections: Sequence[Section]) -> str:
    """The page's HTML."""
    data = page_data.of(folder, sections)
    scripts = [_text_of(TEMPLATES / name) for name in SCRIPTS]
    library = "\n".join(_text_of(VENDOR / name) for name in LIBRARIES)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("page.html").render(
        sections=data.page["sections"],
        elsewhere=elsewhere(sections) if sections else [],
        number=number,
        published_page=f"{SECTIONS}/{PUBLISHED}",
        packed={
            "page-data": _packed(json.dumps(data.page, **JSON_STYLE)),
            "record-data": _packed(json.dumps(data.records, **JSON_STYLE)),
            "curve-data": _packed(json.dumps(data.curves, **JSON_STYLE)),
            "chart-library": _packed(library),
        },
        style=style("page.css"),
        scripts=[Markup(script) for script in scripts],
        allowed=Markup(" ".join(map(_digest, [*scripts, library]))),
    )


def style(*names: str) -> Markup:
    """The look that all pages share, followed by the style sheets of these names in `TEMPLATES`."""
    return Markup("\n".join(_text_of(TEMPLATES / name) for name in ("shared.css", *names)))


def parts(html: str) -> list[str | None]:
    """The page without its packed blocks, then the text of each block; None for one that cannot be unpacked.

    Pages with equal parts show the same, though different versions of zlib pack different bytes.
    """
    return [_PACKED.sub(r"\1", html), *(_text(block[2]) for block in _PACKED.finditer(html))]


def _text(packed: str) -> str | None:
    try:
        return gunzip(base64.b64decode(packed, validate=True), MAX_DETECTIONS_BYTES).decode()
    except ValueError:
        return None


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _packed(text: str) -> str:
    """Text as gzip in base64: a fraction of the size, and nothing for the browser to parse before it is needed."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _digest(script: str) -> str:
    """The hash by which a Content-Security-Policy allows a script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
