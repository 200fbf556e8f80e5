"""`blobs`: dark, round spots of haematoxylin. A classical detector that learns nothing, in one file.

Colour deconvolution (Ruifrok and Johnston 2001) estimates how much haematoxylin each pixel contains; the Laplacian of
Gaussian at several scales (Lindeberg 1998) responds where a disc of about that size is darker than its surroundings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_laplace
from skimage.color import rgb2hed
from skimage.feature import peak_local_max
from skimage.transform import resize

from mitobench import api
from mitobench.api import Detections, Field, Floats, Frame

STRIP = 256  # rows whose colours are separated at once
EVEN = 1e-5  # optical density: greatest contrast that the truncated filter finds in an area of one colour


class BlobsOptions(api.Options):
    """Options of `blobs`. Lengths are in um, so the same values work for every scanner."""

    mpp: float = Field(0.5, ge=0.1, le=1, description="Resolution at which blobs are searched for, um/px.")
    radius_min: float = Field(4.5, gt=0, description="Radius of the smallest blob, um.")
    radius_max: float = Field(5.5, gt=0, description="Radius of the largest blob, um.")
    radii: int = Field(2, ge=1, le=256, description="Number of radii searched, from the smallest to the largest.")
    distance: float = Field(4.0, gt=0, description="If two blobs are closer than this, the weaker one is dropped, um.")
    contrast: float = Field(
        0.1, gt=0, description="Contrast of a blob with its surroundings that gives a score of .5, in optical density."
    )
    floor: float = Field(0.1, ge=0, lt=1, description="Candidates at or below this score are dropped.")
    max_candidates: int = Field(
        300, ge=1, le=100_000, description="Greatest number of candidates per frame; the best are kept."
    )


class Blobs(api.Detector):
    """Multi-scale blobs in the haematoxylin channel, scored by how much darker than their surroundings they are."""

    name = "blobs"
    version = "1"
    Options = BlobsOptions
    uses_boxes = False  # it learns nothing
    limits: ClassVar[Mapping[str, float]] = {"max_candidates": 100}

    def predict(self, frame: Frame) -> Detections:
        """Returns at most `max_candidates` candidates with a score above `floor`, the best first."""
        options = self.options
        stain = _haematoxylin(frame, options.mpp)
        radii = np.linspace(options.radius_min, options.radius_max, options.radii)
        contrast = np.stack([_contrast(stain, radius / options.mpp) for radius in radii])
        strongest = contrast.max(axis=0)
        peaks = peak_local_max(
            strongest,
            min_distance=max(1, round(options.distance / options.mpp)),
            threshold_abs=_least(options.floor, options.contrast),
            exclude_border=False,
        )
        rows, columns = peaks.T
        radius = radii[contrast.argmax(axis=0)[rows, columns]]
        score = _score(strongest[rows, columns], options.contrast)
        keep = np.argsort(-score, kind="stable")[: options.max_candidates]
        keep = keep[score[keep] > options.floor]
        return _detections(frame, stain.shape, peaks[keep], radius[keep], score[keep])


def _haematoxylin(frame: Frame, mpp: float) -> Floats:
    """Returns the optical density of haematoxylin at `mpp` um/px, [H, W]."""
    density = _density(frame.read())
    shape = [max(1, round(n * was / mpp)) for n, was in zip(frame.size[::-1], frame.mpp[::-1], strict=True)]
    stain: Floats = resize(density, shape, anti_aliasing=True)
    return stain


def _density(pixels: NDArray[np.uint8]) -> Floats:
    """Returns the optical density of haematoxylin, [H, W], of RGB pixels, [H, W, 3]. Strips save memory."""
    density = np.empty(pixels.shape[:2])
    for top in range(0, len(pixels), STRIP):
        density[top : top + STRIP] = rgb2hed(pixels[top : top + STRIP])[..., 0]
    return density


def _contrast(stain: Floats, radius: float) -> Floats:
    """Returns the contrast of a disc of `radius` px at each pixel: the scale-normalised LoG, [H, W]."""
    sigma = radius / np.sqrt(2)  # the scale with the strongest response to a disc of that radius
    response: Floats = -(sigma**2) * gaussian_laplace(stain, sigma, mode="nearest")
    return response


def _score(contrast: Floats, half: float) -> Floats:
    """Turns contrast (positive) into a score between 0 and 1; a contrast of `half` becomes .5."""
    score: Floats = contrast / (contrast + half)
    return score


def _least(score: float, half: float) -> float:
    """Returns the contrast that gives a score, at least EVEN.

    Every pixel of an even area is as high as its neighbours, and comparing so many peaks takes hours.
    """
    return max(half * score / (1 - score) * (1 - 1e-9), EVEN)


def _detections(frame: Frame, shape: tuple[int, ...], peaks: Floats, radius: Floats, score: Floats) -> Detections:
    """Turns peaks (row, column) of the small image into detections in frame pixels, with boxes of the blobs' size."""
    xy = (peaks[:, ::-1] + 0.5) * np.asarray(frame.size) / np.asarray(shape[::-1]) - 0.5
    half = radius[:, None] / np.asarray(frame.mpp)
    return Detections(xy, np.concatenate([xy - half, xy + half], axis=1), score)
