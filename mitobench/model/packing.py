"""Packs a finished run into a model folder: the files its plugins saved, and a card. Never pickles."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mitobench import datasets, discovery
from mitobench.api import Frame
from mitobench.atomic import atomic_folder
from mitobench.datasets import Dataset
from mitobench.errors import DataError, MitobenchError, RecordError, nearest
from mitobench.model import card as cards
from mitobench.model import repacking
from mitobench.model.card import CARD, MeasuredScores, ModelCard, PackedPlugin, PackedPlugins, TrainingRanges
from mitobench.model.deviation import ranges_of
from mitobench.model.model import FILES, Model
from mitobench.pipeline.saved_files import TENSORS, packed
from mitobench.pipeline.stages.embedding import ENCODER
from mitobench.pipeline.store import Store
from mitobench.pipeline.trust import KINDS, only
from mitobench.results import option_files
from mitobench.results import record as records
from mitobench.results.local_datasets import LocalDatasets
from mitobench.results.schema import Record

ROLES = ("detector", "verifier", "fuser")


def pack(
    record: Path,
    store: Path,
    out: Path,
    half: bool = False,
    data: Path | None = None,
    onnx: bool = False,
    settings: Sequence[str] = (),
    allow: Collection[str] = (),
) -> ModelCard:
    """Writes the model of a record to a new folder atomically, and loads it once to check that it works.

    Args:
        record: a record's .json file.
        store: the store with the outputs of the run's stages.
        out: the folder to create.
        half: round weights to 16 bits, which halves their size and changes scores slightly.
        data: folder that holds the data sets that the run was trained on, at any depth. The card then has the ranges of
            their stain, sharpness, colour and um/px (`ModelCard.ranges`). None: it has none.
        onnx: ONNX Runtime, which then must be installed, runs the networks on a CPU.
        settings: `ROLE.OPTION=VALUE`, options read only at prediction time. The threshold is then chosen again on the
            validation frames in `data` (`ModelCard.repacked`).
        allow: what the plugins may do beyond computing while the threshold is chosen again: `external`, `download`.

    Files that options refer to are packed too, so the model does not need the originals; so is the encoder of a
    verifier that has one.

    Raises RecordError for a record that failed or has no threshold; MitobenchError if the store lacks a stage, a plugin
    saved files other than tensors and JSON, a plugin would do something that is not allowed, or `out` exists already or
    cannot be written; DataError if the training frames in `data` are missing, or not those of the record.
    """
    read = records.read(record)
    changes = repacking.changes_of(read, settings)
    repacking.check_data(data, changes)
    stages = _saved(record, read, Store(store))
    with _new(out) as folder:
        for role, saved in stages.items():
            _copy(role, saved, folder / role, half)
        for role in ROLES:
            files = read.plugins[role].files
            option_files.write(folder / FILES / role, files, lambda file: Store(store).kept(file.sha256))
        card = repacking.with_options(_card(record, read, half), changes)
        card = cards.write(folder, card.model_copy(update={"ranges": _ranges(read, data, card.mpp)}))
        permitted = allow if changes else KINDS  # loading runs nothing; choosing a threshold again searches frames
        model = Model.load(folder, allow=permitted)
        if onnx:
            networks = repacking.write_networks(folder, model)
            card = cards.write(folder, card.model_copy(update={"onnx": networks}))
            model = Model.load(folder, allow=permitted)
        if changes and data is not None:
            with only(allow):
                card = cards.write(folder, repacking.choose_again(model, read, data, changes))
    return card


def _saved(path: Path, record: Record, store: Store) -> dict[str, Path]:
    """The folders that plugins saved to, by role. Plugins that learn nothing have none."""
    if record.chosen is None or record.status != "ok":
        raise RecordError(f"{path}: the run failed ({record.reason}), so there is no model to pack.")
    if record.chosen.point.threshold is None:
        raise RecordError(
            f"{path}: validation chose no threshold ({record.chosen.point.reason}), so the model cannot call mitoses."
        )
    kinds = {"detector": "fit-detector", "verifier": "fit-verifier", ENCODER: "encoder", "fusion": "fusion"}
    folders = {}
    for role, kind in kinds.items():
        if role not in record.stages:
            continue
        output = store.get(kind, record.stages[role])
        if output is None:
            raise MitobenchError(
                f"{store.root}: the store does not have stage {kind} {record.stages[role]} of {path.name}. Give the "
                f"store of the run with --store, or run it again: mitobench reproduce {path} --store {store.root}"
            )
        folders[role] = output.folder
    folders["fuser"] = folders.pop("fusion") / "fuser"
    return folders


def add_ranges(
    record: Path, model: Path, data: Path, out: Path, slides: Mapping[str, Collection[str]] | None = None
) -> tuple[ModelCard, int]:
    """Writes a copy of a packed model whose card has the ranges of its training frames. Needs no store.

    Args:
        record: the record that the model was packed from.
        model: the model's folder.
        data: folder that holds the data sets that it was trained on, at any depth.
        out: the folder to create.
        slides: of data sets that have changed since: the slides whose frames it was trained on. Their frames that are
            still there are taken, without being compared with the record.

    Returns the card, and the number of frames that it was trained on. Raises RecordError if the model is not the
    record's, DataError if the training frames are missing or not those of the record, and MitobenchError if `out`
    exists or cannot be written.
    """
    read, card = records.read(record), cards.read(model)
    if read.digest != card.record_digest:
        raise RecordError(f"{model}: was packed from {card.record}, not from {record}. Give that record.")
    frames = _training_frames(read, data, slides or {})
    with _new(out) as folder:
        shutil.copytree(model, folder, dirs_exist_ok=True)
        (folder / CARD).unlink()
        card = cards.write(folder, card.model_copy(update={"ranges": ranges_of(frames, card.mpp)}))
        cards.read(folder)
    return card, sum(sum(counts[part] for part in _learned(counts)) for counts in _train_on(read).values())


def _ranges(record: Record, data: Path | None, mpp: float) -> TrainingRanges | None:
    """Measures the training frames of a record, if they are here."""
    return None if data is None else ranges_of(_training_frames(record, data, {}), mpp)


def _learned(counts: Mapping[str, int]) -> list[str]:
    return [part for part in counts if part != "val"]


def _training_frames(record: Record, data: Path, slides: Mapping[str, Collection[str]]) -> list[Frame]:
    """Returns the frames in a folder that a record's run was trained on."""
    local, found = LocalDatasets(data), list[Frame]()
    counts = _train_on(record)
    unknown = sorted(slides.keys() - counts.keys())
    if unknown:
        raise DataError(f"the record was not trained on {unknown[0]}. {nearest(unknown[0], counts)}")
    for name, parts in counts.items():
        if name in slides:
            found += _frames_of(local.selected(record, name), slides[name])
            continue
        for part in ("train",) if "val" in parts else ("train", "val", "test"):
            workspace = local.part(record, name, part)
            found += [workspace.item(key).frame for key in workspace.part([name], part)]
    return found


