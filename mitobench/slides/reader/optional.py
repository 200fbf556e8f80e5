"""Imports the optional libraries, and says what to install where one is missing.

They are imported by a name that is computed at run time. The keys of a benchmark's stages therefore do not depend on
which of them are installed; `Image.decoder` says which one decodes an image.
"""

from __future__ import annotations

import importlib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mitobench.errors import DataError

_PACKAGES = {
    "openslide": "openslide-python and openslide-bin",
    "imagecodecs": "imagecodecs",
    "pydicom": "pydicom",
    "tifffile": "tifffile",
}


def is_installed(module: str) -> bool:
    """Returns whether an optional library is installed."""
    return find_spec(module) is not None


def load(module: str, path: Path, what: str) -> Any:
    """Imports an optional library that is needed to read `path`.

    Args:
        module: its name.
        path: the image that needs it.
        what: the kind of the image, for the message: "a whole slide".

    Raises DataError naming what to install.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as reason:  # OSError: a shared library of it is missing
        raise missing(module, path, what) from reason


def missing(module: str, path: Path, what: str) -> DataError:
    """The error for an image that needs a library which is not installed."""
    return DataError(
        f"{path}: is {what}, which needs {_PACKAGES[module]}. Install them with: pip install 'mitobench[slides]'"
    )


def version(package: str) -> str:
    """Returns a library's name and version: `tifffile 2025.1.1`."""
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return package
