"""`mitobench weights convert`: turns a file of weights into the safetensors file that training can start from.

State dicts of torch are read here. A package adds a format by an entry point of the group `mitobench.weights_formats`
whose name is the ending: `caffemodel = "module:function"`. The function takes the path of the file, and returns its
tensors (torch or numpy) by name and a note for the user, which may be empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitobench import discovery
from mitobench.cli.terminal import Console, echo
from mitobench.errors import MitobenchError, PluginError

if TYPE_CHECKING:
    from rich.table import Table
    from torch import Tensor

GROUP = "mitobench.weights_formats"
ENDING = ".safetensors"


def convert(
    file: Annotated[
        Path,
        typer.Argument(help="A state dict of torch (.pth, .pt, .bin, .ckpt), or a .caffemodel.", show_default=False),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The .safetensors file to write. Default: next to the file.", show_default=False),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            help="Entry of the file that holds the state dict. Default: the file itself, `state_dict`, `model`, ...",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Convert a file of weights to safetensors, with unchanged names and values.

    Tensors are the only thing that is read: a file with other objects is refused, and none of its code is run.

    Exit code 2: the file is damaged or of another kind, or --out exists already; nothing is written.

    Examples: mitobench weights convert resnet18.pth, mitobench weights convert VGG_CNN_M_1024.caffemodel
    """
    from hashlib import sha256

    tensors, note = _read(file, key)
    target = _new(out or file.with_suffix(ENDING))
    _training("write_tensors")(tensors, target)
    Console().print(_table(tensors))
    echo(f"Weights      {target}")
    echo(f"SHA-256      {sha256(target.read_bytes()).hexdigest()}")
    echo(note or f"Start from it with --set ROLE.pretrained={target}")


def _read(file: Path, key: str | None) -> tuple[dict[str, Tensor], str]:
    formats = _formats()
    ending = file.suffix.removeprefix(".")
    if file.suffix not in _training("PICKLES") and ending not in formats:
        _check_exists(file)
        known = ", ".join(sorted({*_training("PICKLES"), *(f".{name}" for name in formats)}))
        raise MitobenchError(f"{file}: the ending {file.suffix or '(none)'} is not known. Available: {known}.")
    if ending not in formats:
        return _training("read_state_dict")(file, key), ""
    return _by_package(formats[ending], file)


def _check_exists(file: Path) -> None:
    from mitobench.foreign import check_regular
    from mitobench.foreign.limits import MAX_WEIGHTS_BYTES

    check_regular(file, MAX_WEIGHTS_BYTES, "file of weights")


def _by_package(entry: metadata.EntryPoint, file: Path) -> tuple[dict[str, Tensor], str]:
    import torch

    try:
        reader = entry.load()
    except (Exception, SystemExit) as reason:
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "?"
        raise PluginError(
            f"The reader of .{entry.name} of package {package} is broken: {type(reason).__name__}: {reason}. Install a "
            "working version of the package, or uninstall it."
        ) from reason
    found: tuple[Mapping[str, Any], str] = reader(file)
    tensors, note = found
    return {name: torch.as_tensor(tensor) for name, tensor in tensors.items()}, note


def _formats() -> dict[str, metadata.EntryPoint]:
    entries = metadata.entry_points(group=GROUP)
    return {entry.name: entry for entry in entries if entry.dist and discovery.allowed(entry.dist.name)}


def _training(name: str) -> Any:
    """Returns a name of mitobench.training. Raises MitobenchError if torch is not installed."""
    try:
        from mitobench.training import tensor_files
    except ModuleNotFoundError as reason:
        raise MitobenchError(f"This needs {reason.name}: pip install 'mitobench[training]'.") from reason
    return getattr(tensor_files, name)


def _new(out: Path) -> Path:
    """Returns the file to write. Raises MitobenchError if it exists already, or has another ending."""
    if out.suffix != ENDING:
        raise MitobenchError(f"--out {out}: must end in {ENDING}. Choose another name.")
    if out.exists():
        raise MitobenchError(f"{out}: exists already, and is not overwritten. Remove it, or give another --out.")
    return out


def _table(tensors: Mapping[str, Tensor]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("layer", "tensor", "shape"):
        table.add_column(column, overflow="fold")
    for key, tensor in tensors.items():
        layer, _, name = key.rpartition(".")
        table.add_row(escape(layer), escape(name), " x ".join(map(str, tensor.shape)))
    return table
