"""The ground truth of MIDOG 2025's evaluator: points in mm, tumour domain and kind of region of each image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitobench.errors import MitobenchError, nearest
from mitobench.foreign.text import printable
from mitobench.foreign.versions import check_version

REGIONS = ("hotspot", "challenging", "random")
_KEYS = ("annotations", "tumor domain", "roi type")


@dataclass(frozen=True)
class TruthEntry:
    """The annotation of one image: x and y of its mitoses in mm, the tumour domain and the kind of region."""

    points: tuple[tuple[float, float], ...]
    tumour: int | str
    region: str


def truth_entries(content: Any, path: Path, error: type[MitobenchError] = MitobenchError) -> dict[str, TruthEntry]:
    """Checks `{"007.tiff": {"annotations": [[x_mm, y_mm, 0]], "tumor domain": 0, "roi type": "hotspot"}}`.

    Raises `error` with the image and key of anything missing or wrong, for a file of a newer version, and for two
    images of one name in different folders.
    """
    if not isinstance(content, dict) or not content:
        raise error(f"{path}: must be an object with an entry for each image.")
    if "version" in content:
        check_version(path, content, "ground truth", error)
        content = {image: case for image, case in content.items() if image != "version"}
    names: dict[str, str] = {}
    for image in content:
        other = names.setdefault(Path(image.replace("\\", "/")).stem.lower(), image)
        if other != image:
            raise error(f"{path}: {other} and {image} are the same image, apart from folder and suffix. Keep one.")
    return {image: _entry(f"{path}: {printable(image, 60)}", case, error) for image, case in content.items()}


def _entry(where: str, case: Any, error: type[MitobenchError]) -> TruthEntry:
    if not isinstance(case, dict):
        raise error(f"{where}: must be an object with {', '.join(_KEYS[:2])} and {_KEYS[2]}.")
    for key in _KEYS:
        if key not in case:
            raise error(f"{where}: {key!r} is missing. Add it.")
    points, tumour, region = (case[key] for key in _KEYS)
    if region not in REGIONS:
        raise error(f"{where}: roi type {printable(repr(region), 40)} is unknown. {nearest(str(region), REGIONS)}")
    if isinstance(tumour, bool) or not isinstance(tumour, (int, str)):
        raise error(f"{where}: tumor domain must be a number or a text.")
    if not isinstance(points, list):
        raise error(f"{where}: annotations must be a list of [x, y, z] in mm.")
    return TruthEntry(tuple(_point(f"{where}: annotation {n}", p, error) for n, p in enumerate(points)), tumour, region)


def _point(where: str, point: Any, error: type[MitobenchError]) -> tuple[float, float]:
    if not isinstance(point, list) or len(point) not in (2, 3) or not all(type(n) in (int, float) for n in point):
        raise error(f"{where}: must have coordinates [x, y, z] in mm.")
    return float(point[0]), float(point[1])
