"""Finds um/px in the tags and properties of image files."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from mitobench.foreign import printable
from mitobench.mpp import Mpp, differ, um_px

MIN_MPP, MAX_MPP = 0.1, 10.0  # um/px of a microscope's scan, or of a reduced copy of one; coarser is for printing

UM_PER_INCH, UM_PER_CM = 25_400.0, 10_000.0
_UNITS_UM = {
    "nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "\\u00b5m": 1.0, "mm": 1e3, "cm": 1e4,
    "m": 1e6, "in": UM_PER_INCH, "inch": UM_PER_INCH,
}  # fmt: skip

_DECIMAL = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)

TAGS, _DESCRIPTION = "resolution tags", "description"


class Found(NamedTuple):
    """um/px along x and y in one place of a file; None: none. `note` is on a number that cannot be read."""

    where: str
    x: float | None = None
    y: float | None = None
    note: str | None = None


def first_of(*places: Found) -> tuple[Mpp | None, list[str]]:
    """Returns um/px of the first place of a file that has any, and what is odd: also if a later place says others."""
    notes = [place.note for place in places if place.note]
    known = [place for place in places if place.x is not None and place.y is not None]
    if not known:
        return None, notes
    first, *others = known
    mpp, note = checked(first.x, first.y)
    notes += [note] if note else []
    for other in others:
        second, _ = checked(other.x, other.y)
        if mpp is not None and second is not None and differ(second, mpp):
            notes.append(
                f"the file says {um_px(mpp)} um/px in its {first.where} and {um_px(second)} in its {other.where}; "
                f"{um_px(mpp)} is used"
            )
    return mpp, notes


def checked(x: float | None, y: float | None) -> tuple[Mpp | None, str | None]:
    """Returns um/px along x and y if the file's values can be those of a microscope, and a note if they cannot.

    Values outside 0.1 to 10 um/px count as none. Resolutions for printing (72 dpi) count as none without a note.
    """
    if x is None or y is None:
        return None, None
    if not (math.isfinite(x) and math.isfinite(y)) or x <= 0 or y <= 0:
        return None, f"the um/px in the file ({x:g}, {y:g}) is not a positive number and is ignored"
    if all(MIN_MPP <= value < MAX_MPP for value in (x, y)):
        return (x, y), None
    if min(x, y) >= MAX_MPP:
        return None, None
    return None, f"the um/px in the file ({x:.4g}, {y:.4g}) is outside {MIN_MPP:g}-{MAX_MPP:g} and is ignored"


def of_dots(dots: object) -> Found:
    """Returns um/px from dots per inch along x and y, as Pillow gives them."""
    try:
        x, y = (float(value) for value in dots)  # type: ignore[attr-defined]
    except (TypeError, ValueError, ZeroDivisionError):
        return Found("tags")
    return Found("tags", UM_PER_INCH / x if x > 1 else None, UM_PER_INCH / y if y > 1 else None)


def of_tiff_tags(x: object, y: object, unit: object) -> Found:
    """Returns um/px from the tags XResolution, YResolution (fractions) and ResolutionUnit of a TIFF."""
    um = {2: UM_PER_INCH, 3: UM_PER_CM}.get(_integer(unit))
    return Found(TAGS) if um is None else Found(TAGS, _per_pixel(um, x), _per_pixel(um, y))


def of_description(text: str, x: object, y: object) -> Found:
    """Returns um/px from the description of a TIFF: Aperio (`MPP = 0.25`), or ImageJ (`unit=micron`)."""
    aperio = re.search(r"\|\s*MPP\s*=([^|\r\n]*)", text)
    if aperio:
        return of_mpp(aperio[1])
    if text.startswith("ImageJ="):
        unit = re.search(r"^unit=(.+)$", text, re.MULTILINE)
        um = _UNITS_UM.get(unit[1].strip().lower()) if unit else None
        if um is not None:
            return Found(_DESCRIPTION, _per_pixel(um, x), _per_pixel(um, y))
    return Found(_DESCRIPTION)


def of_mpp(text: str) -> Found:
    """Returns um/px from Aperio's number of them."""
    value, note = _number(text, "MPP")
    return Found(_DESCRIPTION, value, value, note)


def of_ome(pixels: Mapping[str, str]) -> Found:
    """Returns um/px from the attributes of the element `Pixels` of OME-XML."""
    found, notes = [], []
    for name in ("PhysicalSizeX", "PhysicalSizeY"):
        value, note = _number(pixels.get(name), name)
        um = _UNITS_UM.get(pixels.get(f"{name}Unit", "um").strip().lower())
        found.append(value * um if value is not None and um is not None else None)
        notes += [note] if note else []
    return Found("OME-XML", found[0], found[1], "; ".join(notes) or None)


def _integer(value: object) -> int:
    return int(value) if isinstance(value, int) else 0


def _per_pixel(um: float, resolution: object) -> float | None:
    if not (isinstance(resolution, tuple) and len(resolution) == 2):
        return None
    above, below = (value if isinstance(value, int) else 0 for value in resolution)
    return um * below / above if above and below else None


def _number(text: str | None, name: str) -> tuple[float | None, str | None]:
    """Returns a number, which may have a decimal comma; or a note if the text is something else."""
    if text is None:
        return None, None
    if not _DECIMAL.fullmatch(text.strip()):
        return None, f"the um/px in the file ({name} {printable(text.strip(), 40)!r}) is not a number and is ignored"
    return float(text.replace(",", ".")), None
