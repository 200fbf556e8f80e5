"""The hot spots, heat map and report of a searched image, from what was found to the files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mitobench.datasets import images
from mitobench.model.card import ModelCard
from mitobench.model.deviation import NOTHING_ODD, Judgement
from mitobench.model.findings import Findings
from mitobench.model.inputs import SUMMARY
from mitobench.model.outputs import feature
from mitobench.model.pages import IndexRow, Report, write_report
from mitobench.report.colours import COLOURS
from mitobench.slides.areas import Area
from mitobench.slides.heatmap import heat_map, write_ome_tiff
from mitobench.slides.hotspot import find_hot_spots
from mitobench.slides.overview import Copies

REPORT, HEAT_PNG, HEAT_TIFF = ".html", ".heat.png", ".heat.ome.tif"
ENDINGS = (REPORT, HEAT_PNG, HEAT_TIFF)  # of the files that `write_files` writes for an image
INDEX = f"{SUMMARY}.html"  # an image's files never have this name
HEAT_PX = 2048  # longer side of the heat map over the slide
HOT_SPOT, HOT_SPOT_COLOUR = "Hot spot", COLOURS[1]  # class in QuPath


def report_on(
    findings: Findings, card: ModelCard, area: Area, judgement: Judgement = NOTHING_ODD, computed_on: str = ""
) -> Report:
    """Finds the hot spots of what was found on an image, and makes the heat map.

    Args:
        findings: what was found.
        card: of the model.
        area: shape and size of the hot spot, from `slides.areas.area_of`.
        judgement: how the image differs from the training frames.
        computed_on: `Model.computed_on`.
    """
    found = findings.found
    points = (found.detections.xy[found.is_mitosis] + 0.5) * findings.mpp
    hot = find_hot_spots(points, findings.tissue, area)
    return Report(findings, card, hot, heat_map(hot.counts, findings.tissue, area), judgement, computed_on)


def write_files(folder: Path, copies: Copies, report: Report) -> None:
    """Writes the report and the heat map of an image. An image that was not judged has no heat map.

    Args:
        folder: an existing folder.
        copies: reduced copies of the image.
        report: from `report_on`.

    Raises DataError if the image cannot be read, MitobenchError or OSError if a file cannot be written.
    """
    name = report.findings.name
    write_report(folder / f"{name}{REPORT}", copies, report, index=INDEX)
    if report.judgement.judged:
        pixels, _ = copies.within(HEAT_PX)
        images.write_rgb(folder / f"{name}{HEAT_PNG}", report.heat.over(pixels), 1)
        write_ome_tiff(folder / f"{name}{HEAT_TIFF}", report.heat)


def hot_spot_features(report: Report) -> Iterable[dict[str, Any]]:
    """Yields the outlines of the hot spots as annotations for QuPath. The whole image needs no outline."""
    if not report.judgement.judged or report.hot.whole_image:
        return
    for number, spot in enumerate(report.hot.spots, 1):
        corners = (spot.outline_um() / report.findings.mpp).round(4).tolist()
        measurements = {
            "rank": float(number),
            "mitoses": float(spot.count),
            "mitoses, lower 95 %": spot.interval[0],
            "mitoses, upper 95 %": spot.interval[1],
            "area mm2": spot.area.mm2,
            "tissue mm2": spot.tissue_mm2,
        }
        key = f"hot spot {number} of {report.findings.path.name!a} at {spot.centre_um}"
        yield feature("annotation", HOT_SPOT, HOT_SPOT_COLOUR, [[*corners, corners[0]]], measurements, key)


def index_row(report: Report) -> IndexRow:
    """Returns the line of an image in the index, without its name."""
    page, notes = f"{report.findings.name}{REPORT}", tuple(report.notes)
    if not report.judgement.judged:
        return IndexRow(page=page, status="not judged", notes=(*report.judgement.notes, *notes))
    first = report.hot.spots[0] if report.hot.spots else None
    return IndexRow(
        page=page,
        hot_spot=first.count if first else None,
        interval=first.interval if first else None,
        mitoses=report.findings.mitoses,
        tissue_mm2=report.findings.tissue.area_mm2,
        per_mm2=report.per_mm2,
        notes=notes,
    )
