"""`index.html`: the whole leaderboard as one page that needs no network.

The table is rendered from JSON in the page by a few small scripts (`templates/*.js`), which write text and never
markup. The page allows those and plotly.js to run, by their digests, and nothing else: what a plugin is called cannot
become code. plotly.js is carried packed and unpacked when the first plot comes into view.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly import offline

from mitobench.atomic import write_text_whole
from mitobench.foreign import gunzip
from mitobench.foreign.limits import MAX_DETECTIONS_BYTES
from mitobench.report import page_data
from mitobench.report.table import Section

PAGE = "index.html"
TEMPLATES = Path(__file__).with_name("templates")
SCRIPTS = ("page.js", "table.js", "record.js", "plotting.js", "points.js", "curves.js", "start.js")
_PACKED = re.compile(r'(?<=<script id="plotly" type="application/gzip">)[^<]*')
_VERSION = re.compile(r"plotly\.js v(\S+)")


def write(folder: Path, sections: Sequence[Section]) -> list[Path]:
    """Write `folder/index.html`; the records are in `folder/records`. Returns its path.

    Raises RecordError where the detections of a record are broken or changed.
    """
    path = folder / PAGE
    write_text_whole(path, render(folder, sections))
    return [path]


def render(folder: Path, sections: Sequence[Section]) -> str:
    """The page's HTML."""
    found = page_data.of(folder, sections)
    scripts = [_source(name) for name in SCRIPTS]
    library = offline.get_plotlyjs()
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}  # in the order given
    return environment.get_template("page.html").render(
        sections=found.page["sections"],
        blocks={"page-data": found.page, "record-data": found.records, "curve-data": found.curves},
        style=Markup(_source("page.css")),
        scripts=[Markup(script) for script in scripts],
        plotly=_packed(library),
        allowed=Markup(" ".join(_digest(script) for script in [*scripts, library])),
    )


def library(html: str) -> str | None:
    """The text of the plotly.js that a page carries; None where nothing can be unpacked."""
    packed = _PACKED.search(html)
    try:
        return gunzip(base64.b64decode(packed[0], validate=True), MAX_DETECTIONS_BYTES).decode() if packed else None
    except (ValueError, OSError, EOFError, zlib.error):
        return None


def library_version(html: str) -> str | None:
    """The version that the carried plotly.js names in its heading; None where it names none."""
    named = _VERSION.search((library(html) or "")[:200])
    return named[1] if named else None


def without_library(html: str) -> str:
    """The page less plotly.js and its digest: equal for equal records, whatever plotly or zlib packed it.

    The digests of all other scripts stay, and one that is not that of the plotly.js in the page. What cannot be
    unpacked stays too.
    """
    carried = library(html)
    return html if carried is None else _PACKED.sub("", html, count=1).replace(_digest(carried), "", 1)


def _source(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _packed(source: str) -> str:
    """Text gzipped, in base64: a third of the size, and nothing for the browser to parse before it is needed."""
    return base64.b64encode(gzip.compress(source.encode(), mtime=0)).decode()


def _digest(script: str) -> str:
    """What a Content-Security-Policy knows a script by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
