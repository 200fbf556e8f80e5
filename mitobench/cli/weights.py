"""`mitobench weights`: weights to start from, made of what others publish."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from mitobench.caffemodel import Array

app = typer.Typer(help="Make files of weights that training can start from.", no_args_is_help=True)

ENDING = ".safetensors"
VGG_M = "vgg_cnn_m_1024"  # what `pretrained = auto` of frcnn and rpn stands for


@app.command()
def convert(
    caffemodel: Annotated[Path, typer.Argument(help="A trained network, as Caffe saves it.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="The .safetensors file to write. Default: beside it.", show_default=False)
    ] = None,
) -> None:
    """Write a .caffemodel's weights as safetensors: LAYER.weight and LAYER.bias, with Caffe's numbers.

    Exit code 2: the file is not to be trusted; then nothing is written.

    Example: mitobench weights convert VGG_CNN_M_1024.caffemodel
    """
    from hashlib import sha256

    from safetensors.numpy import save

    from mitobench.atomic import write_whole
    from mitobench.caffemodel import read_caffemodel
    from mitobench.cli.console import console, say
    from mitobench.training.pretrained import weights_folder

    tensors = read_caffemodel(caffemodel)
    out = _checked(out or caffemodel.with_suffix(ENDING))
    content = save(tensors)
    write_whole(out, content)
    console.print(_table(tensors))
    say(f"Weights      {out}")
    say(f"SHA-256      {sha256(content).hexdigest()}")
    say(f"`pretrained = auto` of frcnn and rpn looks for {weights_folder() / VGG_M}{ENDING}")


def _checked(out: Path) -> Path:
    """Refuses a name that nothing would read, and so the .caffemodel itself."""
    from mitobench.errors import MitobenchError

    if out.suffix != ENDING:
        raise MitobenchError(f"--out {out}: must end in {ENDING}.")
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
