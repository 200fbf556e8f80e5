"""What a verifier learns from: patches around mitoses, candidates, imposters and plain background."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

from mitobench.api import Floats, Frame, Sample
from mitobench.training import crop_around, resample, scaled

CLEARANCE_UM = 16.0  # a background patch is centred at least this far from every mitosis: twice the widest radius

MITOSES = ("annotated mitoses", "detected mitoses")
OTHERS = ("imposters", "false detections", "background")

Pixels = NDArray[np.uint8]


def centres(sample: Sample, floor: float, background: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Centres of the training patches of one frame by where they come from (`MITOSES`, `OTHERS`), [N, 2] px.

    Args:
        sample: the frame with its mitoses and labelled candidates.
        floor: candidates at or below this score are left out.
        background: number of random centres, fewer where they fall near a mitosis.
        rng: draws them.
    """
    detected = false = np.zeros((0, 2))
    if sample.candidates is not None:
        used = sample.candidates.score > floor
        detected = sample.candidates.xy[used & sample.candidates.is_mitosis]
        false = sample.candidates.xy[used & ~sample.candidates.is_mitosis]
    return {
        "annotated mitoses": sample.mitoses.xy,
        "detected mitoses": detected,
        "imposters": sample.mitoses.imposters,
        "false detections": false,
        "background": _background(sample, background, rng),
    }


def _background(sample: Sample, count: int, rng: np.random.Generator) -> Floats:
    points: Floats = rng.uniform((0, 0), sample.frame.size, (count, 2)) - 0.5
    mpp = np.array(sample.frame.mpp)
    if not len(sample.mitoses):
        return points
    distance, _ = cKDTree(sample.mitoses.xy * mpp).query(points * mpp)
    clear: Floats = points[distance > CLEARANCE_UM]
    return clear


def cut(frame: Frame, xy: Floats, side: int, mpp: float | None) -> Pixels:
    """Patches centred on `xy` ([N, 2] frame px), `side` px wide at `mpp` um/px: uint8 [N, side, side, 3]."""
    if not len(xy):
        return np.zeros((0, side, side, 3), np.uint8)
    image, factors = resample(frame.read(), frame.mpp, mpp)
    return np.stack([crop_around(image, point, side) for point in scaled(xy, factors)])


def recompressed(patch: Pixels, quality: int) -> Pixels:
    """The patch after JPEG compression: what was compressed once and what was compressed twice look alike then."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(patch)).save(file, format="JPEG", quality=quality)
    return np.asarray(Image.open(file))


@dataclass(frozen=True)
class Pool:
    """Patches to draw from.

    Attributes:
        pixels: uint8 [N, H, H, 3].
        datasets: the data set that each is from, [N].
        chances: of each to be drawn, [N]; None: the same for all.
    """

    pixels: Pixels
    datasets: NDArray[np.str_]
    chances: Floats | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def even(self) -> Pool:
        """The same, but every data set is drawn equally often, however many patches it has."""
        _, which, counts = np.unique(self.datasets, return_inverse=True, return_counts=True)
        return replace(self, chances=1 / counts[which] / len(counts))

    def harder(self, score: Floats) -> Pool:
        """The same, but half of what is drawn is so in proportion to a score, [N]: patches that look like mitoses."""
        chances = np.full(len(self), 1 / len(self)) if self.chances is None else self.chances
        return replace(self, chances=(chances + chances * score / (chances * score).sum()) / 2)

    def draw(self, rng: np.random.Generator) -> Pixels:
        """One patch, [H, H, 3]."""
        one = rng.integers(len(self)) if self.chances is None else rng.choice(len(self), p=self.chances)
        patch: Pixels = self.pixels[one]
        return patch


@dataclass(frozen=True)
class CandidatePatchStream:
    """Training items: `inputs`, a uint8 patch [side, side, 3], and `targets`, 1 for a mitosis and 0 else.

    Patches are cut once, with a margin for shifts, so that memory grows with the candidates and not with the frames.

    Attributes:
        mitoses, others: patches of side + 2 shift, px.
        shift: greatest shift of a patch, px.
        share: probability of drawing a mitosis.
        augment: changes a patch, with the given randomness.
    """

    mitoses: Pool
    others: Pool
    shift: int
    share: float
    augment: Callable[[Pixels, bool, np.random.Generator], Pixels]

    @property
    def negatives(self) -> Pixels:
        """All others as they are seen without shift, uint8 [N, side, side, 3]."""
        end = self.others.pixels.shape[1] - self.shift
        return self.others.pixels[:, self.shift : end, self.shift : end]

    def harder(self, score: Floats) -> CandidatePatchStream:
        """The same, but the others drawn are harder by their score, [N]."""
        return replace(self, others=self.others.harder(score))

    def draw(self, rng: np.random.Generator) -> dict[str, Pixels | np.float32]:
        """One patch and its label."""
        positive = bool(rng.random() < self.share)
        patch = (self.mitoses if positive else self.others).draw(rng)
        top, left = rng.integers(0, 2 * self.shift + 1, 2)
        side = patch.shape[0] - 2 * self.shift
        patch = self.augment(patch[top : top + side, left : left + side], positive, rng)
        return {"inputs": np.ascontiguousarray(patch), "targets": np.float32(positive)}


def gather(
    samples: Sequence[Sample], side: int, mpp: float | None, floor: float, background: int, rng: np.random.Generator
) -> tuple[Pool, Pool, dict[str, int]]:
    """Patches `side` px wide of mitoses and of others from all frames, and how many of each kind."""
    mitoses, others = [np.zeros((0, side, side, 3), np.uint8)], [np.zeros((0, side, side, 3), np.uint8)]
    datasets = [sample.frame.dataset for sample in samples]
    counts = dict.fromkeys(MITOSES + OTHERS, 0)
    for sample in samples:
        found = centres(sample, floor, background, rng)
        patches = cut(sample.frame, np.concatenate([found[kind] for kind in MITOSES + OTHERS]), side, mpp)
        n_mitoses = sum(len(found[kind]) for kind in MITOSES)
        mitoses.append(patches[:n_mitoses])
        others.append(patches[n_mitoses:])
        for kind in counts:
            counts[kind] += len(found[kind])
    return _pool(mitoses, datasets), _pool(others, datasets), counts


def _pool(patches: list[Pixels], datasets: list[str]) -> Pool:
    """Of the frames' patches, after an empty first; and of what data set each frame is."""
    return Pool(
        np.concatenate(patches), np.repeat(np.array(datasets, dtype=np.str_), [len(some) for some in patches[1:]])
    )
