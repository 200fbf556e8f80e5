"""Finds frames that show the same tissue: copies that were turned, mirrored, rescaled, recompressed or cropped.

Each frame is described by points that are easy to find again (ORB: Rublee et al. 2011, as scikit-image has it), in the
image and in its mirror image. Points that look alike are found by hashing, and two frames are the same tissue if one
shift, rotation and scale moves enough points of the one onto those of the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]

SIDE = 384  # px of the longer side at which a frame is described
MIN_SIDE = 64  # px of the longer side: smaller frames show too little
POINTS = 300  # of a frame, at most
CONTRASTS = (0.24, 0.16, 0.08, 0.04)  # of a point, of 1; the first that gives enough points
BITS = 256  # of the description of a point
TABLES, KEY_BITS = 24, 18  # hash tables, and the bits of their keys
NEIGHBOURS = 12  # entries with the same key that each is compared with
ALIKE = 56  # of two points alike, this many bits differ at most
MIN_ALIKE = 8  # points alike, before it is tried to move one frame onto the other
MIN_MOVED = 10  # points that the same movement moves onto points alike
RESIDUAL_PX = 3.0  # between a moved point and the one alike, at SIDE
SCALES = (0.3, 3.5)
TRIALS = 400  # movements that are tried
ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1)  # bits of each byte


@dataclass(frozen=True)
class Fingerprint:
    """What is compared of a frame.

    Attributes:
        pixels: SHA-256 of its pixels and size: equal for exact copies.
        points: its points in the image and in its mirror image, [N, 2] and [M, 2] px at SIDE.
        bits: their descriptions, bool [N, BITS] and [M, BITS].
    """

    pixels: str
    points: tuple[Floats, Floats]
    bits: tuple[Bits, Bits]


@dataclass(frozen=True)
class Duplicate:
    """Two frames that show the same tissue, by their keys in order; `exact`: all pixels are equal."""

    one: str
    other: str
    exact: bool


def fingerprint(pixels: NDArray[np.uint8]) -> Fingerprint:
    """Returns what is compared of a frame, uint8 [height, width, 3]. One below MIN_SIDE px has no points."""
    from PIL import Image

    height, width = pixels.shape[:2]
    digest = hashlib.sha256(f"{width} {height} ".encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()
    if max(height, width) < MIN_SIDE:
        nothing = np.zeros((0, 2)), np.zeros((0, BITS), dtype=bool)
        return Fingerprint(digest, (nothing[0], nothing[0]), (nothing[1], nothing[1]))
    scale = SIDE / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    grey = np.asarray(Image.fromarray(pixels).convert("L").resize(size, Image.Resampling.BOX), dtype=np.float64) / 255
    described = [_described(grey), _described(grey[:, ::-1])]
    return Fingerprint(digest, (described[0][0], described[1][0]), (described[0][1], described[1][1]))


def _described(grey: Floats) -> tuple[Floats, Bits]:
    """Returns the points of an image, [N, 2] px, and their descriptions, bool [N, BITS]."""
    from skimage.feature import ORB

    found = np.zeros((0, 2)), np.zeros((0, BITS), dtype=bool)
    for contrast in CONTRASTS:
        detector = ORB(n_keypoints=POINTS, fast_threshold=contrast)
        try:
            detector.detect_and_extract(np.ascontiguousarray(grey))
        except (RuntimeError, ValueError, IndexError):  # no point was found, or the image is smaller than a point
            continue
        found = detector.keypoints[:, ::-1].astype(np.float64), detector.descriptors.astype(bool)
        if len(found[0]) == POINTS:  # the strongest; with less contrast most time goes into others
            break
    return found


def find(frames: Mapping[str, Fingerprint]) -> list[Duplicate]:
    """Returns all pairs of frames that show the same tissue, by their keys, sorted."""
    keys = sorted(frames)
    exact = set(_exact(keys, frames))
    near = set(_near(keys, frames)) - exact
    found = [Duplicate(*pair, exact=True) for pair in exact] + [Duplicate(*pair, exact=False) for pair in near]
    return sorted(found, key=lambda pair: (pair.one, pair.other))


def _exact(keys: Iterable[str], frames: Mapping[str, Fingerprint]) -> Iterator[tuple[str, str]]:
    known: dict[str, list[str]] = {}
    for key in keys:
        same = known.setdefault(frames[key].pixels, [])
        yield from ((other, key) for other in same)
        same.append(key)


def _near(keys: list[str], frames: Mapping[str, Fingerprint]) -> Iterator[tuple[str, str]]:
    """Yields the pairs of frames of which one can be moved, or mirrored and moved, onto the other."""
    entries = [(number, view) for view in (0, 1) for number in range(len(keys))]
    points = [frames[keys[number]].points[view] for number, view in entries]
    if not sum(map(len, points)):
        return
    owner = np.concatenate([np.full(len(found), place) for place, found in enumerate(points)])
    bits = np.concatenate([frames[keys[number]].bits[view] for number, view in entries])
    xy = np.concatenate(points)
    one, other = _alike(owner, bits, len(keys))
    pair = owner[one] * len(entries) + owner[other]
    order = np.argsort(pair, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(pair[order]) > 0]) if len(order) else np.zeros(0, dtype=int)
    for rows in np.split(order, starts[1:]) if len(order) else []:
        if len(rows) >= MIN_ALIKE and _moves(xy[one[rows]], xy[other[rows]]):
            first, second = keys[owner[one[rows[0]]] % len(keys)], keys[owner[other[rows[0]]] % len(keys)]
            yield (first, second) if first < second else (second, first)


def _alike(owner: Ints, bits: Bits, n_frames: int) -> tuple[Ints, Ints]:
    """Returns pairs of points of different frames that look alike: indices [P] and [P], each pair once.

    The first of a pair is of an image, the second of an image or a mirror image.
    """
    rng = np.random.default_rng(0)
    packed = np.packbits(bits, axis=1)
    found = []
    for _ in range(TABLES):
        chosen = rng.choice(BITS, KEY_BITS, replace=False)
        key = bits[:, chosen] @ (1 << np.arange(KEY_BITS))
        order = np.argsort(key, kind="stable")
        for step in range(1, min(NEIGHBOURS + 1, len(order))):
            same = np.flatnonzero(key[order[step:]] == key[order[:-step]])
            a, b = order[same], order[same + step]
            swap = owner[a] >= n_frames
            a, b = np.where(swap, b, a), np.where(swap, a, b)
            useful = (owner[a] < n_frames) & (owner[a] % n_frames != owner[b] % n_frames)
            a, b = a[useful], b[useful]
            close = ONES[packed[a] ^ packed[b]].sum(axis=1) <= ALIKE
            found.append(a[close] * len(owner) + b[close])
    pairs = np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)
    return pairs // len(owner), pairs % len(owner)


def _moves(source: Floats, target: Floats) -> bool:
    """Returns whether one shift, rotation and scale moves enough of the points onto those alike, [P, 2] px each.

    Tries the movements that TRIALS random pairs of points define (RANSAC). Points are complex numbers here, so that a
    movement is `factor * point + shift`. Its scale is that of the best fit to all points that it moves.
    """
    if min(_distinct(source), _distinct(target)) < MIN_MOVED:
        return False
    start, end = (points[:, 0] + 1j * points[:, 1] for points in (source, target))
    one, other = np.random.default_rng(0).integers(len(start), size=(2, TRIALS))
    one, other = one[start[one] != start[other]], other[start[one] != start[other]]
    if not len(one):
        return False
    factor = (end[other] - end[one]) / (start[other] - start[one])
    shift = end[one] - factor * start[one]
    number = [int((np.abs(f * start + s - end) <= RESIDUAL_PX).sum()) for f, s in zip(factor, shift, strict=True)]
    best = int(np.argmax(number))
    kept = np.abs(factor[best] * start + shift[best] - end) <= RESIDUAL_PX
    to, by = start[kept] - start[kept].mean(), end[kept] - end[kept].mean()
    scale = abs((by * to.conj()).sum()) / max(float((np.abs(to) ** 2).sum()), 1e-9)
    enough = min(_distinct(source[kept]), _distinct(target[kept])) >= MIN_MOVED
    return enough and SCALES[0] <= scale <= SCALES[1]


def _distinct(points: Floats) -> int:
    return len(np.unique(points, axis=0))
