"""The four plugin interfaces of mitobench. A plugin needs to import this package only.

A plugin is a class with a `name`, a `version`, typed `Options`, and the methods of one of four roles (methods in
brackets are optional):

    BoxEstimator   puts a box around every annotated mitosis              (fit), boxes
    Detector       finds candidates in a whole frame                      (fit), predict
    Verifier       scores every candidate a second time                   (fit), score
    Fuser          combines the detector's and the verifier's scores      (fit), fuse

mitobench handles labels, thresholds and matching: plugins never see test labels, never choose a
threshold and never match detections with annotations.

**Coordinates** are always pixels (px) of the whole frame, `x` to the right and `y` down. **Whole numbers are the
centres of pixels**: pixel (i, j) covers [i - .5, i + .5) x [j - .5, j + .5), and a frame of W x H pixels covers
[-.5, W - .5) x [-.5, H - .5). Boxes are (x1, y1, x2, y2); the box around the pixels x = a to b reaches from a - .5 to
b + .5. `mask_box` and `clip_boxes` follow this convention. Libraries that count from the upper left corner of the first
pixel (MMDetection, PIL's `resize`, QuPath) use coordinates that are greater by .5.
"""

from __future__ import annotations

from pydantic import Field

from mitobench.api.coordinates import Floats, clip_boxes, mask_box, square_boxes
from mitobench.api.detections import Candidates, Detections
from mitobench.api.fitting import Context, Embeddings, Sample, Validation
from mitobench.api.frames import DOMAINS, Domains, Frame, Mitoses
from mitobench.api.plugin import Need, Options, Plugin, Requirement
from mitobench.api.roles import BoxEstimator, Detector, EmbeddingVerifier, Fuser, Verifier
from mitobench.content import File
from mitobench.errors import DataError, MitobenchError, PluginError, nearest
from mitobench.foreign.specs import are_foreign

__all__ = [
    "API_VERSION",
    "DOMAINS",
    "BoxEstimator",
    "Candidates",
    "Context",
    "DataError",
    "Detections",
    "Detector",
    "Domains",
    "EmbeddingVerifier",
    "Embeddings",
    "Field",
    "File",
    "Floats",
    "Frame",
    "Fuser",
    "MitobenchError",
    "Mitoses",
    "Need",
    "Options",
    "Plugin",
    "PluginError",
    "Requirement",
    "Sample",
    "Validation",
    "Verifier",
    "are_foreign",
    "clip_boxes",
    "mask_box",
    "nearest",
    "square_boxes",
]

# The version of these interfaces. It is raised by changes that break plugins written for the version before.
API_VERSION = 1
