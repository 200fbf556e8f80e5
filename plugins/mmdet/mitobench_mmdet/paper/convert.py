"""`mitobench weights convert`: converts a .caffemodel to weights to start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from mitobench_mmdet.paper.caffemodel import Array

ENDING = ".safetensors"
VGG_M = "vgg_cnn_m_1024"  # the file that `pretrained = auto` of frcnn and rpn looks for


def convert(
    caffemodel: Annotated[Path, typer.Argument(help="A trained network, as Caffe saves it.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(help="The .safetensors file to write. Default: next to the .caffemodel.", show_default=False),
    ] = None,
) -> None:
    """Convert a .caffemodel to safetensors: LAYER.weight and LAYER.bias, with unchanged values.

    Exit code 2: the file is damaged or not a .caffemodel; nothing is written.

    Example: mitobench weights convert VGG_CNN_M_1024.caffemodel
    """
    from hashlib import sha256

    import torch
    from rich.console import Console

    from mitobench.training import weights_folder, write_tensors
    from mitobench_mmdet.paper.caffemodel import read_caffemodel

    tensors = read_caffemodel(caffemodel)
    out = _checked(out or caffemodel.with_suffix(ENDING))
    write_tensors({name: torch.from_numpy(array) for name, array in tensors.items()}, out)
    Console().print(_table(tensors))
    typer.echo(f"Weights      {out}")
    typer.echo(f"SHA-256      {sha256(out.read_bytes()).hexdigest()}")
    typer.echo(f"`pretrained = auto` of frcnn and rpn looks for {weights_folder() / VGG_M}{ENDING}")


def _checked(out: Path) -> Path:
    """Checks the name of the file to write. Raises MitobenchError for another ending, and so for the .caffemodel."""
    from mitobench.api import MitobenchError

    if out.suffix != ENDING:
        raise MitobenchError(f"--out {out}: must end in {ENDING}. Choose another name.")
    return out


def _table(tensors: dict[str, Array]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("layer", "tensor", "shape"):
        table.add_column(column, overflow="fold")
    for key, tensor in tensors.items():
        layer, _, name = key.rpartition(".")
        table.add_row(escape(layer), name, " x ".join(map(str, tensor.shape)))
    return table
