"""Draws marks on frames: overlays and thumbnails of whole frames, crops around single cells, and contact sheets.

A mark is an outline around the cell in the outcome's colour, between two dark edges, so that it is visible on pale
stroma and on dark nuclei. Each outcome has its own shape as well as its own colour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mitobench.api import Frame
from mitobench.gallery.outcomes import Mark, short
from mitobench.report.colours import OUTCOMES, UNLABELLED, Outcome

Pixels = NDArray[np.uint8]

MARK_UM = 8.0  # from the centre of a mark to its outline; a mitotic figure is about 10 um long
EDGE = "#10101C"
PAPER, INK = "#FFFFFF", "#1A1A1A"
OUTSIDE_GREY = 200  # grey value outside the frame
OVERSAMPLING = 4  # marks are drawn this many times larger and then reduced

MIN_OVERLAY_PX = 768  # smaller frames are enlarged until their longer side has about this length
THUMBNAIL_PX = 560  # the longer side of a thumbnail; pages show it 380 to 560 px wide
THUMBNAIL_FONT_PX = 20
CROP_UM = 48.0
CROP_PX = 256  # side of a crop
TICK_UM = (8.0, 13.0)  # from the centre of a crop to both ends of a tick
COLUMNS = 4
LINE_PX = 21  # height of a line of text

OUTLINES = {
    "circle": [(math.cos(t), math.sin(t)) for t in np.linspace(0, 2 * math.pi, 72, endpoint=False)],
    "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
    "diamond": [(0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)],
    "triangle": [(0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
}


def overlay(frame: Frame, pixels: Pixels, marks: Sequence[Mark]) -> Image.Image:
    """Draws a whole frame with its marks, their scores, a scale bar and a legend. Enlarges a small frame."""
    factor = max(1, round(MIN_OVERLAY_PX / max(frame.size)))
    font = _font(max(18, max(frame.size) * factor // 64))
    return _with_legend(_marked(frame, pixels, marks, factor, font), frame.id, marks, font)


def thumbnail(frame: Frame, pixels: Pixels, marks: Sequence[Mark]) -> Image.Image:
    """Draws a whole frame as `overlay` does, THUMBNAIL_PX long, with scores that can be read at this size."""
    return _marked(frame, pixels, marks, THUMBNAIL_PX / max(frame.size), _font(THUMBNAIL_FONT_PX))


def _marked(
    frame: Frame, pixels: Pixels, marks: Sequence[Mark], factor: float, font: ImageFont.FreeTypeFont
) -> Image.Image:
    """A frame with marks, scores and a scale bar; `factor`: px of the image per px of the frame."""
    size = (round(frame.size[0] * factor), round(frame.size[1] * factor))
    image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    width = max(2 if factor < 1 else 3, round(max(size) / 500))
    for mark in marks:
        _put(image, mark, factor, frame.mpp, width)
    draw = ImageDraw.Draw(image)
    _scale_bar(draw, size, factor / frame.mpp[0], font)
    for mark in marks:
        if mark.outcome is not OUTCOMES["fn"] and mark.candidate is not None:
            _label(draw, mark, factor, MARK_UM * factor / frame.mpp[1] + width, size, font)
    return image


def crop(frame: Frame, pixels: Pixels, subject: Mark, marks: Sequence[Mark]) -> Image.Image:
    """Draws a square of CROP_UM around a mark, CROP_PX wide. Ticks point at the cell; its neighbours keep their marks.

    The area outside the frame is plain grey, so that it cannot be mistaken for tissue.
    """
    half = [CROP_UM / 2 / mpp for mpp in frame.mpp]
    left, top = subject.xy[0] + 0.5 - half[0], subject.xy[1] + 0.5 - half[1]
    margin = math.ceil(max(half)) + 1
    box = (left + margin, top + margin, left + margin + 2 * half[0], top + margin + 2 * half[1])
    padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), constant_values=OUTSIDE_GREY)
    window = Image.fromarray(padded).resize((CROP_PX, CROP_PX), Image.Resampling.BICUBIC, box=box)
    factor = CROP_PX / (2 * half[0])
    for mark in marks:
        if mark is not subject:
            _put(window, mark, factor, frame.mpp, 2, origin=(left, top))
    draw = ImageDraw.Draw(window)
    _ticks(draw, subject.outcome)
    _scale_bar(draw, window.size, factor / frame.mpp[0], _font(13), um=10)
    return window


def sheet(title: str, crops: Sequence[tuple[Image.Image, Sequence[str]]]) -> Image.Image:
    """Draws a contact sheet: crops in rows of four, each above its lines of text."""
    gap, lines = 12, max(len(text) for _, text in crops)
    cell = (CROP_PX + gap, CROP_PX + lines * LINE_PX + gap)
    columns = min(COLUMNS, len(crops))
    head = 2 * LINE_PX + gap
    size = (columns * cell[0] + gap, head + math.ceil(len(crops) / columns) * cell[1])
    page = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((gap, gap), _fitting(title, size[0] - 2 * gap, _font(17)), INK, _font(17))
    for i, (picture, text) in enumerate(crops):
        x, y = gap + i % columns * cell[0], head + i // columns * cell[1]
        page.paste(picture, (x, y))
        for number, line in enumerate(text):
            draw.text((x, y + CROP_PX + 3 + number * LINE_PX), _fitting(line, CROP_PX, _font(16)), INK, _font(16))
    return page


# ------------------------------------------------------------------------------------------------- parts


@lru_cache
def _stamp(outcome: Outcome, half: tuple[float, float], width: int) -> Image.Image:
    """A mark with soft edges on a transparent image. `half`: px from its centre to its outline along x and y."""
    side = [2 * math.ceil(1.3 * h + 2 * width) + 1 for h in half]
    tile = Image.new("RGBA", (side[0] * OVERSAMPLING, side[1] * OVERSAMPLING))
    draw = ImageDraw.Draw(tile)
    centre = [s * OVERSAMPLING / 2 for s in side]
    points = [
        (centre[0] + x * half[0] * OVERSAMPLING, centre[1] + y * half[1] * OVERSAMPLING)
        for x, y in OUTLINES[outcome.shape]
    ]
    for colour, thick in ((EDGE, width + 2), (outcome.colour, width)):
        draw.line([*points, *points[:2]], colour, thick * OVERSAMPLING, joint="curve")
    return tile.resize((side[0], side[1]), Image.Resampling.LANCZOS)


def _put(
    image: Image.Image,
    mark: Mark,
    factor: float,
    mpp: tuple[float, float],
    width: int,
    origin: tuple[float, float] = (0, 0),
) -> None:
    """Draws a mark. `factor`: px of the image per px of the frame.

    The corner of the image is at `origin` in frame px, where the first pixel has its centre at 0.5.
    """
    stamp = _stamp(mark.outcome, (MARK_UM * factor / mpp[0], MARK_UM * factor / mpp[1]), width)
    x, y = ((mark.xy[i] + 0.5 - origin[i]) * factor for i in (0, 1))
    image.paste(stamp, (round(x - stamp.width / 2), round(y - stamp.height / 2)), stamp)


def _ticks(draw: ImageDraw.ImageDraw, outcome: Outcome) -> None:
    """Draws a border in the outcome's colour, and four ticks around the cell in the centre."""
    middle, (near, far) = CROP_PX / 2, (um * CROP_PX / CROP_UM for um in TICK_UM)
    for colour, thick, more in ((EDGE, 5, 1), (outcome.colour, 3, 0)):
        for start, end in ((-far - more, -near + more), (near - more, far + more)):
            draw.line([(middle + start, middle), (middle + end, middle)], colour, thick)
            draw.line([(middle, middle + start), (middle, middle + end)], colour, thick)
    draw.rectangle([0, 0, CROP_PX - 1, CROP_PX - 1], outline=outcome.colour, width=3)
    draw.rectangle([3, 3, CROP_PX - 4, CROP_PX - 4], outline=EDGE)


