"""`dark-spots`: the darkest spots of a frame. A detector that learns nothing."""

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter

from mitobench import api


class DarkSpotsOptions(api.Options):
    """Lengths are in um: the same options serve every scanner."""

    radius: float = api.Field(4.0, gt=0, description="Radius of a spot, um.")
    floor: float = api.Field(0.2, ge=0, lt=1, description="Spots at or below this score are dropped.")


class DarkSpots(api.Detector):
    """Local maxima of darkness, smoothed over a spot; darkness is the score."""

    name = "dark-spots"
    version = "1"
    api_version = 1
    Options = DarkSpotsOptions
    uses_boxes = False  # it learns nothing, so it needs no boxes of mitoses

    def predict(self, frame: api.Frame) -> api.Detections:
        """All spots above `floor`: the harness picks the threshold, on validation frames."""
        radius = self.options.radius / np.asarray(frame.mpp[::-1])  # px along y and x
        darkness = gaussian_filter(1 - frame.read().mean(axis=2) / 255, radius / 2)
        peaks = darkness == maximum_filter(darkness, tuple(2 * radius.astype(int) + 1))
        rows, columns = np.nonzero(peaks & (darkness > self.options.floor))
        xy = np.stack([columns, rows], axis=1)
        return api.Detections.from_points(xy, darkness[rows, columns], side=2 * self.options.radius / frame.mpp[0])
