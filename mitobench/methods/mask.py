"""`mask`: the bounding box of every annotated mask."""

from __future__ import annotations

import numpy as np

from mitobench.api import BoxEstimator, Floats, Frame, Mitoses


class Mask(BoxEstimator):
    """The smallest box that holds all pixels of a mitosis."""

    name = "mask"
    version = "1"
    needs_masks = True

    def boxes(self, frame: Frame, mitoses: Mitoses) -> Floats:
        """Bounding boxes of the masks, [N, 4] px; x2 and y2 are the first pixels outside."""
        spans = [np.concatenate([pixels.min(axis=0), pixels.max(axis=0) + 1]) for pixels in mitoses.masks or ()]
        return np.array(spans, dtype=np.float64).reshape(-1, 4)
