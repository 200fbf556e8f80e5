"""`mask`: takes the bounding box of every annotated mask."""

from __future__ import annotations

import numpy as np

from mitobench.api import BoxEstimator, Floats, Frame, Mitoses, mask_box


class Mask(BoxEstimator):
    """The smallest box that contains all pixels of a mitosis."""

    name = "mask"
    version = "1"
    needs_masks = True

    def boxes(self, frame: Frame, mitoses: Mitoses) -> Floats:
        """Returns the bounding boxes of the masks, [N, 4] px."""
        return np.array([mask_box(pixels) for pixels in mitoses.masks or ()]).reshape(-1, 4)
