"""Shared by tests of models: a packed run of the toy plugins, and a model of plugins that need no run."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tiny_runs
from numpy.typing import NDArray

from mitobench import discovery
from mitobench.api import Detections, Detector, Floats, Frame, Fuser, Verifier
from mitobench.model import Model, Prediction, pack
from mitobench.model import card as cards
from mitobench.model.card import MeasuredScores, ModelCard, PackedPlugin, PackedPlugins
from mitobench.model.findings import Findings
from mitobench.slides.tissue import Tissue

TOYS = Path(__file__).parents[1] / "toys"


class PackedRun(NamedTuple):
    """A record, the store of its run, and the folder that it was packed into."""

    record: Path
    store: Path
    model: Path


@contextmanager
def only_toys(environment: Mapping[str, str]) -> Iterator[None]:
    """Makes only the toy plugins available, for a fixture that outlives a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MITOBENCH_PACKAGES", "PYTHONPATH"):
            patch.setenv(name, environment[name])
        patch.syspath_prepend(str(TOYS))
        discovery.found.cache_clear()
        yield
    discovery.found.cache_clear()


def run_and_pack(
    folder: Path, data: Path, roles: dict[str, list[str]] | None = None, half: bool = False, **options: Any
) -> PackedRun:
    """Runs toy plugins on small frames, and packs what they learned."""
    (record,) = tiny_runs.run(folder, data, roles, **options)
    pack(record, folder / "store", folder / "model", half)
    return PackedRun(record, folder / "store", folder / "model")


class Dots(Detector):
    """Finds every white pixel, off by up to `shift` px, depending on the tile, as for a network with a stride."""

    name, version, shift = "dots", "1", 0.0

    def predict(self, frame: Frame) -> Detections:
        y, x = np.nonzero(frame.read()[..., 0] == 255)
        off = self.shift * (zlib.crc32(frame.id.encode()) % 3 - 1)
        xy = np.clip(np.stack([x, y], axis=1) + off, -0.5, np.array(frame.size) - 0.5)
        return Detections.from_points(xy, np.full(len(x), 0.75), 8)


class Green(Verifier):
    """Scores a candidate by the green channel at its centre."""

    name, version = "green", "1"

    def score(self, frame: Frame, detections: Detections) -> Floats:
        x, y = detections.xy.astype(int).T
        return frame.read()[y, x, 1] / 255


class Mean(Fuser):
    """The mean of both scores."""

    name, version = "mean", "1"

    def fuse(self, detector: Floats, verifier: Floats) -> Floats:
        return (detector + verifier) / 2


def dots(shift: float = 0.0, verifier: Verifier | None = None, **changes: Any) -> Model:
    """A model that finds white pixels, at 1 um/px by default."""
    detector = Dots()
    detector.shift = shift
    return Model(card(**changes), detector, verifier, Mean())


def card(**changes: Any) -> ModelCard:
    """A card of plugins that are not installed."""
    part = PackedPlugin(name="dots", package="some-package", version="1 (some-package 1.0)", options={})
    fields: dict[str, Any] = {
        "title": "dots",
        "record": "dots.json",
        "record_digest": "0" * 64,
        "combination": {},
        "train_on": {"synthetic": {"train": 3, "val": 1}},
        "notes": [],
        "plugins": PackedPlugins(detector=part, verifier=part, fuser=part),
        "candidate_threshold": None,
        "threshold": 0.5,
        "mpp": 1.0,
        "measured": MeasuredScores(dataset="synthetic", protocol="by-slide", seed=0, f1=0.5, f1_interval=None),
        "half": False,
    }
    return ModelCard(**{**fields, **changes})


def blobs_model(folder: Path, threshold: float = 0.5, **options: Any) -> Path:
    """Writes a model of `blobs` without a verifier, as `pack` would; returns its folder. It needs no run."""
    versions = {"package": "mitobench", "version": "1"}
    detector, verifier, fuser = (
        PackedPlugin(name=name, options=chosen, **versions)
        for name, chosen in (("blobs", options), ("none", {}), ("detector-only", {}))
    )
    folder.mkdir(parents=True)
    plugins = PackedPlugins(detector=detector, verifier=verifier, fuser=fuser)
    cards.write(folder, card(plugins=plugins, threshold=threshold, mpp=0.5))
    return folder


def frame(pixels: NDArray[np.uint8], mpp: float = 1.0) -> Frame:
    """Pixels as a frame."""
    return Frame("frame", "toy", "-", "-", (mpp, mpp), (pixels.shape[1], pixels.shape[0]), lambda: pixels)


def findings(found: Prediction, image: str = "slides/a.png", mpp: float = 0.25, **changes: Any) -> Findings:
    """What was found on an image of 400 x 300 px that is all tissue, with a threshold of 0.6."""
    size = (400, 300)
    tissue = Tissue(np.ones((10, 13), dtype=bool), 8.0, (size[0] * mpp, size[1] * mpp))
    whole = Findings("a", Path(image), size, (mpp, mpp), found, 0.6, tissue)
    return replace(whole, **changes)


def black(width: int, height: int, white: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
    """A black image with white pixels at [N, 2] (x, y)."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    if white is not None:
        pixels[white[:, 1], white[:, 0]] = 255
    return pixels


def stained(width: int, height: int, white: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
    """As `black`, with the colours of H&E: images without them are not judged."""
    pixels = black(width, height, white)
    pixels[pixels.max(axis=2) < 255] = (228, 168, 205)
    pixels[:2, :2] = (90, 30, 90)  # nor are images of one colour
    return pixels
