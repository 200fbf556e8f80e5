"""Files in repositories of the Hugging Face Hub: models by address, and pretrained weights.

Nothing is downloaded unless the user allows it: `--allow-download` sets MITOBENCH_ALLOW_DOWNLOAD=1. Otherwise the hub's
local cache is read, and no socket is opened.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mitobench.errors import MitobenchError, one_line
from mitobench.foreign import check_regular

log = logging.getLogger("mitobench")

HUB = "hf-hub:"
ALLOW_DOWNLOAD = "MITOBENCH_ALLOW_DOWNLOAD"  # read by everything that downloads
HOW_TO_ALLOW = 'Pass --allow-download (in Python: allow=["download"]) to download it'
TIMEOUT_S = 30.0
_REPOSITORY = re.compile(r"(?P<name>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w./-]*))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Repository(NamedTuple):
    """A repository, `ORG/NAME`, at a commit, a branch or a tag."""

    name: str
    revision: str

    @property
    def is_fixed(self) -> bool:
        """Whether its files never change: the revision is a commit."""
        return _COMMIT.fullmatch(self.revision) is not None

    @property
    def folder(self) -> str:
        """Its name as that of a folder, without the revision."""
        return self.name.replace("/", "--")


def repository_of(text: str) -> Repository | None:
    """Returns the repository of `ORG/NAME` (its branch `main`) or `ORG/NAME@REVISION`; None for any other text."""
    match = _REPOSITORY.fullmatch(text)
    return None if match is None or ".." in text else Repository(match["name"], match["revision"] or "main")


def download_allowed() -> bool:
    """Returns whether the user allowed downloads for this run."""
    return os.environ.get(ALLOW_DOWNLOAD) == "1"


def file_of(repository: Repository, names: Sequence[str], max_bytes: int, requested: str) -> Path:
    """Returns the first of several files that a repository has, in the hub's cache: `.../snapshots/COMMIT/NAME`.

    With permission to download, a branch or tag is compared with the hub, as it may have changed; if that fails, the
    cached file is used with a warning. A cached file of a commit is used as it is.

    Args:
        repository: the repository.
        names: names of files, the preferred one first.
        max_bytes: the largest size, which is checked before a download.
        requested: what the user asked for, for messages.

    Raises MitobenchError if none of them is in the cache and downloads are not allowed, if the repository has none,
    or if the download fails or would be too large.
    """
    allowed = download_allowed()
    cached = next((path for name in names if (path := _cached(repository, name)) is not None), None)
    if cached is None and not allowed:
        raise MitobenchError(
            f"{requested}: {repository.name} at revision {repository.revision} is not in the local Hugging Face cache "
            f"({_hub('.constants').HF_HUB_CACHE}). {HOW_TO_ALLOW}, or run `hf download {repository.name} --revision "
            f"{repository.revision}` on a machine with a network and copy that folder."
        )
    if cached is not None and (repository.is_fixed or not allowed):
        return cached
    for name in names:
        try:
            path = _downloaded(repository, name, max_bytes, requested)
        except MitobenchError:
            raise
        except Exception as reason:  # no network, a gated or an absent repository
            problem = one_line((str(reason).strip().splitlines() or [""])[0].rstrip("."))
            if cached is not None:
                log.warning("%s: the hub cannot be asked, and the cached copy is used: %s", requested, problem)
                return cached
            raise MitobenchError(
                f"{requested}: {name} of {repository.name} cannot be downloaded: {problem}. Check the name, the "
                "revision and the network. For a gated repository, accept its terms at "
                f"https://huggingface.co/{repository.name} and run `hf auth login`."
            ) from reason
        if path is not None:
            return path
    raise MitobenchError(
        f"{requested}: {repository.name} at revision {repository.revision} has no {' or '.join(names)}."
    )


def _cached(repository: Repository, name: str) -> Path | None:
    """Returns a file of a repository in the local cache; None if it is not there. Opens no socket."""
    found = _hub().try_to_load_from_cache(repository.name, name, revision=repository.revision)
    return Path(found) if isinstance(found, str) else None


def _downloaded(repository: Repository, name: str, max_bytes: int, requested: str) -> Path | None:
    """Downloads a file into the local cache if it has changed; None if the repository does not have it."""
    hub = _hub()
    try:
        url = hub.hf_hub_url(repository.name, name, revision=repository.revision)
        size = hub.get_hf_file_metadata(url, timeout=TIMEOUT_S).size
    except _hub(".errors").EntryNotFoundError:
        return None
    if size is None or size > max_bytes:
        raise MitobenchError(f"{requested}: {name} has {size} bytes; at most {max_bytes:,} were expected.")
    log.warning("Downloading %s of %s at revision %s from the Hugging Face Hub ...", name, *repository)
    path = Path(hub.hf_hub_download(repository.name, name, revision=repository.revision))
    check_regular(path, max_bytes, name)
    return path


def _hub(module: str = "") -> Any:
    try:
        return importlib.import_module(f"huggingface_hub{module}")
    except ModuleNotFoundError as reason:
        raise MitobenchError("huggingface_hub is not installed: pip install huggingface-hub.") from reason
