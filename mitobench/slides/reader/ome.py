"""Reads what an OME-TIFF's description (OME-XML) says about its image. Opens no file that the description names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from xml.etree import ElementTree

from mitobench.foreign.limits import MAX_DESCRIPTION_BYTES

_COLOURS = {0xFF0000: "red", 0x00FF00: "green", 0x0000FF: "blue"}
_NAMES = {"r": "red", "g": "green", "b": "blue", "red": "red", "green": "green", "blue": "blue"}


@dataclass(frozen=True)
class Description:
    """What OME-XML says.

    Attributes:
        pixels: the attributes of the element `Pixels` of the first image.
        several: what the file holds more than one of: `5 planes (z)`, `2 times`, `4 channels`; None: nothing.
        colours: the colours of channels that have a page each, by their names or their colours; empty if unknown.
        names: the name of the image that begins at a page, by the page's index.
    """

    pixels: Mapping[str, str] = field(default_factory=dict)
    several: str | None = None
    colours: tuple[str, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)


def read(text: str) -> Description:
    """Reads a TIFF's description; an empty result if it is not OME-XML."""
    if "<OME" not in text[:4096] or len(text) > MAX_DESCRIPTION_BYTES or "<!DOCTYPE" in text or "<!ENTITY" in text:
        return Description()
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return Description()
    found = [_described(element) for element in root.iter() if element.tag.rpartition("}")[2] == "Pixels"]
    return replace(found[0], names=dict(_names(root))) if found else Description()


def _names(root: ElementTree.Element) -> Iterator[tuple[int, str]]:
    images = [element for element in root.iter() if element.tag.rpartition("}")[2] == "Image"]
    for image in images:
        for element in image.iter():
            index = element.get("IFD", "0")
            if element.tag.rpartition("}")[2] == "TiffData" and index.isdecimal():
                yield int(index), image.get("Name", "")


def _described(element: ElementTree.Element) -> Description:
    channels = [child for child in element if child.tag.rpartition("}")[2] == "Channel"]
    separate = [channel for channel in channels if channel.get("SamplesPerPixel", "1") == "1"]
    several = []
    if element.get("SizeZ", "1") != "1":
        several.append(f"{element.get('SizeZ')} planes (a z-stack)")
    if element.get("SizeT", "1") != "1":
        several.append(f"{element.get('SizeT')} times")
    if len(separate) > 1 and len(separate) != 3:
        several.append(f"{len(separate)} channels")
    colours = [_colour(channel) for channel in separate]
    known = tuple(colour for colour in colours if colour) if all(colours) else ()
    return Description(element.attrib, " and ".join(several) or None, known)


def _colour(channel: ElementTree.Element) -> str | None:
    """Returns `red`, `green` or `blue`: by the channel's name, otherwise by its colour (RGBA, a signed integer)."""
    name = _NAMES.get(channel.get("Name", "").strip().lower())
    if name or channel.get("Name"):
        return name
    try:
        return _COLOURS.get((int(channel.get("Color", "")) & 0xFFFFFFFF) >> 8)
    except ValueError:
        return None
