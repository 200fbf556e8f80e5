"""What `import mitobench` offers: `load` a model and find mitoses with it, and `run` a benchmark."""

from __future__ import annotations

import importlib
import inspect
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Frame
from mitobench.errors import MitobenchError, nearest
from mitobench.model import card as cards
from mitobench.model import exported, inputs
from mitobench.model.card import ModelCard
from mitobench.model.deviation import Judgement, judge
from mitobench.model.findings import Findings
from mitobench.model.image_search import findings_on, opened
from mitobench.model.model import Model, Prediction
from mitobench.model.search import Searcher
from mitobench.model.search_area import search_area_of_array
from mitobench.pipeline import trust
from mitobench.slides.appearance import patches_of
from mitobench.slides.areas import area_of
from mitobench.slides.hotspot import AREA_MM2, HotSpot, find_hot_spots

Pixels = NDArray[np.uint8]

log = logging.getLogger("mitobench")


def load(name: str | Path = "bundled", device: str = "auto", allow: Collection[str] = ()) -> LoadedModel:
    """Loads a model. ONNX Runtime runs its networks if `mitobench predict` has exported them on this machine.

    Args:
        name: `bundled`, the name of a model in the registry, a folder that `mitobench pack` wrote,
            `hf-hub:ORG/NAME@REVISION`, or `https://HOST/MODEL.zip#sha256=DIGEST`.
        device: `auto`, `cpu` or `cuda`.
        allow: what loading and predicting may do: `download` (get the model and what it names from a hub), `external`
            (run programs that the model names).

    Raises:
        MitobenchError: if there is no such model, or it would do something that is not allowed.
    """
    from mitobench.device import find_device

    with trust.allowing(allow):
        folder = cards.find(str(name))
        model = Model.load(folder, find_device(device), tuple(allow))
        model.use_exported(exported.networks_in(exported.prepared(model)))
        return LoadedModel(model, tuple(allow))


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to find mitoses. `load` returns it.

    Attributes:
        model: its detector, verifier and fuser.
        allow: what it may do beyond computing.
    """

    model: Model
    allow: tuple[str, ...] = ()

    @property
    def card(self) -> ModelCard:
        """What it is, where it comes from, and its threshold."""
        return self.model.card

    def predict(
        self,
        image: Pixels | str | Path,
        mpp: float | None = None,
        threshold: float | None = None,
        *,
        roi: str | Path | None = None,
        tissue: str | Path | None = None,
        page: int | None = None,
    ) -> FoundMitoses:
        """Finds mitoses on an image.

        Args:
            image: uint8 RGB [height, width, 3], or the path of an image file or slide. Of a file only the tissue is
                searched, part by part; an array is searched everywhere.
            mpp: um/px, 0.1 to 1; needed for an array, and for a file that does not say it.
            threshold: a score at or above it is a mitosis, 0 to 1; None: the model's.
            roi: a GeoJSON file with outlines, in px of the image: only mitoses within at least one of them are searched
                for. As `--roi` of `mitobench predict`.
            tissue: where tissue is: a file with a mask of any size (0: none), or GeoJSON with outlines; only there is
                searched. None: tissue is found. As `--tissue` of `mitobench predict`.
            page: of a file with several images, such as a z-stack: which one to search, from 1 on.

        Parts of a file that cannot be decoded are left out, with a note. An image that cannot be judged, for example a
        grey one, is not searched.

        Raises:
            MitobenchError: if the image or a file cannot be read, an outline or a mask does not fit the image, um/px is
                missing, a number is out of range, or the file changes while it is read.
        """
        _check_numbers(mpp, threshold, page)
        used = self.card.threshold if threshold is None else threshold
        outlines, where = (None if path is None else Path(path) for path in (roi, tissue))
        inputs.check_there([path for path in (outlines, where) if path is not None])
        with trust.allowing(self.allow), trust.only(self.allow):
            if isinstance(image, str | Path):
                return self._of_file(Path(image), mpp, used, outlines, where, page)
            if page is not None:
                raise MitobenchError(f"page={page}: an array has no pages. Leave it out.")
            return self._of_array(image, mpp, used, outlines, where)

    def _of_file(
        self, path: Path, mpp: float | None, threshold: float, roi: Path | None, tissue: Path | None, page: int | None
    ) -> FoundMitoses:
        if path.is_dir():
            raise MitobenchError(f"{path}: is a folder. Give an image file: each call searches one.")
        with opened(path, mpp, page, tissue, roi, option="mpp=") as given:
            return FoundMitoses(*findings_on(given, Searcher(self.model), threshold, path.stem))

    def _of_array(
        self, pixels: Pixels, mpp: float | None, threshold: float, roi: Path | None, tissue: Path | None
    ) -> FoundMitoses:
        kind, pixels = type(pixels).__name__, np.asarray(pixels)
        if pixels.dtype == object:
            raise MitobenchError(f"The image is a {kind}. Give the path of a file, or uint8 RGB [height, width, 3].")
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
            raise MitobenchError(
                f"The image is {pixels.dtype} {list(pixels.shape)}, and must be uint8 RGB [height, width, 3]."
            )
        if mpp is None:
            raise MitobenchError(f"mpp=None: give the um/px of the array, {inputs.MIN_MPP:g} to {inputs.MAX_MPP:g}.")
        height, width = pixels.shape[:2]
        inputs.check_size("The array", (width, height), (mpp, mpp))
        frame = Frame("array", "images", "array", "-", (mpp, mpp), (width, height), lambda: pixels)
        area = search_area_of_array(frame.size, frame.mpp, tissue, roi)
        samples = patches_of(pixels, frame.mpp, self.card.mpp)
        judgement = judge(self.card, pixels, samples, frame.mpp, tissue is not None or roi is not None)
        found = self.model.predict(frame, threshold, area).sorted() if judgement.judged else Prediction.none()
        path, notes = Path("array"), area.notes
        findings = Findings(path.stem, path, frame.size, frame.mpp, found, threshold, area.tissue, notes)
        return FoundMitoses(findings, judgement)


def _check_numbers(mpp: float | None, threshold: float | None, page: int | None) -> None:
    """Raises MitobenchError for what the command line refuses, too."""
    for name, value, low, high, unit in (
        ("mpp", mpp, inputs.MIN_MPP, inputs.MAX_MPP, " um/px"),
        ("threshold", threshold, 0.0, 1.0, ""),
    ):
        if value is not None and not (isinstance(value, Real) and low <= value <= high):
            raise MitobenchError(f"{name}={value!r}: must be a number from {low:g} to {high:g}{unit}.")
    if page is not None and not (isinstance(page, Integral) and page >= 1):
        raise MitobenchError(f"page={page!r}: must be a whole number from 1 on.")


@dataclass(frozen=True)
class FoundMitoses:
    """What a model found on an image.

    Attributes:
        findings: everything that was found, with the tissue.
        judgement: how the image differs from the training frames, and whether its counts mean anything.
    """

    findings: Findings
    judgement: Judgement

    @property
    def count(self) -> int | None:
        """Number of mitoses; None for an image that cannot be judged, for example a grey one."""
        return self.findings.mitoses if self.judgement.judged else None

    @property
    def per_mm2(self) -> float | None:
        """Mitoses per mm2 of tissue, or None without tissue or for an image that is not judged.

        Of an array that was searched everywhere, the whole image counts as tissue.
        """
        area = self.findings.tissue.area_mm2
        return None if self.count is None or not area else self.count / area

    @property
    def xy(self) -> NDArray[np.float64]:
        """Centres of the mitoses, [N, 2] px, the highest score first; whole numbers are the centres of pixels."""
        found = self.findings.found
        return found.detections.xy[found.is_mitosis]

    @property
    def score(self) -> NDArray[np.float64]:
        """Scores of the mitoses, [N]."""
        return self.findings.found.score[self.findings.found.is_mitosis]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was converted or is odd."""
        return tuple(dict.fromkeys([*self.judgement.remarks, *self.findings.notes]))

    def hot_spots(self, area_mm2: float = AREA_MM2, shape: str = "circle") -> tuple[HotSpot, ...]:
        """Returns the places with the most mitoses that do not overlap, the highest count first.

        Args:
            area_mm2: their size, mm2.
            shape: `circle` or `square`.
        """
        points = (self.xy + 0.5) * self.findings.mpp
        return find_hot_spots(points, self.findings.tissue, area_of(shape, area_mm2)).spots

    def rows(self) -> list[dict[str, Any]]:
        """Returns all candidates, the highest score first, each as a dict.

        The names are `x` and `y` (centre, px; whole numbers are the centres of pixels), `x_um` and `y_um` (centre, um
        from the upper left corner), `detector_score`, `verifier_score` (None without a verifier), `score`, and
        `mitosis` (whether the score reaches the threshold).
        """
        found = self.findings.found
        um = (found.detections.xy + 0.5) * self.findings.mpp
        return [
            {
                "x": float(found.detections.xy[i, 0]),
                "y": float(found.detections.xy[i, 1]),
                "x_um": float(um[i, 0]),
                "y_um": float(um[i, 1]),
                "detector_score": float(found.detections.score[i]),
                "verifier_score": None if found.verifier is None else float(found.verifier[i]),
                "score": float(found.score[i]),
                "mitosis": bool(found.is_mitosis[i]),
            }
            for i in range(len(found))
        ]

    def table(self) -> Any:
        """Returns `rows` as a pandas DataFrame, or as a list where pandas is not installed."""
        return _table(self.rows())


