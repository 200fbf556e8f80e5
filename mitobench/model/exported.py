"""Networks of a model that ONNX Runtime runs on a CPU: exported on this machine once, and kept in the cache.

A model can bring such networks (`pack --onnx`). Those of another model are exported here once there is much to search,
as torch needs two to three times as long on a CPU. An export differs from torch by at most 1e-4, or torch runs the
network.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from importlib import metadata
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from mitobench import file_cache
from mitobench.api import Plugin
from mitobench.atomic import atomic_folder, write_text_atomic
from mitobench.content import file_digest
from mitobench.errors import MitobenchError
from mitobench.foreign import read_json
from mitobench.foreign.limits import MAX_STATE_BYTES
from mitobench.slides.reader import open_image

if TYPE_CHECKING:
    from mitobench.model.card import ModelCard
    from mitobench.model.model import Model

log = logging.getLogger("mitobench")

MIN_PX = 80_000_000  # px (5 mm2 at .25 um/px) that take about as long to search as an export does
PACKAGES = ("torch", "onnx", "onnxruntime", "onnxscript")
ROLES = ("detector", "verifier")
DIGESTS = "networks.json"  # the SHA-256 of each role's network; null for one that cannot be exported


def prepared(model: Model, images: Iterable[Path] = (), notify: Callable[[str], None] = log.info) -> Path | None:
    """Returns the folder with a model's exported networks, `ROLE.onnx`, after exporting them if they are not there.

    Args:
        model: the model, loaded.
        images: what is to be searched; an export is made if they have MIN_PX together.
        notify: called before an export, and where one fails.

    None where torch runs all networks: on a GPU, for few pixels, without the extra `onnx`, or if no network can be
    exported or kept.
    """
    if model.card.onnx or model.detector.device != "cpu" or not all(map(find_spec, PACKAGES)):
        return None
    folder = cache_folder() / _key(model.card)
    networks = _stored(folder)
    if networks is None and not _are_large(images):
        return None
    if networks is None:
        networks = _exported(model, folder, notify)
    return folder if networks else None


def networks_in(folder: Path | None) -> dict[str, Path]:
    """Returns the exported networks in a folder by role. None, or a folder that is gone, has none."""
    return {role: folder / f"{role}.onnx" for role in ROLES if folder and (folder / f"{role}.onnx").is_file()}


def cache_folder() -> Path:
    """Returns the folder of all exported networks on this machine, which may be deleted at any time."""
    return file_cache.folder() / "onnx"


def _key(card: ModelCard) -> str:
    """Returns what the networks depend on, as the name of a folder."""
    versions = {package: metadata.version(package) for package in ("mitobench", *PACKAGES)}
    content = json.dumps([card.digest, versions], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _are_large(paths: Iterable[Path]) -> bool:
    """Whether images have MIN_PX together; opens no more of them than it takes to know."""
    return any(total > MIN_PX for total in accumulate(map(_pixels, paths)))


def _pixels(path: Path) -> int:
    try:
        with open_image(path) as image:
            width, height = image.size
            return width * height
    except (MitobenchError, OSError):  # the search says what is wrong with it
        return 0


def _stored(folder: Path) -> dict[str, Path] | None:
    """Returns the networks that were exported before; None if there are none, or if they were altered."""
    try:
        digests = read_json(folder / DIGESTS, MAX_STATE_BYTES, "cache")
        networks = {role: folder / f"{role}.onnx" for role in ROLES if digests[role]}
        return networks if all(file_digest(path) == digests[role] for role, path in networks.items()) else None
    except (MitobenchError, OSError, LookupError, TypeError):
        return None


def _exported(model: Model, folder: Path, notify: Callable[[str], None]) -> dict[str, Path]:
    """Exports the networks of a model; returns those that ONNX Runtime can run."""
    digests: dict[str, str | None] = dict.fromkeys(ROLES)
    try:
        with atomic_folder(folder) as new:
            for role in ROLES:
                try:
                    digests[role] = _export(role, getattr(model, role), new / f"{role}.onnx", notify)
                except MitobenchError as reason:
                    again = f"To try again, delete {folder}."
                    notify(f"torch runs the {role}'s network, which takes longer: {reason}. {again}")
            write_text_atomic(new / DIGESTS, json.dumps(digests))
    except OSError as reason:
        notify(f"torch runs the networks, which takes longer: {folder} cannot be written ({reason}).")
    return networks_in(folder)


def _export(role: str, plugin: Plugin | None, path: Path, notify: Callable[[str], None]) -> str | None:
    """Exports the network of a plugin; returns the file's SHA-256, None if there is nothing to export.

    Raises PluginError if it cannot be exported, or if its output differs from torch's.
    """
    from mitobench.training.export import export  # torch takes long to import

    if plugin is None or type(plugin).use_exported is Plugin.use_exported:  # it predicts with its own network alone
        return None
    try:
        exportable = plugin.exportable()
    except MitobenchError:  # it has no network, or does not say how it is exported
        return None
    notify(f"The {role}'s network is prepared for this CPU, once; this takes up to a minute.")
    export(exportable, path)
    return file_digest(path)
