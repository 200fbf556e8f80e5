"""The places that a GeoJSON geometry marks: each of its points, and the middle of each of its outlines."""

from __future__ import annotations

from typing import Any

from mitobench.errors import MitobenchError
from mitobench.foreign.text import printable

XY = tuple[float, float]


def places(geometry: Any, where: str, error: type[MitobenchError] = MitobenchError) -> list[XY]:
    """Returns x and y of each point, and of the middle of the bounding box of each outline; holes do not count.

    Args:
        geometry: a Point, MultiPoint, Polygon or MultiPolygon. QuPath's tool for points exports MultiPoint.
        where: file and feature, for messages.
        error: class of the error to raise.

    Raises `error` for lines, a geometry without coordinates, and coordinates that are not numbers.
    """
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    given = geometry.get("coordinates") if isinstance(geometry, dict) else None
    if kind not in ("Point", "MultiPoint", "Polygon", "MultiPolygon"):
        what = f"is a {printable(str(kind), 40)}" if kind else "has no geometry with a type"
        raise error(f"{where}: {what}. Export points or polygons; remove lines.")
    if not isinstance(given, list) or not given:
        raise error(f"{where}: has no geometry with coordinates [x, y]. Export points or polygons.")
    if kind == "Point":
        return [_position(given, where, error)]
    if kind == "MultiPoint":
        return [_position(one, where, error) for one in given]
    return [_middle(one, where, error) for one in ([given] if kind == "Polygon" else given)]


def _middle(rings: Any, where: str, error: type[MitobenchError]) -> XY:
    if not isinstance(rings, list) or not rings or not all(isinstance(ring, list) and ring for ring in rings):
        raise error(f"{where}: its outline is not a list of rings of [x, y]. Export it again.")
    across, down = zip(*(_position(one, where, error) for one in rings[0]), strict=True)
    return (min(across) + max(across)) / 2, (min(down) + max(down)) / 2


def _position(one: Any, where: str, error: type[MitobenchError]) -> XY:
    numbers = isinstance(one, list) and len(one) >= 2 and all(type(value) in (int, float) for value in one)
    if not numbers:
        raise error(f"{where}: its coordinates are not pairs of numbers: {printable(repr(one), 40)}. Export it again.")
    return float(one[0]), float(one[1])
