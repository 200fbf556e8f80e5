"""`blobs`: dark, round spots of haematoxylin. A classical detector that learns nothing, in one file.

Colour deconvolution (Ruifrok and Johnston 2001) tells how much haematoxylin each pixel holds; the Laplacian of
Gaussian at several scales (Lindeberg 1998) answers where a disc of about that scale stands out from what is around it.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_laplace
from skimage.color import rgb2hed
from skimage.feature import peak_local_max
from skimage.transform import resize

from mitobench import api
from mitobench.api import Detections, Field, Floats, Frame


class BlobsOptions(api.Options):
    """Lengths are in um: the same options serve every scanner."""

    mpp: float = Field(0.5, ge=0.1, le=1, description="Resolution at which blobs are searched, um/px.")
    radius_min: float = Field(4.5, gt=0, description="Radius of the smallest blob, um.")
    radius_max: float = Field(5.5, gt=0, description="Radius of the largest blob, um.")
    radii: int = Field(2, ge=1, le=256, description="Number of radii searched, from the smallest to the largest.")
    distance: float = Field(4.0, gt=0, description="Of two blobs closer than this the weaker is dropped, um.")
    contrast: float = Field(0.1, gt=0, description="Contrast of a blob with its surroundings that scores .5, in OD.")
    floor: float = Field(0.1, ge=0, lt=1, description="Candidates at or below this score are dropped.")
    max_candidates: int = Field(300, ge=1, le=100_000, description="Best candidates kept a frame.")


class Blobs(api.Detector):
    """Multi-scale blobs in the haematoxylin channel, scored by how much darker than their surroundings they are."""

    name = "blobs"
    version = "1"
    Options = BlobsOptions
    uses_boxes = False  # learns nothing, hence has no use for an estimator's boxes

    def predict(self, frame: Frame) -> Detections:
        """Candidates above `floor`, best first, at most `max_candidates`."""
        options = self.options
        stain = _haematoxylin(frame, options.mpp)
        radii = np.linspace(options.radius_min, options.radius_max, options.radii)
        contrast = np.stack([_contrast(stain, radius / options.mpp) for radius in radii])
        strongest = contrast.max(axis=0)
        peaks = peak_local_max(
            strongest, min_distance=max(1, round(options.distance / options.mpp)), threshold_abs=0, exclude_border=False
        )
        rows, columns = peaks.T
        radius = radii[contrast.argmax(axis=0)[rows, columns]]
        score = _score(strongest[rows, columns], options.contrast)
        keep = np.argsort(-score, kind="stable")[: options.max_candidates]
        keep = keep[score[keep] > options.floor]
        return _detections(frame, stain.shape, peaks[keep], radius[keep], score[keep])


def _haematoxylin(frame: Frame, mpp: float) -> Floats:
    """Optical density of haematoxylin at `mpp` um/px, [H, W]."""
    density = rgb2hed(frame.read())[..., 0]
    shape = [max(1, round(n * was / mpp)) for n, was in zip(frame.size[::-1], frame.mpp[::-1], strict=True)]
    stain: Floats = resize(density, shape, anti_aliasing=True)
    return stain


def _contrast(stain: Floats, radius: float) -> Floats:
    """How much a disc of `radius` px at each pixel stands out: the scale-normalised LoG, [H, W]."""
    sigma = radius / np.sqrt(2)  # the scale at which a disc of that radius answers most
    response: Floats = -(sigma**2) * gaussian_laplace(stain, sigma, mode="nearest")
    return response


def _score(contrast: Floats, half: float) -> Floats:
    """Contrast (positive) as a score between 0 and 1; `half` scores .5."""
    score: Floats = contrast / (contrast + half)
    return score


def _detections(frame: Frame, shape: tuple[int, ...], peaks: Floats, radius: Floats, score: Floats) -> Detections:
    """Peaks (row, column) of the small image as detections in frame pixels, each in a box of its blob's diameter."""
    xy = (peaks[:, ::-1] + 0.5) * np.asarray(frame.size) / np.asarray(shape[::-1]) - 0.5
    half = radius[:, None] / np.asarray(frame.mpp)
    return Detections(xy, np.concatenate([xy - half, xy + half], axis=1), score)
