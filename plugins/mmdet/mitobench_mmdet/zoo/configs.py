"""Turns the argument of `mmdet:CONFIG` into the name of a config, and that into a model: plain data.

Configs of MMDetection are Python files, and reading one runs it. Only the shipped ones and a file that the user names
are run, never one that a record or a packed model names. What a file of the user says is stored as data, under its name
and digest (`my_config@0123456789abcdef`), which is what records, keys and tables have.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mitobench.api import File, MitobenchError, PluginError, are_foreign
from mitobench_mmdet.zoo import names
from mitobench_mmdet.zoo.refusals import refusal
from mitobench_mmdet.zoo.settled import digest, settled

MAX_SHOWN = 12  # candidates in a message
TORCHVISION = "torchvision://"
STARTS = (TORCHVISION, "open-mmlab://")  # of addresses of weights in configs
PICKLE = ".pth"


def resolve(argument: str) -> str:
    """Returns the full spelling of an argument: a shipped config's name, or NAME@DIGEST of a file.

    A file of that path comes before a shipped config of that name or beginning.

    Raises MitobenchError for an unknown config, with the nearest names; for a prefix of configs that build different
    models, with the candidates; and for a config that cannot be fitted, with the reason.
    """
    if names.OF_FILE.fullmatch(argument):
        return argument
    path = Path(argument).expanduser()
    if argument.endswith(".py") and path.is_file():
        return _of_file(path)
    name = names.exact(argument)
    if name is not None:
        shipped_model(name)
        return name
    candidates = names.beginning_with(argument)
    if candidates:
        return _of_prefix(argument, tuple(candidates))
    raise names.unknown(argument, lambda name: isinstance(_model_or_reason(name), dict))


@functools.cache
def _of_prefix(prefix: str, candidates: Sequence[str]) -> str:
    """Returns the first of several configs if all build the same model."""
    models = {name: _model_or_reason(name) for name in candidates[: 8 * MAX_SHOWN]}
    reasons = sorted({reason for reason in models.values() if isinstance(reason, str)})
    if all(isinstance(model, str) for model in models.values()):
        raise MitobenchError(f"mmdet:{prefix} cannot be fitted: {'; or '.join(reasons)}.")
    distinct = {digest(model) if isinstance(model, dict) else model for model in models.values()}
    if len(distinct) == 1 and len(models) == len(candidates):
        return candidates[0]
    first = {digest(model): name for name, model in reversed(models.items()) if isinstance(model, dict)}
    shown = sorted(first.values())[:MAX_SHOWN]  # one of those that build the same model
    more = ", ..." if len(first) > len(shown) or len(models) < len(candidates) else ""
    raise MitobenchError(
        f"mmdet:{prefix} is the beginning of configs that build different models. "
        f"Write one of: {', '.join(shown)}{more}."
    )


def _model_or_reason(name: str) -> dict[str, Any] | str:
    """Returns the settled model of a shipped config, or why it cannot be fitted."""
    raw = _read(names.shipped()[name])
    if isinstance(raw, str):
        return raw
    return refusal(raw) or settled(raw)


@functools.cache
def shipped_model(name: str) -> Mapping[str, Any]:
    """Returns the model of a shipped config under the harness's settings: plain data, not to be changed.

    Raises MitobenchError with the reason if it cannot be fitted.
    """
    found = _model_or_reason(name)
    if isinstance(found, str):
        raise MitobenchError(f"mmdet:{name} cannot be fitted: {found}.")
    return found


@functools.cache
def _read(path: Path) -> Any:
    """Runs a config. Returns its `model`, None if it has none, or a text with the reason if it cannot be read."""
    from mmengine.config import Config

    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            config = Config.fromfile(path, import_custom_modules=False)
    except ModuleNotFoundError as reason:
        return f"it needs the package {str(reason).split()[0]}, which is not installed"
    except FileNotFoundError as reason:
        lost = re.search(r"[\w.+-]+\.py", str(reason))
        return "a file that it is based on is missing" + (f", {lost[0]}" if lost else "")
    except (Exception, SystemExit) as reason:  # a config is a program
        return f"reading it raised {type(reason).__name__}: {reason}"
    model = config._cfg_dict.to_dict().get("model")
    return json.loads(json.dumps(model)) if _is_plain(model) else model


def _is_plain(model: Any) -> bool:
    try:
        json.dumps(model, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


# ------------------------------------------------------------------------------------------------ files of the user


_typed: set[Path] = set()  # what the user typed; a profile may then have options for it


def _of_file(path: Path) -> str:
    """Runs a config file that the user named, and stores its model as data. Returns NAME@DIGEST.

    Raises MitobenchError if the file was not typed by the user, here or before, or cannot be fitted.
    """
    if are_foreign() and path.resolve() not in _typed:
        raise MitobenchError(
            f"mmdet:{path}: a record, a model, a profile or an experiment must not name a config file: reading it runs "
            f"it. If you trust the file, type it: --detector mmdet:{path}"
        )
    _typed.add(path.resolve())
    raw = _read(path.resolve())
    reason = raw if isinstance(raw, str) else refusal(raw)
    if reason:
        raise MitobenchError(f"mmdet:{path} cannot be fitted: {reason}.")
    from mitobench_mmdet.zoo.validation import check

    try:
        model = settled(raw)
        check(model)
    except MitobenchError as problem:
        raise MitobenchError(f"mmdet:{path} cannot be fitted: {problem}") from problem
    name = f"{path.stem[:100]}@{digest(model)}"
    if not names.OF_FILE.fullmatch(name):
        raise MitobenchError(f"mmdet:{path}: rename the file: letters, digits, `_`, `-`, `+` and `.` only.")
    _store(name, model)
    return name


def _store(name: str, model: dict[str, Any]) -> None:
    from mitobench.training import write_atomic

    path = stored(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(model, sort_keys=True, indent=1).encode())


def stored(name: str) -> Path:
    """Returns where the model of the user's file NAME@DIGEST is stored."""
    from mitobench.training import weights_folder

    return weights_folder() / "mmdet-configs" / f"{name}.json"


