"""`fixed`: the same square around every centroid."""

from __future__ import annotations

import numpy as np

from mitobench import api
from mitobench.api import BoxEstimator, Field, Floats, Frame, Mitoses, clip_boxes


def fixed_boxes(xy: Floats, side: float, size: tuple[int, int]) -> Floats:
    """Squares of `side` px around `xy` [N, 2], cut off at the edge of a frame of `size` (width, height): [N, 4] px."""
    return clip_boxes(np.concatenate([xy - side / 2, xy + side / 2], axis=1), size)


class FixedOptions(api.Options):
    """Options of `fixed`."""

    side: float = Field(30.0, gt=0, description="Side of a box, px.")


class Fixed(BoxEstimator):
    """A square of fixed size, which needs nothing but the centroid."""

    name = "fixed"
    version = "1"
    Options = FixedOptions

    def boxes(self, frame: Frame, mitoses: Mitoses) -> Floats:
        """Squares around the centroids, [N, 4] px."""
        return fixed_boxes(mitoses.xy, self.options.side, frame.size)
