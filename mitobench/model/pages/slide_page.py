"""The report on a slide: one HTML page with all pictures in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mitobench import __version__
from mitobench.atomic import write_text_atomic
from mitobench.gallery.drawing import CROP_UM
from mitobench.model.card import ModelCard
from mitobench.model.deviation import NOTHING_ODD, Judgement
from mitobench.model.findings import Findings
from mitobench.model.pages import outlines
from mitobench.model.pages.crops import crops_of
from mitobench.model.pages.templates import data_uri, render
from mitobench.slides.heatmap import HeatMap, colours
from mitobench.slides.hotspot import CONFIDENCE, MIN_TISSUE_SHARE, HotSpots, poisson_interval
from mitobench.slides.overview import Copies

Floats = NDArray[np.float64]

SLIDE_PX = 1400  # longer side of the picture of the slide
HEAT_PX = 900  # longer side of the heat map
MAX_MITOSES, MAX_NEAREST = 96, 48  # pictures of mitoses, and of the candidates closest below the threshold
MAX_DOTS = 5000  # mitoses that are drawn on the picture of the slide
MAX_NUMBERS = 50  # with more mitoses, no numbers are beside them
SAME_SCORE = 2e-6  # a fuser that gives a score all weight changes it by at most this


@dataclass(frozen=True)
class Report:
    """Everything that the report on a slide is made from.

    Attributes:
        findings: what was found.
        card: the model's card.
        hot: the hot spots.
        heat: the heat map.
        judgement: how the slide differs from the training frames, and whether it was judged.
        computed_on: the device, and which networks ONNX Runtime ran; empty: not known.
    """

    findings: Findings
    card: ModelCard
    hot: HotSpots
    heat: HeatMap
    judgement: Judgement = NOTHING_ODD
    computed_on: str = ""

    @property
    def per_mm2(self) -> float | None:
        """Mitoses per mm2 of tissue; None without tissue."""
        area = self.findings.tissue.area_mm2
        return self.findings.mitoses / area if area else None

    @property
    def per_mm2_interval(self) -> tuple[float, float] | None:
        """Interval of `per_mm2` by chance in counting; None without tissue."""
        area = self.findings.tissue.area_mm2
        low, high = poisson_interval(self.findings.mitoses)
        return (low / area, high / area) if area else None

    @property
    def score_is(self) -> str:
        """Which score the fused one only repeats: `detector` or `verifier`; empty if neither."""
        found = self.findings.found
        parts = (("verifier", found.verifier), ("detector", found.detections.score))
        return next((name for name, score in parts if _same(found.score, score)), "")

    @property
    def notes(self) -> list[str]:
        """All notes, each once, the most important ones first. Without the reason why a slide was not judged."""
        if not self.judgement.judged:
            return [note for note in self.findings.notes if note not in self.judgement.notes]
        return list(dict.fromkeys([*self.judgement.remarks, *self.hot.notes, *self.findings.notes]))


class SlideMap(NamedTuple):
    """The picture of the slide, and what is drawn on it.

    Attributes:
        picture, heat: addresses of the pictures.
        size: width and height that the paths refer to, px.
        tissue: path of the tissue's outline.
        spots: path and place (left and top, %) of each hot spot.
        marks: number and path of each mitosis that has a crop.
        numbers: number and place (left and top, %) of each mitosis; empty if there are many.
        dots: path of the other mitoses.
        dots_left_out: how many further mitoses are not drawn.
    """

    picture: str
    heat: str
    size: tuple[int, int]
    tissue: str
    spots: list[tuple[str, float, float]]
    marks: list[tuple[int, str]]
    numbers: list[tuple[int, float, float]]
    dots: str
    dots_left_out: int


def write_report(
    path: Path,
    copies: Copies,
    report: Report,
    max_mitoses: int = MAX_MITOSES,
    max_nearest: int = MAX_NEAREST,
    index: str | None = None,
) -> None:
    """Writes the report on a slide to an HTML file. It holds at most so many pictures that it stays a few MB.

    Args:
        path: the file.
        copies: reduced copies of the slide, and the slide, which pictures are cut from.
        report: what to report.
        max_mitoses: pictures of mitoses at most, those with the highest scores.
        max_nearest: pictures of candidates at most, those with the highest scores below the threshold.
        index: address of the index page, relative to `path`; None: no link to it.

    Raises DataError if the slide cannot be read at all, and MitobenchError if the file cannot be written.
    """
    found = report.findings.found
    mitoses = np.flatnonzero(found.is_mitosis)
    others = np.flatnonzero(~found.is_mitosis)
    by_score = [which[np.argsort(-found.score[which], kind="stable")].tolist() for which in (mitoses, others)]
    shown = by_score[0][:max_mitoses] if report.judgement.judged else []
    nearest = by_score[1][:max_nearest] if report.judgement.judged else []
    whole_image = report.hot.whole_image
    spots = () if whole_image else report.hot.spots
    text = render(
        "slide.html",
        report=report,
        findings=report.findings,
        card=report.card,
        judged=report.judgement.judged,
        notes=report.notes,
        spots=spots,
        whole_image=whole_image,
        slide=_slide_map(copies, report, by_score[0], len(shown)),
        mitoses=crops_of(copies.image, report.findings, shown, spots),
        nearest=crops_of(copies.image, report.findings, nearest, spots),
        n_nearest=len(others),
        index=index,
        crop_um=f"{CROP_UM:g}",
        confidence=f"{CONFIDENCE:.0%}",
        tissue_share=f"{MIN_TISSUE_SHARE:.0%}",
        scale=[f"#{r:02x}{g:02x}{b:02x}" for r, g, b in colours()[::51].tolist()],
        version=__version__,
    )
    write_text_atomic(path, text)


def _same(score: Floats, other: Floats | None) -> bool:
    return other is not None and len(score) > 0 and np.allclose(score, other, rtol=0, atol=SAME_SCORE)


def _slide_map(copies: Copies, report: Report, mitoses: Sequence[int], n_shown: int) -> SlideMap:
    findings = report.findings
    pixels, _ = copies.within(SLIDE_PX)
    heat, _ = copies.within(HEAT_PX)
    size = (pixels.shape[1], pixels.shape[0])
    um = np.array(findings.size) * findings.mpp
    factors = np.array(size) / um
    drawn = list(mitoses[:MAX_DOTS]) if report.judgement.judged else []
    places = (findings.found.detections.xy[drawn] + 0.5) * findings.mpp * factors
    shown = report.judgement.judged and not report.hot.whole_image
    spots = [
        (outlines.path([spot.outline_um() * factors]), *(np.array(spot.centre_um) / um * 100).tolist())
        for spot in (report.hot.spots if shown else ())
    ]
    numbered = drawn if len(drawn) <= MAX_NUMBERS else []
    return SlideMap(
        data_uri(pixels),
        data_uri(report.heat.over(heat)),
        size,
        outlines.tissue_path(findings.tissue, (float(factors[0]), float(factors[1]))),
        spots,
        [(drawn[i] + 1, outlines.dots(places[i : i + 1])) for i in range(min(n_shown, len(drawn)))],
        [(i + 1, *place) for i, place in zip(numbered, (places / size * 100).tolist(), strict=False)],
        outlines.dots(places[n_shown:]),
        len(mitoses) - len(drawn),
    )
