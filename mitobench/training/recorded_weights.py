"""The weights that the fit of a record stored (`pretrained=record:RECORD.json`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from mitobench import weights_search
from mitobench.content import file_digest
from mitobench.errors import MitobenchError
from mitobench.foreign import read_json
from mitobench.foreign.limits import MAX_RECORD_BYTES
from mitobench.training.tensor_files import ensure_safetensors
from mitobench.weights_search import MAX_LEARNED_FROM, MAX_LEARNED_FROM_TEXT, UNKNOWN_FRAMES, WHOLE

KEY = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[^\w.+-]+")
TEXT = re.compile(r"[^\w.+() -]+")


def recorded_weights(path: Path, folder: Path) -> Path:
    """Returns the tensors that a record's fit stored, copied to `folder` under a name with their digest.

    The fit is that of the record's plugin of the same role as the plugin that searches: a detector starts from the
    record's detector. Its output is looked up in the store of the run by its key. Only tensors are read.

    Raises MitobenchError if the record has no such fit, the store does not have it, or it saved no single file of
    tensors.
    """
    search = weights_search.current()
    requested = f"pretrained=record:{path}"
    if search.role is None:
        raise MitobenchError(
            f"{requested}: weights of a record work in `mitobench run` alone: give --set ROLE.pretrained=record:FILE."
        )
    content = read_json(path.expanduser(), MAX_RECORD_BYTES, "record", MitobenchError)
    key = _key(content, search.role)
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise MitobenchError(f"{requested}: the record has no fitted {search.role}. Choose another record.")
    store = search.store or platformdirs.user_cache_path("mitobench") / "store"
    output = store / "stages" / f"fit-{search.role}" / key
    if not output.is_dir():
        raise MitobenchError(
            f"{requested}: the store {store} does not have the fit of its {search.role} ({key[:12]}...). Give the "
            f"store of that run with --store, or run it again: mitobench reproduce {path} --store {store}"
        )
    files = sorted(output.rglob("*.safetensors"))
    if len(files) != 1:
        found = ", ".join(file.relative_to(output).as_posix() for file in files) or "none"
        raise MitobenchError(f"{requested}: its {search.role} must have saved one .safetensors file; found {found}.")
    search.learned_from.extend(_learned_from(content, search.role))
    return ensure_safetensors(
        files[0], folder / f"{_name(content, search.role)}-{file_digest(files[0])[:12]}.safetensors"
    )


def _key(record: Any, role: str) -> Any:
    """Returns the key of a fit; that of an estimator is an input of the stage that makes boxes."""
    try:
        if role != "estimator":
            return record["stages"][role]
        return record["specs"][record["stages"]["boxes"]]["upstream"]["estimator"]
    except (KeyError, TypeError):
        return None


def _learned_from(record: Any, role: str) -> list[str]:
    """Returns the data sets that a record's fit learned from, each with its protocol, and those of the fit before it.

    A fit without steps learned nothing itself.
    """
    try:
        plugin = record["plugins"][role]
        before = [*plugin.get("learned_from", [])]
        if not before and record.get("training_info", {}).get(role, {}).get(WHOLE):
            before = [UNKNOWN_FRAMES]
        protocols = {name: entry["split"]["protocol"] for name, entry in record["data"].items()}
        own = [f"{name} ({protocols[name]})" for name in record["combination"]["train_on"]]
        found = [*before, *(own if plugin["options"].get("iterations") != 0 else [])]
        return [TEXT.sub("-", text)[:MAX_LEARNED_FROM_TEXT] for text in dict.fromkeys(found)][:MAX_LEARNED_FROM]
    except (AttributeError, KeyError, TypeError):
        return [UNKNOWN_FRAMES]


def _name(record: Any, role: str) -> str:
    """Returns the plugin's name as part of a file name."""
    combination = record.get("combination") if isinstance(record, Mapping) else None
    name = combination.get(role) if isinstance(combination, Mapping) else None
    return NAME.sub("-", str(name or role))[:60]
