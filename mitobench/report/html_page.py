"""`index.html`: the whole leaderboard as a page that needs no network.

A few small scripts (`templates/*.js`) render the table and the plots from JSON in the page. They insert data as text,
never as markup, and the page's Content-Security-Policy allows these scripts alone: a plugin's name cannot become code.
The data and Chart.js, which draws the plots, are stored as gzip in base64. The details of many records are in files
beside the page (`details/`).
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mitobench.atomic import write_text_atomic
from mitobench.foreign import gunzip
from mitobench.foreign.limits import MAX_DETECTIONS_BYTES
from mitobench.report import page_data
from mitobench.report.markdown import number
from mitobench.report.page_data import Details, PageData
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
DETAILS = "details"
MAX_INSIDE = 500  # records whose details are in the page itself
CHUNK = 100  # records whose details share a file
BESIDE = ("'self'", "file:")  # further scripts that the page allows: files of details, also from a disk
_PACKED = re.compile(r'(?<=<script type="application/gzip" id=")([\w-]+">)([^<]*)|(?<=^takeDetails\()(\d+, ")([^"]*)')


def write(folder: Path, sections: Sequence[Section]) -> list[Path]:
    """Write `folder/index.html`; the records are in `folder/records`. Returns its path, and those of files beside it.

    With more than `MAX_INSIDE` records, their details are in files of `folder/details`, which the page reads on
    request. Files there that are not written again are removed.

    Raises RecordError where the detections of a record are broken or changed.
    """
    data = page_data.of(folder, sections)
    files = dict(_chunks(data.details))
    paths = [folder / PAGE, *(folder / DETAILS / name for name in files)]
    for path, content in zip(paths[1:], files.values(), strict=True):
        if not path.is_file() or path.read_text(encoding="utf-8", errors="replace") != content:
            write_text_atomic(path, content)
    write_text_atomic(paths[0], _html(data, sections))
    for path in old_details(folder, files):
        path.unlink()
    return paths


def old_details(folder: Path, names: Collection[str]) -> list[Path]:
    """The files of details in a folder that have none of these names."""
    return [path for path in sorted((folder / DETAILS).glob("*.js")) if path.name not in names]


def render(folder: Path, sections: Sequence[Section]) -> str:
    """The page's HTML."""
    return _html(page_data.of(folder, sections), sections)


def _html(data: PageData, sections: Sequence[Section]) -> str:
    scripts = [_text_of(TEMPLATES / name) for name in SCRIPTS]
    library = "\n".join(_text_of(VENDOR / name) for name in LIBRARIES)
    inside = len(data.details) <= MAX_INSIDE
    blocks = {
        "record-data": _list(details.record for details in data.details),
        "curve-data": _list(details.curve for details in data.details),
    }
    page = data.page if inside else {**data.page, "chunk": CHUNK}
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("page.html").render(
        sections=data.page["sections"],
        elsewhere=elsewhere(sections) if sections else [],
        number=number,
        published_page=f"{SECTIONS}/{PUBLISHED}",
        packed={
            "page-data": _packed(json.dumps(page, **page_data.JSON_STYLE)),
            **({name: _packed(text) for name, text in blocks.items()} if inside else {}),
            "chart-library": _packed(library),
        },
        style=style("page.css"),
        scripts=[Markup(script) for script in scripts],
        allowed=Markup(" ".join([*map(_digest, [*scripts, library]), *([] if inside else BESIDE)])),
    )


def _list(texts: Iterable[str]) -> str:
    return f"[{','.join(texts)}]"


def _chunks(details: Sequence[Details]) -> Iterator[tuple[str, str]]:
    """Yields name and content of each file of details: a call with the packed text, so that no text of a record is
    read as code. A page that was opened from a file cannot read other files in any other way."""
    if len(details) <= MAX_INSIDE:
        return
    for chunk, start in enumerate(range(0, len(details), CHUNK)):
        part = details[start : start + CHUNK]
        text = f'{{"records":{_list(one.record for one in part)},"curves":{_list(one.curve for one in part)}}}'
        yield f"{chunk}.js", f'takeDetails({chunk}, "{_packed(text)}");\n'


def style(*names: str) -> Markup:
    """The look that all pages share, followed by the style sheets of these names in `TEMPLATES`."""
    return Markup("\n".join(_text_of(TEMPLATES / name) for name in ("shared.css", *names)))


def parts(html: str) -> list[str | None]:
    """A page, or a file of details, without its packed blocks, then the text of each; None for one that is damaged.

    Pages with equal parts show the same, though different versions of zlib pack different bytes.
    """
    blocks = list(_PACKED.finditer(html))
    return [_PACKED.sub(r"\1\3", html), *(_text(block[2] or block[4] or "") for block in blocks)]


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
