"""`Findings`: what a model found on one image. Everything that is reported about an image is computed from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mitobench.model.model import Prediction
from mitobench.slides.tissue import Tissue


@dataclass(frozen=True)
class Findings:
    """What a model found on one image.

    Attributes:
        name: of its output files, without suffix.
        path: the image file.
        size: width and height at full resolution, px.
        mpp: um/px along x and y that were used.
        found: all candidates above the model's candidate threshold, px of the full resolution, sorted by score, the
            highest first.
        threshold: a score at or above it is a mitosis.
        tissue: where mitoses were searched for, without the parts that could not be decoded.
        notes: what was converted, guessed, odd or left out, each without the file's name.
        page: the page of the file that was read, from 1 on; None: the only image.
        failed: corners (x1, y1, x2, y2) in px of the parts that could not be searched.
    """

    name: str
    path: Path
    size: tuple[int, int]
    mpp: tuple[float, float]
    found: Prediction
    threshold: float
    tissue: Tissue
    notes: tuple[str, ...] = ()
    page: int | None = None
    failed: tuple[tuple[int, int, int, int], ...] = ()

    @property
    def mitoses(self) -> int:
        """Number of candidates at or above the threshold."""
        return int(self.found.is_mitosis.sum())
