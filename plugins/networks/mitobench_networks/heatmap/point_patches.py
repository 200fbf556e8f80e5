"""Training items of the heat map: patches with the map that they should give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mitobench.training import PointPatchStream, target_map
from mitobench_networks.heatmap.options import HeatmapOptions

__all__ = ["HeatmapStream", "target_map"]


@dataclass
class HeatmapStream(PointPatchStream):
    """Draws patches round mitoses, round hard negatives and from anywhere, with their target maps."""

    options: HeatmapOptions

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """`inputs`: uint8 [side, side, 3]; `targets`: float32 [side / stride, side / stride]."""
        options = self.options
        image, points = self.patch(rng)
        sigma = options.sigma_um / options.mpp / options.stride
        return {"inputs": image, "targets": target_map(points, len(image) // options.stride, options.stride, sigma)}