def _label(
    draw: ImageDraw.ImageDraw,
    mark: Mark,
    factor: float,
    below: float,
    size: tuple[int, int],
    font: ImageFont.FreeTypeFont,
) -> None:
    """Writes a detection's score on a dark ground below its mark, or above it near the lower border.

    Keeps it within the image.

    `below`: distance from the centre of the mark, px; `size`: size of the image, px.
    """
    assert mark.candidate is not None
    text = short(mark.candidate.score)
    margin = max(2, round(font.size / 8))
    half = draw.textlength(text, font) / 2 + margin
    x, y = ((place + 0.5) * factor for place in mark.xy)
    x = min(max(x, half), size[0] - half)
    fits = y + below + 1.3 * font.size < size[1]
    place, anchor = (x, y + below + margin if fits else y - below - margin), "mt" if fits else "mb"
    left, top, right, bottom = draw.textbbox(place, text, font, anchor)
    draw.rectangle((left - margin, top - margin, right + margin, bottom + margin), fill=EDGE)
    draw.text(place, text, mark.outcome.colour, font, anchor)


def _scale_bar(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], px_per_um: float, font: ImageFont.FreeTypeFont, um: int = 20
) -> None:
    """Draws a scale bar with its length at the lower left."""
    left, bottom, long = round(0.8 * font.size), size[1] - round(0.8 * font.size), round(um * px_per_um)
    thick = max(3, round(font.size / 4))
    draw.rectangle([left - 1, bottom - thick - 1, left + long + 1, bottom + 1], fill=EDGE)
    draw.rectangle([left, bottom - thick, left + long, bottom], fill=PAPER)
    _write(draw, (left, bottom - thick - 1.45 * font.size), f"{um} um", PAPER, font)


def _with_legend(image: Image.Image, id: str, marks: Sequence[Mark], font: ImageFont.FreeTypeFont) -> Image.Image:
    """Adds a strip below the image with the frame's id and the number of marks of each kind."""
    line = round(1.9 * font.size)
    strip = Image.new("RGB", (image.width, image.height + line), PAPER)
    strip.paste(image, (0, 0))
    draw = ImageDraw.Draw(strip)
    x, y = 0.6 * font.size, image.height + 0.4 * font.size
    draw.text((x, y), id, INK, font)
    x += draw.textlength(id, font) + 1.6 * font.size
    outcomes = [mark.outcome for mark in marks]
    for outcome in [UNLABELLED] if UNLABELLED in outcomes else OUTCOMES.values():
        stamp = _stamp(outcome, (0.5 * font.size, 0.5 * font.size), max(2, round(font.size / 7)))
        strip.paste(stamp, (round(x), round(image.height + line / 2 - stamp.height / 2)), stamp)
        text = f"{outcomes.count(outcome)} {outcome.title}{'' if outcomes.count(outcome) == 1 else 's'}"
        x += stamp.width + 0.3 * font.size
        draw.text((x, y), text, INK, font)
        x += draw.textlength(text, font) + 1.4 * font.size
    return strip


def _write(
    draw: ImageDraw.ImageDraw, xy: tuple[float, float], text: str, colour: str, font: ImageFont.FreeTypeFont
) -> None:
    draw.text(xy, text, colour, font, stroke_width=max(1, round(font.size / 8)), stroke_fill=EDGE)


def _fitting(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """Cuts the text if it is wider than `width` px."""
    while font.getlength(text) > width:
        text = f"{text[:-2]}…"
    return text


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font
