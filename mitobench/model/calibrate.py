"""Chooses a model's threshold on the user's own fields, and writes the model with it to a new folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mitobench import datasets
from mitobench.atomic import atomic_folder
from mitobench.datasets import Dataset, Item
from mitobench.errors import DataError, MitobenchError
from mitobench.evaluate import FramePrediction, choose_threshold, count_frames, interval, total
from mitobench.model import card as cards
from mitobench.model.card import CARD, Calibration, ModelCard
from mitobench.model.model import Model

MATCHER = "mitos"
Progress = Callable[[int, int], None]


def calibrate(
    folder: Path,
    model: Model,
    data: Path,
    out: Path,
    progress: Progress = lambda done, total: None,
) -> ModelCard:
    """Writes a copy of a model whose threshold has the best F1 on the labelled images of a folder.

    Args:
        folder: the model's folder.
        model: the model.
        data: data set of the layout `folder`, for example from `mitobench data from-geojson`.
        out: folder to create.
        progress: called with (images searched, number of images).

    The rule is that of every benchmark for its validation frames (`evaluate.choose_threshold`), with hits within the
    radius of the data set. Returns the new card. Raises DataError if no threshold can be chosen, and MitobenchError if
    `out` exists or cannot be written.
    """
    if out.exists():
        raise MitobenchError(f"{out}: exists already, and is not overwritten. Give another folder with --out.")
    if folder.resolve() in out.resolve().parents:
        raise MitobenchError(f"{out}: lies in the folder of the model. Give another folder with --out.")
    dataset = datasets.load("folder", data)
    items = [item for item in dataset.items.values() if item.mitoses.labelled]
    if not items:
        raise DataError(f"{data}: has no labelled image. Label mitoses, for example in QuPath.")
    frames = []
    for number, item in enumerate(items, 1):
        frames.append(_predicted(model, item))
        progress(number, len(items))
    card = model.card.model_copy(update=_chosen(model.card, dataset, items, frames, data))
    try:
        with atomic_folder(out) as new:
            shutil.copytree(folder, new, dirs_exist_ok=True)
            (new / CARD).unlink()
            card = cards.write(new, card)
            cards.read(new)
    except OSError as reason:
        raise MitobenchError(
            f"{out}: cannot be written: {reason.strerror or reason}. Fix this, or give another folder with --out."
        ) from reason
    return card


def _predicted(model: Model, item: Item) -> FramePrediction:
    found = model.predict(item.frame)
    frame = FramePrediction.of(item.frame, item.mitoses, found.detections)
    return replace(frame, score=found.score)


def _chosen(
    card: ModelCard, dataset: Dataset, items: Sequence[Item], frames: Sequence[FramePrediction], data: Path
) -> dict[str, object]:
    """Returns the threshold and how it was chosen, as fields of the card."""
    radius = dataset.card.radius_um
    point = choose_threshold(frames, MATCHER, radius)
    if point.threshold is None:
        raise DataError(f"{data}: no threshold can be chosen: {point.reason}. Label more fields that have mitoses.")
    threshold_before = card.calibration.threshold_before if card.calibration else card.threshold
    before = count_frames(frames, threshold_before, MATCHER, radius)
    after = count_frames(frames, point.threshold, MATCHER, radius)
    calibration = Calibration(
        threshold_before=threshold_before,
        images=len(items),
        slides=len({item.frame.group for item in items}),
        mitoses=sum(len(item.mitoses) for item in items),
        digest=dataset.digest(item.frame.id for item in items),
        matcher=MATCHER,
        radius_um=radius,
        precision=point.precision,
        recall=point.recall,
        f1=point.f1,
        f1_interval=interval(after, "f1"),
        f1_before=total(before).ratio("f1"),
        f1_before_interval=interval(before, "f1"),
    )
    return {"threshold": point.threshold, "calibration": calibration}
