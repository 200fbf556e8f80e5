"""Reads the contest's files: the ground truth, and what containers wrote for each image.

A container writes one `mitotic-figures.json` for each image:

    {"name": "Points of interest", "type": "Multiple points", "version": {"major": 1, "minor": 0},
     "points": [{"name": "mitotic figure", "point": [x_mm, y_mm, 0], "probability": 0.9}, ...]}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitobench import foreign
from mitobench.errors import MitobenchError, nearest
from mitobench.evaluate.midog25.metrics import Point, Result, contest_metrics, refusal
from mitobench.foreign import limits
from mitobench.foreign.midog25 import truth_entries

Floats = NDArray[np.float64]

MITOSIS, OTHER = "mitotic figure", "non-mitotic figure"
NAMES = (MITOSIS, OTHER)
RESULT_FILE = "mitotic-figures.json"
JOBS_FILE = "predictions.json"
IMAGE_SLUG, RESULT_SLUG = "histopathology-region-of-interest-cropout", "mitotic-figures"


@dataclass(frozen=True)
class TruthCase:
    """The annotation of one image: mitoses [N, 2] mm, the tumour domain and the kind of region."""

    truth: Floats
    tumour: int | str
    region: str


def read_truth(path: Path) -> dict[str, TruthCase]:
    """Reads `{"007.tiff": {"annotations": [[x_mm, y_mm, 0]], "tumor domain": 0, "roi type": "hotspot"}}`.

    Raises MitobenchError with the image and key of anything missing or wrong.
    """
    content = foreign.read_json(path, limits.MAX_LABELS_BYTES, "ground truth of MIDOG 2025")
    return {
        image: TruthCase(np.array(entry.points, dtype=np.float64).reshape(-1, 2), entry.tumour, entry.region)
        for image, entry in truth_entries(content, path).items()
    }


def read_points(path: Path) -> tuple[Point, ...]:
    """Reads the points of a container's file.

    Raises MitobenchError with the number of the point for what the contest's evaluator raises an error for, except
    coordinates (`refusal`): another form, a missing `name`, `probability` or `point`, another name.
    """
    return points_of(foreign.read_json(path, limits.MAX_DETECTIONS_BYTES, "list of points"), path)


def points_of(content: Any, where: Path | str) -> tuple[Point, ...]:
    """Checks the content of a container's file; raises as `read_points`."""
    if not isinstance(content, dict) or not isinstance(content.get("points"), list):
        raise MitobenchError(f"{where}: must be an object with a list `points` (type `Multiple points`).")
    foreign.check_version(where, content, "list of points")
    if len(content["points"]) > limits.MAX_DETECTIONS:
        raise MitobenchError(f"{where}: more than {limits.MAX_DETECTIONS:,} points, which is the limit.")
    return tuple(_point(f"{where}: point {number}", point) for number, point in enumerate(content["points"]))


def _point(where: str, point: Any) -> Point:
    if not isinstance(point, dict):
        raise MitobenchError(f"{where}: must be an object with name, point and probability.")
    for key in ("name", "point", "probability"):
        if key not in point:
            raise MitobenchError(f"{where}: {key!r} is missing. Since MIDOG 2025 every point needs it.")
    if point["name"] not in NAMES:
        raise MitobenchError(f"{where}: the name must be {MITOSIS!r} or {OTHER!r}, not {str(point['name'])[:40]!r}.")
    probability = point["probability"]
    if isinstance(probability, bool) or not isinstance(probability, (int, float)):
        raise MitobenchError(f"{where}: probability must be a number.")
    return Point(_coordinates(where, point["point"]), point["name"] == MITOSIS, probability)


def _coordinates(where: str, point: Any) -> tuple[float, ...]:
    numbers = isinstance(point, list) and len(point) >= 2
    if not numbers or any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in point):
        raise MitobenchError(f"{where}: must have coordinates [x, y, z] in mm.")
    return tuple((*point, 0)[:3])


def read_results(path: Path, truth: Mapping[str, TruthCase]) -> tuple[list[Result], list[str]]:
    """Reads what containers wrote, and adds the annotation of each image.

    Args:
        path: the contest's `predictions.json`, or a folder: with such a file, or with a folder for each image, which
            has the image's name (`007.tiff` or `007`).
        truth: the annotation, by image.

    Returns the results, in the order of the file or of the ground truth, and notes. An image of the ground truth
    without a result is added without points, because the contest would leave its mitoses out of the count.

    Raises MitobenchError for an image without annotation, a missing file, and points that cannot be read.
    """
    jobs = path / JOBS_FILE if path.is_dir() else path
    found = list(_by_jobs(jobs, truth) if jobs.is_file() or not path.is_dir() else _by_folders(path, truth))
    images = [image for image, _ in found]
    doubled = sorted({image for image in images if images.count(image) > 1})
    if doubled:
        raise MitobenchError(f"{path}: two results for image {doubled[0]}. Keep one.")
    missing = [image for image in truth if image not in images]
    notes = [f"{len(missing)} images without a result count as missed: {', '.join(missing[:5])}"] if missing else []
    points = [(image, read_points(file)) for image, file in found] + [(image, ()) for image in missing]
    return [
        Result(image, on, truth[image].truth, truth[image].tumour, truth[image].region) for image, on in points
    ], notes


