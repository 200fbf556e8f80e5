"""Gets model folders from the Hugging Face Hub, and from archives at an https address with their SHA-256.

They are stored in the user's cache, and every file is verified against the model's card. Nothing is downloaded unless
the user allows it (`hub`).
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib import request

from mitobench import file_cache, hub
from mitobench.atomic import atomic_folder
from mitobench.errors import MitobenchError, one_line
from mitobench.foreign.limits import MAX_CARD_BYTES, MAX_FILES_OF_MODEL, MAX_MODEL_BYTES
from mitobench.hub import HUB, Repository
from mitobench.model import card as cards
from mitobench.model.archive import safe_name, unpack
from mitobench.model.card import CARD

log = logging.getLogger("mitobench")

HTTPS = "https://"
FORM = "hf-hub:ORG/NAME@REVISION or https://HOST/MODEL.zip#sha256=DIGEST"
TIMEOUT_S = 30.0
_ADDRESS = re.compile(r"(?P<url>https://[^\s#]+)#sha256=(?P<digest>[0-9a-f]{64})")


def is_remote(name: str) -> bool:
    """Whether a model's name is an address, not a name in the registry or a folder."""
    return name.startswith((HUB, HTTPS, "http://"))


def fetch(name: str) -> Path:
    """Returns the folder of a model with an address: `hf-hub:ORG/NAME@REVISION`, or `https://...#sha256=DIGEST`.

    Raises MitobenchError for another form, if the model is not here and downloads are not allowed, if the download
    fails or is too large, and if its files are not those of its card.
    """
    repository = hub.repository_of(name.removeprefix(HUB)) if name.startswith(HUB) else None
    address = _ADDRESS.fullmatch(name)
    if repository is not None:
        return _of_hub(name, repository)
    if address is not None:
        return _of_archive(name, address["url"], address["digest"])
    raise MitobenchError(
        f"model {one_line(name)}: is not an address of a model. Write {FORM}. The words in capitals stand for your "
        "own; DIGEST is the SHA-256 of the archive, 64 hexadecimal digits that whoever published the model gives."
    )


def stored(name: str) -> Path | None:
    """Returns the folder of a model with an address if it was downloaded before, without a network; None otherwise.

    A model of the hub is found by its commit only: a branch may have changed.
    """
    repository = hub.repository_of(name.removeprefix(HUB)) if name.startswith(HUB) else None
    address = _ADDRESS.fullmatch(name)
    if repository is not None:
        folder = models_dir() / f"{repository.folder}@{repository.revision}"
    elif address is not None:
        folder = models_dir() / f"sha256-{address['digest']}"
    else:
        return None
    return folder if folder.is_dir() else None


def models_dir() -> Path:
    """Returns the folder in which downloaded models are kept: in MITOBENCH_CACHE, or in the user's cache."""
    return file_cache.folder() / "models"


@contextmanager
def _stored(folder: Path) -> Iterator[Path]:
    """Gives an empty folder that becomes `folder`, if the block ends without an error and the model is complete."""
    try:
        with atomic_folder(folder) as new:
            yield new
            cards.read(new)
    except OSError as reason:
        raise MitobenchError(
            f"{folder}: cannot be written: {reason.strerror or reason}. Fix this, or set MITOBENCH_CACHE to another "
            "folder."
        ) from reason


# --------------------------------------------------------------------------------------------------------- the hub


def _of_hub(name: str, repository: Repository) -> Path:
    folder = models_dir() / f"{repository.folder}@{repository.revision}"
    if repository.is_fixed and folder.is_dir():
        return folder
    path = hub.file_of(repository, [CARD], MAX_CARD_BYTES, name)
    repository = repository._replace(revision=path.parent.name)  # the commit
    folder = models_dir() / f"{repository.folder}@{repository.revision}"
    if folder.is_dir():
        return folder
    files = cards.read_unverified(path.parent).files
    _check_files(name, {file: entry.bytes for file, entry in files.items()})
    with _stored(folder) as new:
        shutil.copyfile(path, new / CARD)
        for file, entry in files.items():
            (new / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(hub.file_of(repository, [file], entry.bytes, name), new / file)
    return folder


def _check_files(name: str, files: dict[str, int]) -> None:
    """Raises MitobenchError for names that lead out of the folder, and for too many files or bytes."""
    unsafe = next((file for file in files if not safe_name(file)), None)
    if unsafe is not None:
        raise MitobenchError(
            f"{name}: its card names a file {one_line(ascii(unsafe))}, which a model may not have. "
            "Ask its author to pack it again."
        )
    if len(files) > MAX_FILES_OF_MODEL or sum(files.values()) > MAX_MODEL_BYTES:
        raise MitobenchError(
            f"{name}: has {len(files):,} files with {sum(files.values()):,} bytes; a model has at most "
            f"{MAX_FILES_OF_MODEL:,} files with {MAX_MODEL_BYTES:,} bytes."
        )


# -------------------------------------------------------------------------------------------------------- archives


def _of_archive(name: str, url: str, digest: str) -> Path:
    folder = models_dir() / f"sha256-{digest}"
    if folder.is_dir():
        return folder
    if not hub.download_allowed():
        raise MitobenchError(f"{url}: is not on this machine. {hub.HOW_TO_ALLOW}.")
    models_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models_dir(), prefix=".download-") as temporary:
        archive = Path(temporary, "archive")
        log.warning("Downloading %s ...", url)
        found = _download(url, archive)
        if found != digest:
            raise MitobenchError(f"{url}: has SHA-256 {found}, not {digest}. Ask its author which is right.")
        with _stored(folder) as new:
            unpack(archive, new, url)
    return folder


def _download(url: str, path: Path) -> str:
    """Writes what is at an address to a file; returns its SHA-256. Raises MitobenchError if it is too large."""
    digest, size = hashlib.sha256(), 0
    try:
        with _open(url) as response, path.open("wb") as file:
            while block := response.read(1 << 20):
                size += len(block)
                if size > MAX_MODEL_BYTES:
                    raise MitobenchError(f"{url}: has more than {MAX_MODEL_BYTES:,} bytes, the limit for a model.")
                digest.update(block)
                file.write(block)
    except (OSError, ValueError) as reason:
        raise MitobenchError(f"{url}: cannot be downloaded: {one_line(str(reason))}. Check the address.") from reason
    return digest.hexdigest()


class _HttpsOnly(request.HTTPRedirectHandler):
    """Follows no redirection to an address that is not https."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not newurl.startswith(HTTPS):
            raise ValueError(f"it leads to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str) -> IO[bytes]:
    opened: IO[bytes] = request.build_opener(_HttpsOnly).open(url, timeout=TIMEOUT_S)
    return opened
