"""The heat map of a slide: mitoses per mm2 in the area of the hot spot around every place, in colours."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitobench.atomic import atomic_file
from mitobench.slides.areas import Area, Counts
from mitobench.slides.tissue import Tissue

Pixels = NDArray[np.uint8]

MIN_STEP_UM = 32.0  # side of a pixel; the map is smooth over the size of the area, which is much larger
MIN_TOP = 5.0  # mitoses per mm2 of the darkest colour at least, so that single mitoses do not look like many
MAX_OPACITY = 0.8  # of the colours over the slide
OFF_TISSUE = 255  # grey value
TILE, MIN_LEVEL = 256, 128  # px: side of a tile, and of the smallest resolution at least


@dataclass(frozen=True)
class HeatMap:
    """Mitoses per mm2 around every place of a slide.

    Attributes:
        per_mm2: float32 [rows, columns].
        tissue: whether the place lies on tissue, bool [rows, columns].
        step_um: side of a pixel, um.
        top: mitoses per mm2 of the darkest colour.
    """

    per_mm2: NDArray[np.float32]
    tissue: NDArray[np.bool_]
    step_um: float
    top: float

    @property
    def shades(self) -> Pixels:
        """0 for no mitoses to 255 for `top`, [rows, columns]."""
        shades: Pixels = np.rint(self.per_mm2 / self.top * 255).clip(0, 255).astype(np.uint8)
        return shades

    def rgb(self) -> Pixels:
        """The map in colours, [rows, columns, 3]; white off the tissue."""
        pixels = colours()[self.shades]
        pixels[~self.tissue] = OFF_TISSUE
        return pixels

    def over(self, slide: Pixels) -> Pixels:
        """Returns a reduced copy of the slide in grey with the colours over it.

        Args:
            slide: uint8 RGB [h, w, 3], the whole slide. The map covers it from its upper left corner, and may extend
                beyond its right and lower border by less than a pixel of the map.
        """
        height, width = slide.shape[:2]
        opacity = np.where(self.tissue, self.shades, 0) * MAX_OPACITY
        shades, mask = (_resized(layer, (width, height)) for layer in (self.shades, opacity.astype(np.uint8)))
        grey = Image.fromarray(slide).convert("L").convert("RGB")
        picture: Pixels = np.array(Image.composite(Image.fromarray(colours()[shades]), grey, Image.fromarray(mask)))
        return picture


def heat_map(counts: Counts, tissue: Tissue, area: Area) -> HeatMap:
    """Returns the heat map of the mitoses in the area around the centre of every cell of the tissue mask.

    Args:
        counts: int32 [rows, columns], from `HotSpots.counts`.
        tissue: the mask.
        area: the area in which they were counted.
    """
    factor = max(1, round(MIN_STEP_UM / tissue.step_um))
    per_mm2 = (_means(counts, factor) / area.mm2).astype(np.float32)
    on_tissue = _means(tissue.mask, factor) >= 0.5
    top = max(MIN_TOP, float(np.ceil(per_mm2[on_tissue].max(initial=0.0))))
    return HeatMap(per_mm2, on_tissue, tissue.step_um * factor, top)


@lru_cache
def colours() -> Pixels:
    """256 colours from pale yellow to dark red, uint8 RGB [256, 3]. Their lightness alone shows the order."""
    from matplotlib import colormaps

    table: Pixels = (colormaps["YlOrRd"](np.arange(256), bytes=True)[:, :3]).copy()
    return table


def write_ome_tiff(path: Path, heat: HeatMap) -> None:
    """Writes the map as a tiled OME-TIFF in colours with um/px, and smaller resolutions in the same file.

    Its description says what the colours mean. Equal maps give equal files. Raises OSError, and MitobenchError if the
    path cannot be written.
    """
    import tifffile

    levels = _levels(heat.rgb())
    meaning = f"Mitoses per mm2, from 0 (pale yellow) to {heat.top:g} (dark red). White: no tissue."
    metadata = {
        "axes": "YXS",
        "PhysicalSizeX": heat.step_um,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": heat.step_um,
        "PhysicalSizeYUnit": "µm",
        "Description": meaning,
        "UUID": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{meaning} {heat.step_um} {heat.shades.tobytes().hex()}")),
    }
    options: dict[str, Any] = {
        "photometric": "rgb",
        "tile": (TILE, TILE),
        "compression": "zlib",
        "resolutionunit": "CENTIMETER",
    }
    with atomic_file(path) as tmp, tifffile.TiffWriter(tmp, ome=True) as tiff:
        for number, level in enumerate(levels):
            per_cm = 1e4 / (heat.step_um * 2**number)
            which: dict[str, Any] = {"subfiletype": 1} if number else {"subifds": len(levels) - 1, "metadata": metadata}
            tiff.write(level, resolution=(per_cm, per_cm), software="mitobench", **which, **options)


def _means(grid: NDArray[np.generic], factor: int) -> NDArray[np.float64]:
    """Means over squares of `factor` cells; those at the right and lower border may have fewer cells."""
    rows, columns = (np.arange(0, length, factor) for length in grid.shape)
    sums = np.add.reduceat(np.add.reduceat(grid.astype(np.float64), rows, axis=0), columns, axis=1)
    sizes = [np.diff(np.append(starts, n)) for starts, n in zip((rows, columns), grid.shape, strict=True)]
    means: NDArray[np.float64] = sums / np.outer(*sizes)
    return means


def _resized(layer: Pixels, size: tuple[int, int]) -> Pixels:
    return np.array(Image.fromarray(layer).resize(size, Image.Resampling.BILINEAR))


def _levels(pixels: Pixels) -> list[Pixels]:
    """The map, and copies of half the size until they are small."""
    levels = [pixels]
    while min(levels[-1].shape[:2]) >= 2 * MIN_LEVEL:
        height, width = levels[-1].shape[:2]
        image = Image.fromarray(levels[-1]).resize((width // 2, height // 2), Image.Resampling.BOX)
        levels.append(np.array(image))
    return levels
