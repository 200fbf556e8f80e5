"""Make docs/hpf.jpg, the picture in README.md: a part of a synthetic frame with the calls of the bundled model.

    python docs/make_picture.py

The frame is made by a program and shows no tissue. The same versions of the packages make the same picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from mitobench import registry
from mitobench.api import Frame
from mitobench.datasets import synthesis
from mitobench.datasets.tissue import MPP
from mitobench.evaluate import match
from mitobench.gallery.drawing import Pixels, overlay
from mitobench.gallery.outcomes import Mark
from mitobench.model import Model
from mitobench.report.colours import OUTCOMES

SEED, SLIDE, NUMBER, SIDE = 2, 13, 0, 1024  # the synthetic frame, SIDE x SIDE px
LEFT, TOP, WIDTH, HEIGHT = 0, 442, 640, 264  # the part shown, px of the frame
ENLARGED = 1.5
MODEL = "lite"
RADIUS_UM = 5.0  # a call closer to a mitosis than this is a true positive, as on MITOS 2012


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("hpf.jpg"), help="Where to write it.")
    picture = synthesis.make_frame(SEED, SLIDE, NUMBER, SIDE)
    model = Model.load(registry.ROOT / "models" / MODEL)
    calls, scores = _calls(model, picture.image)
    marks = _marks(picture.mitoses.xy, calls, scores)
    _draw(picture.image, marks).save(parser.parse_args().out, quality=88, optimize=True)


def _calls(model: Model, pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
    """The centres of the mitoses that the model finds, [N, 2] px, and their scores, [N]."""
    frame = Frame("frame", "synthetic", "-", "-", mpp=(MPP, MPP), size=(SIDE, SIDE), reader=lambda: pixels)
    found = model.predict(frame)
    return found.detections.xy[found.is_mitosis], found.score[found.is_mitosis]


def _marks(mitoses: np.ndarray, calls: np.ndarray, scores: np.ndarray) -> list[Mark]:
    """One mark for each call and each missed mitosis whose centre is in the part shown, in its pixels."""
    truth = match("mitos", mitoses, calls, scores, (MPP, MPP), RADIUS_UM).truth
    missed = np.delete(mitoses, truth[truth >= 0], axis=0)
    marks = []
    for name, places in (("tp", calls[truth >= 0]), ("fp", calls[truth < 0]), ("fn", missed)):
        shown = (places + 0.5 - (LEFT, TOP)) * ENLARGED - 0.5
        inside = ((shown >= 0) & (shown < (WIDTH * ENLARGED, HEIGHT * ENLARGED))).all(axis=1)
        marks += [Mark("frame", (x, y), OUTCOMES[name], None) for x, y in shown[inside].tolist()]
    return marks


def _draw(pixels: Pixels, marks: list[Mark]) -> Image.Image:
    """The part shown, enlarged, with its marks, a scale bar and a legend."""
    size = (round(WIDTH * ENLARGED), round(HEIGHT * ENLARGED))
    box = (LEFT, TOP, LEFT + WIDTH, TOP + HEIGHT)
    part = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, box=box))
    mpp = (MPP / ENLARGED, MPP / ENLARGED)
    return overlay(Frame("synthetic HPF", "synthetic", "-", "-", mpp, size, lambda: part), part, marks)


if __name__ == "__main__":
    main()
