"""Training patches of a `PatchVerifier`: around mitoses, candidates, imposters and background."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mitobench.api import Floats, Frame, Sample
from mitobench.training.patches import Pixels, crop_around, resample, scaled

SAME_UM = 8.0  # a false detection this close to an imposter shows it: the largest matching radius
CLEARANCE_UM = 16.0  # least distance of background patches from mitoses: twice the largest matching radius

MITOSES = ("annotated mitoses", "detected mitoses")
OTHERS = ("imposters", "false detections", "background")


def centres(sample: Sample, floor: float, background: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Returns the centres of the training patches of a frame, [N, 2] px, by kind (`MITOSES`, `OTHERS`).

    Args:
        sample: the frame with its mitoses and labelled candidates.
        floor: candidates with this score or less are left out.
        background: number of random centres; those near a mitosis are left out.
        rng: source of randomness.
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


def confidences(sample: Sample, found: Mapping[str, Floats]) -> dict[str, Floats]:
    """Returns the target of each patch of a frame, [N], 0-1, by kind: how sure the annotators are of what it shows.

    That is the confidence of the nearest annotated figure: of a mitosis for detected mitoses, of an imposter for false
    detections within SAME_UM of one. It is 1 for a mitosis and 0 for an imposter without confidences, and 0 elsewhere.
    """
    truth = sample.mitoses
    sure = np.ones(len(truth)) if truth.confidence is None else truth.confidence
    imposters = np.zeros(len(truth.imposters)) if truth.imposter_confidence is None else truth.imposter_confidence
    mpp = np.array(sample.frame.mpp)
    return {
        "annotated mitoses": sure,
        "detected mitoses": _of_nearest(found["detected mitoses"] * mpp, truth.xy * mpp, sure, np.inf, 1.0),
        "imposters": imposters,
        "false detections": _of_nearest(
            found["false detections"] * mpp, truth.imposters * mpp, imposters, SAME_UM, 0.0
        ),
        "background": np.zeros(len(found["background"])),
    }


def _of_nearest(points: Floats, figures: Floats, values: Floats, within: float, otherwise: float) -> Floats:
    """Returns the value of the figure nearest to each point, [N]; `otherwise` where none is within this distance."""
    if not len(figures):
        return np.full(len(points), otherwise)
    distance, nearest = cKDTree(figures).query(points)
    chosen: Floats = np.where(distance <= within, values[nearest], otherwise)
    return chosen


def _background(sample: Sample, count: int, rng: np.random.Generator) -> Floats:
    points: Floats = rng.uniform((0, 0), sample.frame.size, (count, 2)) - 0.5
    mpp = np.array(sample.frame.mpp)
    if not len(sample.mitoses):
        return points
    distance, _ = cKDTree(sample.mitoses.xy * mpp).query(points * mpp)
    clear: Floats = points[distance > CLEARANCE_UM]
    return clear


def cut(frame: Frame, xy: Floats, side: int, mpp: float | None) -> Pixels:
    """Cuts patches centred on `xy`, [N, 2] frame px, of `side` px at `mpp` um/px: uint8 [N, side, side, 3]."""
    if not len(xy):
        return np.zeros((0, side, side, 3), np.uint8)
    image, factors = resample(frame.read(), frame.mpp, mpp)
    return np.stack([crop_around(image, point, side) for point in scaled(xy, factors)])


@dataclass(frozen=True)
class Pool:
    """A set of patches to draw from.

    Attributes:
        pixels: uint8 [N, H, H, 3].
        datasets: the data set of each patch, [N].
        probabilities: probability of drawing each patch, [N]; None: the same for all.
        targets: what the network learns of each patch, [N], 0-1; None: 1 for all mitoses, 0 for all others.
    """

    pixels: Pixels
    datasets: NDArray[np.str_]
    probabilities: Floats | None = None
    targets: Floats | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def even(self) -> Pool:
        """Returns a pool that draws all data sets equally often, whatever their number of patches."""
        _, which, counts = np.unique(self.datasets, return_inverse=True, return_counts=True)
        return replace(self, probabilities=1 / counts[which] / len(counts))

    def harder(self, score: Floats) -> Pool:
        """Returns a pool that draws half of the patches in proportion to their score, [N], so hard ones more often."""
        probabilities = np.full(len(self), 1 / len(self)) if self.probabilities is None else self.probabilities
        return replace(self, probabilities=(probabilities + probabilities * score / (probabilities * score).sum()) / 2)

    def draw(self, rng: np.random.Generator) -> int:
        """Draws the number of one patch."""
        return int(
            rng.integers(len(self)) if self.probabilities is None else rng.choice(len(self), p=self.probabilities)
        )


@dataclass(frozen=True)
class CandidatePatchStream:
    """Draws training items: `inputs`, a uint8 patch [side, side, 3], and `targets`, 1 for a mitosis, otherwise 0.

    If the pools have targets, these take the place of 1 and 0. Patches are cut once, with a margin for shifts, so that
    memory grows with the candidates and not with the frames.

    Attributes:
        mitoses: patches of mitoses, `side` + 2 * `shift` px.
        others: patches of everything else, of the same size.
        shift: greatest shift of a patch, px.
        share: probability of drawing a mitosis.
        augment: function of (patch, whether it shows a mitosis, source of randomness) that returns the changed patch.
    """

    mitoses: Pool
    others: Pool
    shift: int
    share: float
    augment: Callable[[Pixels, bool, np.random.Generator], Pixels]

    @property
    def negatives(self) -> Pixels:
        """The patches of `others` without shift, uint8 [N, side, side, 3]."""
        end = self.others.pixels.shape[1] - self.shift
        return self.others.pixels[:, self.shift : end, self.shift : end]

    def harder(self, score: Floats) -> CandidatePatchStream:
        """Returns a stream that draws those of `others` with a high score, [N], more often."""
        return replace(self, others=self.others.harder(score))

    def draw(self, rng: np.random.Generator) -> dict[str, Pixels | np.float32]:
        """Draws a patch and its label."""
        positive = bool(rng.random() < self.share)
        pool = self.mitoses if positive else self.others
        number = pool.draw(rng)
        patch, target = pool.pixels[number], positive if pool.targets is None else pool.targets[number]
        top, left = rng.integers(0, 2 * self.shift + 1, 2)
        side = patch.shape[0] - 2 * self.shift
        patch = self.augment(patch[top : top + side, left : left + side], positive, rng)
        return {"inputs": np.ascontiguousarray(patch), "targets": np.float32(target)}


def gather(
    samples: Sequence[Sample],
    side: int,
    mpp: float | None,
    floor: float,
    background: int,
    rng: np.random.Generator,
    soft: bool = False,
) -> tuple[Pool, Pool, dict[str, int]]:
    """Cuts patches of `side` px from all frames: returns mitoses, others, and the number of patches of each kind.

    `soft`: the pools have the annotators' confidences as targets.
    """
    mitoses, others = [np.zeros((0, side, side, 3), np.uint8)], [np.zeros((0, side, side, 3), np.uint8)]
    datasets = [sample.frame.dataset for sample in samples]
    targets: list[dict[str, Floats]] = []
    counts = dict.fromkeys(MITOSES + OTHERS, 0)
    for sample in samples:
        found = centres(sample, floor, background, rng)
        patches = cut(sample.frame, np.concatenate([found[kind] for kind in MITOSES + OTHERS]), side, mpp)
        n_mitoses = sum(len(found[kind]) for kind in MITOSES)
        mitoses.append(patches[:n_mitoses])
        others.append(patches[n_mitoses:])
        for kind in counts:
            counts[kind] += len(found[kind])
        targets.append(confidences(sample, found) if soft else {})
    of_mitoses, of_others = (
        [one[kind] for one in targets for kind in kinds] if soft else None for kinds in (MITOSES, OTHERS)
    )
    return _pool(mitoses, datasets, of_mitoses), _pool(others, datasets, of_others), counts


def _pool(patches: list[Pixels], datasets: list[str], targets: list[Floats] | None) -> Pool:
    """Joins the patches of all frames, after an empty first array, into a pool; `datasets` is that of each frame."""
    return Pool(
        np.concatenate(patches),
        np.repeat(np.array(datasets, dtype=np.str_), [len(some) for some in patches[1:]]),
        targets=None if targets is None else np.concatenate([np.zeros(0), *targets]),
    )
