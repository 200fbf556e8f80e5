"""Changes how a packed model searches: other options of its plugins, and ONNX Runtime in place of torch.

Its threshold is then chosen again on the validation frames of its record, as the packed model finds mitoses on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mitobench import discovery
from mitobench.errors import DataError, MitobenchError, RecordError, nearest, wrong_fields
from mitobench.evaluate import choose_threshold
from mitobench.model.card import ModelCard, Repacked
from mitobench.model.model import NETWORK, Model
from mitobench.pipeline.frame_prediction import frame_prediction
from mitobench.pipeline.overrides import Override
from mitobench.results.local_datasets import LocalDatasets
from mitobench.results.schema import Record

ROLES = ("detector", "verifier")

Changes = Mapping[str, tuple[Any, Any]]  # ROLE.OPTION: value in the record, new value


def changes_of(record: Record, settings: Sequence[str]) -> Changes:
    """Reads `ROLE.OPTION=VALUE` settings.

    Raises RecordError for another form, and for options that a fit reads: those need another run.
    """
    changes: dict[str, tuple[Any, Any]] = {}
    for override in map(Override.parse, settings):
        if override.role not in ROLES or override.plugin is not None:
            raise RecordError(f"--set {override.text}: is not detector.OPTION=VALUE or verifier.OPTION=VALUE.")
        plugin, option = record.plugins[override.role], override.option
        cls: Any = discovery.load(override.role, plugin.name)
        if option not in cls.inference_options:
            raise RecordError(
                f"--set {override.text}: {plugin.name} has no option {option!r} that is read only at prediction time; "
                f"others need another run. {nearest(option, cls.inference_options)}"
            )
        try:
            new = cls.Options.model_validate({option: override.value}).model_dump(mode="json")[option]
        except ValidationError as reason:
            raise RecordError(f"--set {override.text}: {wrong_fields(reason)}.") from reason
        changes[f"{override.role}.{option}"] = (plugin.options.get(option), new)
    return changes


def with_options(card: ModelCard, changes: Changes) -> ModelCard:
    """Returns the card with the new values of the options."""
    parts = {}
    for role in ROLES:
        part = getattr(card.plugins, role)
        own = {place.partition(".")[2]: new for place, (_, new) in changes.items() if place.startswith(f"{role}.")}
        parts[role] = part.model_copy(update={"options": {**part.options, **own}})
    return card.model_copy(update={"plugins": card.plugins.model_copy(update=parts)})


def write_networks(folder: Path, model: Model) -> tuple[str, ...]:
    """Exports the networks of a model into its folder; returns the roles that have one.

    Each is compared with torch (`training.export`). Raises PluginError if a plugin cannot be exported.
    """
    from mitobench.training import export  # torch takes long to import

    export.check_installed()
    plugins = {"detector": model.detector, "verifier": model.verifier}
    for role, plugin in plugins.items():
        if plugin is not None:
            (folder / role).mkdir(exist_ok=True)
            export.export(plugin.exportable(), folder / role / NETWORK)
    return tuple(role for role, plugin in plugins.items() if plugin is not None)


def choose_again(model: Model, record: Record, data: Path, changes: Changes) -> ModelCard:
    """Returns the model's card with a threshold chosen on the record's validation frames, as the model searches them.

    Raises DataError if the frames in `data` are missing, are not those of the record, or allow no threshold.
    """
    assert record.chosen is not None
    matcher, radius_um = str(record.pipeline["matcher"]), float(record.pipeline["radius_um"])
    workspace = LocalDatasets(data).workspace(record, "val")
    frames = []
    for key in workspace.part(workspace.datasets, "val"):
        found = model.predict(workspace.item(key).frame)
        frames.append(frame_prediction(workspace, key, "val", found.detections.xy, found.score, found.detections.boxes))
    point = choose_threshold(frames, matcher, radius_um)
    if point.threshold is None:
        raise DataError(f"{data}: no threshold can be chosen with these options: {point.reason}.")
    repacked = Repacked(
        options=dict(changes),
        threshold_before=model.card.threshold,
        frames=len(frames),
        mitoses=sum(len(frame.truth_xy) for frame in frames),
        matcher=matcher,
        radius_um=radius_um,
        precision=point.precision,
        recall=point.recall,
        f1=point.f1,
        f1_before=record.chosen.point.f1,
    )
    return model.card.model_copy(update={"threshold": point.threshold, "repacked": repacked})


def check_data(data: Path | None, changes: Changes) -> None:
    """Raises MitobenchError if options change and there is no validation data."""
    if changes and data is None:
        raise MitobenchError(
            "--set needs --data: the threshold is chosen again on the validation frames. Give the folder of data sets "
            "that the run used."
        )