def _frames_of(dataset: Dataset, slides: Collection[str]) -> list[Frame]:
    """Returns the labelled frames of slides. Raises DataError if a slide has none."""
    frames = [item.frame for item in dataset.items.values() if item.mitoses.labelled and item.frame.group in slides]
    missing = sorted(set(slides) - {frame.group for frame in frames})
    if missing:
        raise DataError(
            f"{dataset.root}: {dataset.name} has no labelled frame of slide {missing[0]}. Correct --slides."
        )
    return frames


def _copy(role: str, saved: Path, target: Path, half: bool) -> None:
    for path in packed(role, saved):
        copy = target / path.relative_to(saved)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if half and path.suffix == TENSORS:
            _halve(path, copy)
        else:
            shutil.copyfile(path, copy)


def _halve(path: Path, copy: Path) -> None:
    """Copies weights rounded to 16 bits.

    Vectors are not rounded: they are small, and statistics of a norm may be near 0. Neither are tensors with numbers
    too large for 16 bits.
    """
    from safetensors.torch import load_file, save

    tensors = load_file(path)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.ndim > 1 and tensor.half().isfinite().all():
            tensors[name] = tensor.half()
    copy.write_bytes(save(tensors))


def _card(path: Path, record: Record, half: bool) -> ModelCard:
    assert record.chosen is not None
    assert record.chosen.point.threshold is not None
    assert record.test is not None
    names = record.combination
    plugins, sources = " + ".join(names[role] for role in ROLES), ", ".join(names["train_on"])
    return ModelCard(
        title=f"{plugins}, trained on {sources}",
        record=path.name,
        record_digest=record.digest,
        combination=names,
        train_on=_train_on(record),
        notes=record.notes,
        plugins=PackedPlugins(**{role: _packed_plugin(role, record) for role in ROLES}),
        candidate_threshold=record.chosen.candidate_threshold,
        threshold=record.chosen.point.threshold,
        mpp=_mpp(record),
        measured=MeasuredScores(
            dataset=names["dataset"],
            protocol=names["protocol"],
            seed=names["seed"],
            f1=record.test.f1,
            f1_interval=record.test.f1_interval,
        ),
        half=half,
    )


def _train_on(record: Record) -> dict[str, dict[str, int]]:
    """Frames by data set and part. Data sets that do not provide the validation frames are used for training only."""
    choosing, train_on = record.choosing, record.combination["train_on"]
    frames = {name: record.data[name].frames for name in train_on}
    return {
        name: {part: n[part] for part in ("train", "val")} if name in choosing else {"train": sum(n.values())}
        for name, n in frames.items()
    }


def _packed_plugin(role: str, record: Record) -> PackedPlugin:
    plugin = record.plugins[role]
    package = discovery.find(role, plugin.name).package
    return PackedPlugin(name=plugin.name, package=package, version=plugin.version, options=plugin.options)


def _mpp(record: Record) -> float:
    """um/px that the detector resamples to; if it does not resample, those of its first training data set."""
    own: Any = record.plugins["detector"].options.get("mpp")
    if own is not None:
        return float(own)
    x, y = next(iter(datasets.reader(record.combination["train_on"][0]).card().mpp.values()))
    return (x + y) / 2


@contextmanager
def _new(out: Path) -> Iterator[Path]:
    """Yields an empty folder that becomes `out` if the block ends without an error."""
    if out.exists():
        raise MitobenchError(f"{out}: exists already. Remove it, or give another folder with --out.")
    try:
        with atomic_folder(out) as folder:
            yield folder
    except OSError as reason:
        raise MitobenchError(
            f"{out}: cannot be written: {reason.strerror or reason}. Fix this, or give another folder with --out."
        ) from reason
