"""`fixed`: puts the same square around every centroid."""

from __future__ import annotations

from mitobench import api
from mitobench.api import BoxEstimator, Field, Floats, Frame, Mitoses, clip_boxes, square_boxes


class FixedOptions(api.Options):
    """Options of `fixed`."""

    side: float = Field(30.0, gt=0, description="Side of a box, px.")


class Fixed(BoxEstimator):
    """Squares of a fixed size around the centroids."""

    name = "fixed"
    version = "1"
    Options = FixedOptions

    def boxes(self, frame: Frame, mitoses: Mitoses) -> Floats:
        """Returns squares around the centroids, cut off at the edges of the frame: [N, 4] px."""
        return clip_boxes(square_boxes(mitoses.xy, self.options.side), frame.size)