def _by_jobs(path: Path, truth: Mapping[str, TruthCase]) -> Iterator[tuple[str, Path]]:
    """Yields (image, file) for each job of a predictions.json."""
    jobs = foreign.read_json(path, limits.MAX_DETECTIONS_BYTES, "list of jobs (predictions.json)")
    if not isinstance(jobs, list):
        raise MitobenchError(f"{path}: must be a list of jobs, as the contest's platform writes it.")
    for number, job in enumerate(jobs):
        where = f"{path}: job {number}"
        try:
            image = _socket(job["inputs"], IMAGE_SLUG)["image"]["name"]
            relative = str(_socket(job["outputs"], RESULT_SLUG)["interface"]["relative_path"])
            folder = path.parent / str(job["pk"])
        except (KeyError, TypeError, IndexError, StopIteration) as reason:
            raise MitobenchError(
                f"{where}: must have pk, the image of the input {IMAGE_SLUG!r}, and the output {RESULT_SLUG!r}."
            ) from reason
        if image not in truth:
            raise MitobenchError(f"{where}: no ground truth for image {image!r}. {nearest(str(image), truth)}")
        files = [folder / "output" / relative, folder / relative]
        if not all(file.resolve().is_relative_to(path.parent.resolve()) for file in files):
            raise MitobenchError(f"{where}: its files lie outside {path.parent}.")
        yield image, next((file for file in files if file.is_file()), files[-1])


def _socket(values: Any, slug: str) -> Any:
    return next(value for value in values if value["interface"]["slug"] == slug)


def _by_folders(folder: Path, truth: Mapping[str, TruthCase]) -> Iterator[tuple[str, Path]]:
    """Yields (image, file) for each folder with a result, named by its image."""
    files = sorted(folder.rglob(RESULT_FILE))
    if not files:
        raise MitobenchError(f"{folder}: no {RESULT_FILE} and no {JOBS_FILE} found. Give the folder of the containers.")
    stems = {Path(image).stem: image for image in truth}
    for file in files:
        parts = file.relative_to(folder).parts[:-1]
        image = next((part if part in truth else stems[part] for part in parts if part in truth or part in stems), None)
        if image is None:
            raise MitobenchError(
                f"{file}: none of its folders has the name of an image of the ground truth. Add the contest's "
                f"{JOBS_FILE}, which says which image a job is of, or name the folders by image. "
                f"{nearest(parts[0] if parts else '', truth)}"
            )
        yield image, file


def contest_json(points: Sequence[Point]) -> dict[str, Any]:
    """Returns the content of a container's file with these points."""
    return {
        "name": "Points of interest",
        "type": "Multiple points",
        "points": [
            {"name": MITOSIS if p.is_mitosis else OTHER, "point": list(p.xyz), "probability": p.probability}
            for p in points
        ],
        "version": {"major": 1, "minor": 0},
    }


def score_files(path: Path, truth: Path) -> tuple[dict[str, Any], list[str]]:
    """Computes the contest's metrics of container outputs.

    Args:
        path: a `predictions.json`, or a folder, as for `read_results`.
        truth: the ground truth.

    Returns the content of metrics.json, and notes, among them on points that the contest's evaluator refuses. Raises
    MitobenchError as `read_truth` and `read_results` do.
    """
    results, notes = read_results(path, read_truth(truth))
    for result in results:
        refused = [why for why in (refusal(point.xyz) for point in result.points) if why]
        if refused:
            notes.append(f"{result.image}: {len(refused)} points that the contest's evaluator refuses: {refused[0]}")
    return contest_metrics(results), notes


def points_mm(xy: Floats, score: Floats, is_mitosis: NDArray[np.bool_], mpp: tuple[float, float]) -> tuple[Point, ...]:
    """Makes points of candidates.

    Args:
        xy: centres, [N, 2] px.
        score: their scores, [N].
        is_mitosis: whether each score is at or above the threshold, [N]; the others stay as `non-mitotic figure`.
        mpp: um/px along x and y.
    """
    mm = (xy * np.asarray(mpp) / 1000).tolist()
    rows = zip(mm, score.tolist(), is_mitosis.tolist(), strict=True)
    return tuple(Point((x, y, 0), bool(mitosis), probability) for (x, y), probability, mitosis in rows)


def accepted(content: dict[str, Any], where: Path | str) -> dict[str, Any]:
    """Returns the content of a container's file if the contest's evaluator takes it; raises MitobenchError if not."""
    for number, point in enumerate(points_of(content, where)):
        why = refusal(point.xyz)
        if why:
            raise MitobenchError(
                f"{where}: point {number} ({point.xyz[0]:g}, {point.xyz[1]:g}) mm: the contest refuses it, as {why}. "
                "Check the um/px of the image."
            )
    return content
