"""`mitobench export`: writes the networks of a run or a packed model as ONNX files."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mitobench.cli.terminal import echo
from mitobench.errors import MitobenchError

ROLES = ("detector", "verifier")
DESCRIPTION = "export.json"
EXAMPLES = """\
[bold]Examples[/bold]

mitobench export leaderboard/records/RECORD.json --onnx my-networks

mitobench export my-model --onnx my-networks
"""


def export(
    source: Annotated[
        Path,
        typer.Argument(
            help="A record of a finished run (.json or .json.gz), or the folder of a packed model.", show_default=False
        ),
    ],
    onnx: Annotated[Path, typer.Option(help="Folder to write the .onnx files to.", show_default=False)],
    store: Annotated[
        Path | None,
        typer.Option(envvar="MITOBENCH_STORE", help="The store that the run used. Default: in the user cache."),
    ] = None,
) -> None:
    """Write the networks of a detector and a verifier as ONNX files.

    Each is run by ONNX Runtime and compared with torch: their outputs differ by at most 1e-4. The networks contain the
    preparation of their input, but neither the search of a frame nor thresholds. What cannot be exported is named with
    the reason. export.json describes the input and output of each network.

    Exit code 2: no network can be exported.
    """
    from mitobench.pipeline.store import default_store

    _check_installed()
    found = {
        role: _exported(plugin, onnx / f"{role}.onnx") for role, plugin in _plugins(source, store or default_store())
    }
    for role, description in found.items():
        if "reason" in description:
            echo(f"{role} {description['name']}: not exported: {description['reason']}")
        else:
            difference = description["difference"]
            echo(f"{role} {description['name']}: {onnx / description['file']}, differs from torch by {difference:.1g}")
    if all("reason" in description for description in found.values()):
        raise MitobenchError(f"{source}: no network can be exported; the reasons are above.")
    (onnx / DESCRIPTION).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


export.__doc__ = f"{inspect.getdoc(export)}\n\n{EXAMPLES}"


def _check_installed() -> None:
    try:
        from mitobench.training.export import check_installed
    except ModuleNotFoundError as reason:
        raise MitobenchError(f"This needs {reason.name}: pip install 'mitobench[training]'.") from reason
    check_installed()


def _plugins(source: Path, store: Path) -> list[tuple[str, Any]]:
    """Returns the fitted detector and verifier, by role. A record is packed to a temporary folder first."""
    import tempfile

    from mitobench.model import Model, pack

    if source.is_dir():
        model = Model.load(source)
    else:
        with tempfile.TemporaryDirectory(prefix="mitobench-") as folder:
            pack(source, store, Path(folder, "model"))
            model = Model.load(Path(folder, "model"))
    return [(role, plugin) for role, plugin in zip(ROLES, (model.detector, model.verifier), strict=True) if plugin]


def _exported(plugin: Any, path: Path) -> dict[str, Any]:
    """Exports a plugin's network; returns what it takes and gives, or the reason why it cannot be exported."""
    from mitobench.training import export as exporter

    common = {"name": plugin.name, "version": plugin.version, "options": plugin.options.model_dump(mode="json")}
    try:
        network = plugin.exportable()
        difference = exporter.export(network, path)
    except MitobenchError as reason:
        return {**common, "reason": str(reason)}
    return {
        **common,
        "file": path.name,
        "input": network.takes,
        "output": network.returns,
        "difference": difference,
    }
