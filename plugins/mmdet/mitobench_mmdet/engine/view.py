"""A square patch of a frame, rotated, mirrored and enlarged by one affine map for pixels, masks and boxes.

Points and boxes are measured in px from the upper left corner of the first pixel, as in PIL and MMDetection.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitobench.training import crop

Floats = NDArray[np.float64]

EDGE = 0.5  # px from the upper left corner of a pixel to its centre, which is a whole number in mitobench


@dataclass(frozen=True)
class View:
    """A square patch of a frame: p -> (turn @ (p - centre) - corner) * scale.

    Attributes:
        turn: orthogonal matrix, [2, 2]: rotation and mirroring about `centre`.
        centre: centre of the frame, px.
        corner: upper left corner of the patch in the rotated frame, px from the centre.
        side: side of the patch, px of the frame.
        pixels_side: side of the patch, px of the enlarged image.
    """

    turn: Floats
    centre: Floats
    corner: Floats
    side: int
    pixels_side: int

    @property
    def scale(self) -> float:
        """Pixels of the enlarged patch per pixel of the frame."""
        return self.pixels_side / self.side

    def points(self, xy: Floats) -> Floats:
        """Maps points, [N, 2], of the frame to the enlarged patch."""
        return ((xy - self.centre) @ self.turn.T - self.corner) * self.scale

    def back(self, xy: Floats) -> Floats:
        """Maps points, [N, 2], of the enlarged patch to the frame."""
        return (xy / self.scale + self.corner) @ self.turn + self.centre

    def inside(self, size: NDArray[np.int64]) -> bool:
        """Returns whether the whole patch is inside the frame, so that it needs no padding."""
        corners = self._corners()
        return bool((corners > -1e-6).all() and (corners < size + 1e-6).all())

    def _corners(self) -> Floats:
        return self.back(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]) * self.pixels_side)

    def pixels(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cuts the enlarged patch, with bilinear interpolation."""
        corners = self._corners()
        left, top = np.floor(corners.min(axis=0)).astype(int) - 1
        right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1
        around = Image.fromarray(crop(image, left, top, right - left, bottom - top))
        inverse = self.turn.T / self.scale
        offset = self.back(np.zeros(2)) - [left, top]
        coefficients = (*inverse[0], offset[0], *inverse[1], offset[1])
        side = (self.pixels_side, self.pixels_side)
        return np.asarray(around.transform(side, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR))

    def of_mask(self, mask: NDArray[np.int64], factors: Floats) -> tuple[Floats, Floats, float]:
        """Returns the box of a mask, [P, 2], its part inside the patch, and the mask's area in the patch, px^2."""
        pixel = self.scale * factors
        xy = self.points((mask + EDGE) * factors)
        within = xy[((xy > 0) & (xy < self.pixels_side)).all(axis=1)]
        if not len(within):
            return np.zeros(4), np.zeros(4), 0.0
        whole, part = (np.concatenate([p.min(axis=0) - pixel / 2, p.max(axis=0) + pixel / 2]) for p in (xy, within))
        return whole, part.clip(0, self.pixels_side), len(within) * float(pixel.prod())

    def of_box(self, box: Floats, factors: Floats) -> tuple[Floats, Floats, float]:
        """Returns a box moved to its rotated centre, its part inside the patch, and the area of that part, px^2."""
        centre = self.points((box[:2] + box[2:]) / 2 * factors)
        half = (box[2:] - box[:2]) / 2 * factors * self.scale
        if abs(self.turn[0, 0]) < 0.5:  # a rotation by 90 degrees exchanges width and height
            half = half[::-1]
        whole = np.concatenate([centre - half, centre + half])
        part = whole.clip(0, self.pixels_side)
        return whole, part, float(np.prod((part[2:] - part[:2]).clip(min=0)))


def turning(angle: int, mirrored: bool) -> Floats:
    """Returns the matrix of a rotation by `angle` degrees, after mirroring left to right if `mirrored`."""
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    if angle % 90 == 0:
        cosine, sine = np.rint(cosine), np.rint(sine)
    return np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
