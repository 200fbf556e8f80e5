"""What is read of a GeoJSON feature: the places that it marks, and its properties."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from mitobench.errors import MitobenchError
from mitobench.foreign.text import printable

XY = tuple[float, float]


def features_of(content: Any, where: str, error: type[MitobenchError] = MitobenchError) -> list[dict[str, Any]]:
    """Returns the features of a collection, of a list, or a single one. Raises `error` for anything else."""
    if isinstance(content, dict) and content.get("type") == "Feature":
        return [content]
    features = content.get("features", None if content else []) if isinstance(content, dict) else content
    if not isinstance(features, list):
        raise error(f"{where}: `features` must be a list. Export the objects as GeoJSON again.")
    for number, feature in enumerate(features):
        if not isinstance(feature, dict) or feature.get("type") != "Feature":
            raise error(f"{where}: feature {number}: is not an object of the type Feature. Export it again.")
    return features


def properties_of(
    feature: Mapping[str, Any], where: str, error: type[MitobenchError] = MitobenchError
) -> dict[str, Any]:
    """Returns the properties of a feature. Raises `error` if they are not an object."""
    properties = feature.get("properties")
    if properties is None:
        return {}
    if not isinstance(properties, dict):
        raise error(f"{where}: `properties` must be an object, not {_short(properties)}. Export it again.")
    return properties


def texts_of(
    properties: Mapping[str, Any], unused: Collection[str], where: str, error: type[MitobenchError] = MitobenchError
) -> dict[str, str]:
    """Returns the properties that may hold a class, as texts, without those that are `unused`.

    QuPath's classification is an object with a name or a list of names. Raises `error` for another one.
    """
    texts = {}
    for name, value in properties.items():
        if name == "classification" and isinstance(value, dict):
            value = value.get("name") or value.get("names") or ""
            value = " ".join(map(str, value)) if isinstance(value, list) else value
        if name == "classification" and not isinstance(value, (str, int, type(None))):
            raise error(f"{where}: the classification has no name. Correct it.")
        if isinstance(value, (str, int)) and name not in unused:
            texts[name] = str(value)
    return texts


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
        raise error(f"{where}: its coordinates are not pairs of numbers: {_short(one)}. Export it again.")
    return float(one[0]), float(one[1])


def _short(value: Any) -> str:
    return printable(repr(value), 40)
