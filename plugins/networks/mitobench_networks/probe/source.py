"""Finds an encoder by the text after `probe:`: in timm, in the local Hugging Face cache, or in a folder.

A repository is only read from the cache, unless `--allow-download` (MITOBENCH_ALLOW_DOWNLOAD=1) allows to download it.
Only config.json and model.safetensors are read; nothing is unpickled.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mitobench.api import MitobenchError, PluginError
from mitobench.training import find_weights
from mitobench.training.timm_models import check_model
from mitobench_networks.probe import config as configs
from mitobench_networks.probe.config import EncoderConfig
from mitobench_networks.probe.encoder import WEIGHTS

HUB = "hf-hub:"
REPOSITORY = re.compile(r"(?P<name>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w.-]*))?", re.ASCII)
ALLOW_DOWNLOAD = "MITOBENCH_ALLOW_DOWNLOAD"


def spelled(argument: str) -> str:
    """Returns the full spelling of an encoder. Looks for no file and no repository: a model may bring its own.

    Raises MitobenchError for a name that timm does not have, with similar ones, and for a repository without a name.
    """
    if argument.startswith(HUB):
        if not REPOSITORY.fullmatch(argument.removeprefix(HUB)):
            raise MitobenchError(
                f"probe:{argument}: is not a repository. Write probe:hf-hub:ORG/NAME or probe:hf-hub:ORG/NAME@REVISION."
            )
        return argument
    if is_folder(argument):
        path = Path(argument)
        folder = str(path.parent if path.name == WEIGHTS else path)
        return folder if is_folder(folder) else f"./{folder}"
    check_model(argument)
    return argument


def is_folder(argument: str) -> bool:
    """Returns whether an encoder is given as a path: all that is not a repository or a mere name."""
    return not argument.startswith(HUB) and (
        "/" in argument or os.sep in argument or argument.startswith((".", "~")) or argument.endswith(".safetensors")
    )


def config(model: str, arguments: Mapping[str, Any]) -> EncoderConfig:
    """Returns the description of an encoder. Raises PluginError if it is not there or is not one of timm."""
    if model.startswith(HUB):
        return EncoderConfig.of_folder(_repository_file(model, configs.FILE).parent, arguments)
    if is_folder(model):
        return EncoderConfig.of_folder(_folder(model), arguments)
    return EncoderConfig.of_timm(model, arguments)


def weights(model: str, requested: str) -> Path | None:
    """Returns the file of an encoder's weights, by the option `pretrained`; None means random weights."""
    if requested == "auto" and model.startswith(HUB):
        return _repository_file(model, WEIGHTS)
    if requested == "auto" and is_folder(model):
        return _file_in(_folder(model))
    return find_weights(requested, model)


# ------------------------------------------------------------------------------------------------------- a folder


def _folder(model: str) -> Path:
    folder = Path(model).expanduser()
    if not (folder / configs.FILE).is_file():
        problem = (
            "does not exist" if not folder.exists() else f"has no {configs.FILE}" if folder.is_dir() else "is a file"
        )
        raise PluginError(
            f"{folder}: {problem}. Give a folder with {configs.FILE} and {WEIGHTS}, as timm saves them. For tensors "
            "alone, name their network: probe:ARCHITECTURE with --set verifier.pretrained=FILE."
        )
    return folder


def _file_in(folder: Path) -> Path:
    if (folder / WEIGHTS).is_file():
        return folder / WEIGHTS
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth"))
    has = f"has {', '.join(pickles)}, which could run code when it is read, and no" if pickles else "has no"
    raise PluginError(f"{folder}: {has} {WEIGHTS}. Convert the weights: docs/weights.md.")


# --------------------------------------------------------------------------------------------------- a repository


def _repository_file(model: str, name: str) -> Path:
    """Returns a file of a repository in the cache. Raises PluginError, with what to do, if it cannot be had."""
    from huggingface_hub import constants, errors, hf_hub_download

    found = REPOSITORY.fullmatch(model.removeprefix(HUB))
    assert found is not None, "resolve() has checked it"
    repository, revision = found["name"], found["revision"]
    allowed = os.environ.get(ALLOW_DOWNLOAD) == "1"
    cache = os.environ.get("HF_HUB_CACHE") or constants.HF_HUB_CACHE
    try:
        return Path(hf_hub_download(repository, name, revision=revision, cache_dir=cache, local_files_only=not allowed))
    except errors.GatedRepoError as reason:
        raise PluginError(
            f"{model}: its owner decides who may use it. Ask for access on https://huggingface.co/{repository}, then "
            "sign in with `hf auth login`."
        ) from reason
    except errors.RepositoryNotFoundError as reason:
        raise PluginError(
            f"{model}: the hub has no repository {repository}, or does not show it to you. Check the name; sign in "
            "to a private one with `hf auth login`."
        ) from reason
    except errors.RevisionNotFoundError as reason:
        raise PluginError(f"{model}: the repository has no revision {revision}. Check the part after @.") from reason
    except errors.LocalEntryNotFoundError as reason:
        raise _not_cached(model, repository, revision, name, Path(cache), allowed) from reason
    except errors.EntryNotFoundError as reason:
        raise PluginError(
            f"{model}: the repository has no {name}. mitobench reads no pickles: convert its weights "
            "(docs/weights.md) into a folder, and use probe:FOLDER."
        ) from reason
    except Exception as reason:  # the network fails in many ways
        raise PluginError(f"{model}: {name} cannot be read: {type(reason).__name__}: {reason}.") from reason


def _not_cached(model: str, repository: str, revision: str | None, name: str, cache: Path, tried: bool) -> PluginError:
    if name == WEIGHTS:  # its description is there: perhaps the weights are a pickle
        folder = _repository_file(model, configs.FILE).parent
        if any(path.suffix in (".bin", ".pt", ".pth") for path in folder.iterdir()):
            try:
                _file_in(folder)
            except PluginError as pickled:
                return pickled
    what = f"{repository} {configs.FILE} {WEIGHTS}" + (f" --revision {revision}" if revision else "")
    if tried:
        return PluginError(f"{model}: {name} is not in {cache}, and the hub cannot be reached. Check the connection.")
    return PluginError(
        f"{model}: {name} is not in the local Hugging Face cache, {cache}. Download it with `hf download {what}`, or "
        "give --allow-download. If its owner decides who may use it, first ask for access on "
        f"https://huggingface.co/{repository}, and sign in with `hf auth login`."
    )