def run(
    out: str | Path,
    *,
    detector: str | Sequence[str] = (),
    verifier: str | Sequence[str] = (),
    fuser: str | Sequence[str] = (),
    estimator: str | Sequence[str] = (),
    data: str | Path | None = None,
    dataset: str | Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    options: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    executor: str | None = None,
    **settings: Any,
) -> Any:
    """Trains and scores every combination of plugins, as `mitobench run` does, and returns a row of scores for each.

    Args:
        out: folder of the leaderboard; records go to its `records/`.
        detector: name of a detector, or several; without any, the profile's default.
        verifier: names of verifiers, in the same way.
        fuser: names of fusers, in the same way.
        estimator: names of box estimators, in the same way.
        data: folder that holds data sets; None: synthetic frames.
        dataset: names of the data sets to test on; without any, all in `data`.
        seeds: seeds of the training; each gives a row.
        options: options of plugins, for example `{"detector.blobs.max_candidates": 50}`.
        jobs: number of stages that run at once.
        executor: `local`, `processes`, `ray` or `ray:ADDRESS`; None: `processes` for several jobs, else `local`.
        settings: further arguments of `benchmark.Benchmark.prepare`: `profile`, `scale`, `protocol`, `train_on`,
            `device`, `threads`, `store`, `allow`, ...

    Returns:
        A pandas DataFrame, or a list of dicts where pandas is not installed: names of the plugins, data set and
            protocol (a row for each fold, where it has folds), `seed`, `status`, `f1` with `f1_low` and `f1_high` (its
            95 % interval), `precision`, `recall`, `threshold`, and the `record`'s file. A combination that cannot run
            has no row: a warning in the log says why.

    Raises:
        MitobenchError: if an argument, a name or an option is unknown, or the data cannot be read.
    """
    from mitobench import folding
    from mitobench.benchmark import Benchmark, Grid, run_all
    from mitobench.pipeline.executors import executor_of
    from mitobench.pipeline.overrides import Override

    parameters = [name for function in (run, Benchmark.prepare) for name in inspect.signature(function).parameters]
    known = set(parameters) - {"settings", "grids", "datasets"}
    for name in settings.keys() - known:
        raise MitobenchError(f"Unknown argument {name}={settings[name]!r} of mitobench.run. {nearest(name, known)}")
    given = {"estimator": estimator, "detector": detector, "verifier": verifier, "fuser": fuser}
    roles = {role: names for role, value in given.items() if (names := _names(value))}
    overrides = [Override.parse(f"{name}={_text(name, value)}") for name, value in (options or {}).items()]
    where = executor_of(executor, jobs)  # an address that is wrong is an error before data is read
    benchmarks = folding.prepare(
        [Grid(roles, overrides)],
        data=None if data is None else Path(data),
        datasets=_names(dataset) or None,
        seeds=tuple(seeds),
        **settings,
    )
    problems = [(row.combination.title, row.problem) for benchmark in benchmarks for row in benchmark.problems]
    for title, problem in dict.fromkeys(problems):
        log.warning("%s cannot run, and has no row: %s", title, (problem or ("", ""))[1])
    with where as chosen:
        run_all(benchmarks, Path(out), executor=chosen)
    return _table([_row(path, record) for benchmark in benchmarks for path, record in benchmark.records])


def _row(path: Path, record: Any) -> dict[str, Any]:
    test = record.test
    between = test.f1_interval if test else None
    named = ("dataset", "protocol", "estimator", "detector", "verifier", "fuser", "seed")
    names = {name: record.combination[name] for name in named}
    return {
        **names,
        "status": record.status,
        "f1": test.f1 if test else None,
        "f1_low": between.low if between else None,
        "f1_high": between.high if between else None,
        "precision": test.precision if test else None,
        "recall": test.recall if test else None,
        "threshold": test.threshold if test else None,
        "record": str(path),
    }


def _names(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _text(name: str, value: Any) -> str:
    """Returns the value of an option as `--set` reads it. Raises MitobenchError if no option can have it."""
    if isinstance(value, str | Path):
        return str(value)
    try:
        return json.dumps(value.tolist() if hasattr(value, "tolist") else value)  # NumPy's numbers and arrays
    except (TypeError, ValueError) as reason:
        raise MitobenchError(f"options[{name!r}]: {reason}. Give text, a number, a list, a dict or None.") from reason


def _table(rows: list[dict[str, Any]]) -> Any:
    if find_spec("pandas") is None:
        return rows
    return importlib.import_module("pandas").DataFrame(rows)
