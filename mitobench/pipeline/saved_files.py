"""The files of a fitted plugin: which names the harness uses itself, and which files a packed model may hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mitobench.api import Plugin, PluginError

MANIFEST = "manifest.json"  # of each output in the store: the SHA-256 of its files
TRAINING_INFO = "facts.json"  # `Context.training_info`; an old name, kept because existing stores have it
LOG = "fit.log"  # the log of the fit
HARNESS = (MANIFEST, TRAINING_INFO, LOG)  # added to the files that a plugin saved

TENSORS = ".safetensors"
ALLOWED = (TENSORS, ".json")  # in a packed model: models are shared, and pickles run code


def check_names(plugin: Plugin, folder: Path) -> None:
    """Raises PluginError if a plugin saved a file under a name that the harness uses: it would be overwritten."""
    for path in sorted(folder.iterdir()):
        if path.name.lower() in HARNESS:  # some file systems do not tell upper from lower case
            raise PluginError(
                f"{plugin.name} saved {path.name}, a name that mitobench uses for a file of its own. Choose another "
                f"name than {', '.join(HARNESS)}, or save it in a subfolder."
            )


def packed(who: str, folder: Path) -> Iterator[Path]:
    """Yields the saved files that `mitobench pack` copies, sorted, without those of the harness.

    `who`: who saved them, for messages. Raises PluginError for a file that a packed model may not hold.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        if path.parent == folder and path.name in HARNESS:
            continue
        if path.is_symlink() or path.suffix not in ALLOWED:
            kind = "link" if path.is_symlink() else path.suffix or "file without suffix"
            raise PluginError(
                f"{path}: the {who} saved a {kind}, but a model folder may only hold {' and '.join(ALLOWED)} files. "
                "Save tensors with mitobench.training.save_weights."
            )
        yield path
