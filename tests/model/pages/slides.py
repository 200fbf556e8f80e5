"""A small slide with mitoses at known places, and the report on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from slides.reader.pictures import picture

from mitobench.api import Detections
from mitobench.model.deviation import NOTHING_ODD, Judgement
from mitobench.model.findings import Findings
from mitobench.model.model import Prediction
from mitobench.model.pages import Report, write_report
from mitobench.slides.areas import area_of
from mitobench.slides.heatmap import heat_map
from mitobench.slides.hotspot import find_hot_spots
from mitobench.slides.overview import Copies
from mitobench.slides.reader import open_image
from mitobench.slides.tissue import Tissue
from model.toy_models import card

MPP = (0.5, 0.5)
SIZE = (1200, 800)
NOTES = ("trained on little",)


def pixels() -> NDArray[np.uint8]:
    """Tissue with a margin of glass."""
    image = np.full((SIZE[1], SIZE[0], 3), 244, dtype=np.uint8)
    image[80:-80, 100:-100] = picture(SIZE[1] - 160, SIZE[0] - 200)
    return image


def findings(image: Path, xy: NDArray[np.float64], scores: NDArray[np.float64], **changes: object) -> Findings:
    """Candidates at `xy` px with these scores."""
    mask = np.zeros((50, 75), dtype=bool)
    mask[5:-5, 7:-7] = True
    found = Prediction(Detections.from_points(xy, scores, 20), scores / 2, scores, scores >= 0.5)
    fields = {"name": image.stem, "path": image, "size": SIZE, "mpp": MPP, "found": found, "threshold": 0.5}
    return Findings(**{**fields, "tissue": Tissue(mask, 8.0, (600.0, 400.0)), **changes})  # type: ignore[arg-type]


def report_of(
    found: Findings, judgement: Judgement = NOTHING_ODD, area_mm2: float = 0.02, notes: Sequence[str] = NOTES
) -> Report:
    """The report on findings, with hot spots of .02 mm2. `notes` are those of the model."""
    area = area_of("circle", area_mm2)
    points = (found.found.detections.xy[found.found.is_mitosis] + 0.5) * found.mpp
    hot = find_hot_spots(points, found.tissue, area)
    return Report(
        found,
        card(title="dots <i>", notes=list(notes)),
        hot,
        heat_map(hot.counts, found.tissue, area),
        judgement,
    )


def written(
    folder: Path,
    n: int = 12,
    judgement: Judgement = NOTHING_ODD,
    area_mm2: float = 0.02,
    notes_on_model: Sequence[str] = NOTES,
    **changes: object,
) -> Path:
    """Writes a report with `n` candidates, of which the better half are mitoses. `changes` are of `Findings`."""
    path, target = folder / "slide.png", folder / "slide.html"
    Image.fromarray(pixels()).save(path)
    rng = np.random.default_rng(0)
    xy = rng.uniform((120, 100), (1080, 700), (n, 2))
    report = report_of(findings(path, xy, np.linspace(0.95, 0.05, n), **changes), judgement, area_mm2, notes_on_model)
    with open_image(path) as image:
        write_report(target, Copies(image), report, index="index.html")
    return target
