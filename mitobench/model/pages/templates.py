"""Renders the templates of the pages, in the look that all pages share."""

from __future__ import annotations

import base64
import io
import os
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from mitobench.errors import as_text
from mitobench.gallery.outcomes import short
from mitobench.model.measured import f1_text, measured_text, note_text, training_text
from mitobench.report.html_page import style
from mitobench.report.markdown import number

FOLDER = Path(__file__).parent
JPEG_QUALITY = 85


def render(template: str, **values: Any) -> str:
    """Renders a page. Everything in `values` is escaped, as names of files and texts of models are not trusted."""
    return _environment().get_template(template).render(style=_style(), **values)


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """Returns a picture, uint8 RGB [h, w, 3], as a JPEG in an address of the page itself."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "jpeg", quality=JPEG_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def printable(text: object) -> str:
    """Returns a text without control characters and marks that change the reading direction."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in as_text(str(text)))


def address(name: str) -> str:
    """Returns a file's name as a relative address, whatever bytes it has."""
    return quote(os.fsencode(name))


def amount(value: float | None) -> str:
    """Returns a measured number with three digits, or more before the point; a dash for None."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def um_px(value: float) -> str:
    """Returns um/px with the four digits that files and users give."""
    return f"{value:.4g}"


def between(interval: tuple[float, float]) -> str:
    """Returns the interval of a count: `14.6 to 34.5`."""
    return " to ".join(f"{end:,.1f}" for end in interval)


@lru_cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        "address": address,
        "printable": printable,
        "amount": amount,
        "interval": between,
        "f1": f1_text,
        "measured": measured_text,
        "in_words": note_text,
        "training": training_text,
        "um_px": um_px,
        "short": short,
        "number": number,
    }
    return environment


@lru_cache
def _style() -> Markup:
    return Markup(f"{style('pictures.css')}\n{(FOLDER / 'pages.css').read_text(encoding='utf-8')}")
