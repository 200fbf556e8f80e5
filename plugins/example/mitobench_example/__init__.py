"""`dark-spots`: a detector that finds the darkest spots of a frame. It learns nothing."""

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter

from mitobench import api


class DarkSpotsOptions(api.Options):
    """Options of `dark-spots`. Lengths are in um, so the same values work for every scanner."""

    radius: float = api.Field(4.0, gt=0, description="Radius of a spot, um.")
    floor: float = api.Field(0.2, ge=0, lt=1, description="Spots at or below this score are dropped.")


class DarkSpots(api.Detector):
    """Finds local maxima of the darkness, smoothed over the size of a spot. The darkness is the score."""

    name = "dark-spots"
    version = "1"
    api_version = 1
    Options = DarkSpotsOptions
    uses_boxes = False  # it learns nothing, so it needs no boxes

    def predict(self, frame: api.Frame) -> api.Detections:
        """Returns all spots above `floor`. The harness chooses the threshold on validation frames."""
        radius = self.options.radius / np.asarray(frame.mpp[::-1])  # px along y and x
        darkness = gaussian_filter(1 - frame.read().mean(axis=2) / 255, radius / 2)
        peaks = darkness == maximum_filter(darkness, tuple(2 * radius.astype(int) + 1))
        rows, columns = np.nonzero(peaks & (darkness > self.options.floor))
        xy = np.stack([columns, rows], axis=1)
        return api.Detections.from_points(xy, darkness[rows, columns], side=2 * self.options.radius / frame.mpp[0])