def file_model(name: str, data: File | None) -> Mapping[str, Any]:
    """Returns the model of the user's file NAME@DIGEST from its data, checked.

    Raises MitobenchError if there is no data, and PluginError if it has another digest or cannot be built.
    """
    from mitobench_mmdet.zoo.validation import check

    if data is None:
        raise MitobenchError(
            f"mmdet:{name} is a config file of its author's, whose content is not here. Give the file itself: "
            "mmdet:FILE.py."
        )
    model = loaded(data.read_text(), data.name)
    if digest(model) != name.rpartition("@")[2]:
        raise PluginError(f"{data.name}: is not the config {name}: its content has another digest.")
    return check(model)


def loaded(text: str, place: str) -> dict[str, Any]:
    """Returns the model that a JSON text holds, not checked yet. Raises PluginError if it is not JSON."""
    try:
        model = json.loads(text)
    except (ValueError, RecursionError) as reason:
        raise PluginError(f"{place}: is not JSON: {reason}. Fit again.") from reason
    if not isinstance(model, dict):
        raise PluginError(f"{place}: must be a JSON object. Fit again.")
    return model


# --------------------------------------------------------------------------------------------- weights to start from


def published_backbone(name: str) -> str | None:
    """Returns the name of the weights that the config's backbone starts from; None for a config without any.

    It is torchvision's name for a ResNet of torchvision, otherwise that of OpenMMLab's file, as `openmmlab-NAME`.
    """
    raw = _read(names.shipped()[name]) if name in names.shipped() else None
    text = next((text for text in _texts(raw) if text.startswith(STARTS) or text.endswith(PICKLE)), None)
    if text is None:
        return None
    last = text.rpartition("/")[2].removesuffix(PICKLE)
    number = last.removeprefix("resnet")
    if text.startswith(TORCHVISION) and number.isdigit():
        return f"ResNet{number}_Weights.IMAGENET1K_V1"
    return f"openmmlab-{last}"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(inner)
