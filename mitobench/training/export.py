"""Exports a network to ONNX, and compares it with torch."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mitobench import compute
from mitobench.atomic import atomic_file
from mitobench.errors import MitobenchError, PluginError

TOLERANCE = 1e-4  # greatest difference between torch and ONNX Runtime
PACKAGES = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True)
class Exportable:
    """What `Plugin.exportable` returns: a network and an example of its input.

    Attributes:
        network: takes one tensor and returns one tensor. It contains the preparation of the input.
        example: an input, on the CPU. Its length is at least 2 along each of `sizes`.
        sizes: axes of the input whose length may vary, each with the number that it must be a multiple of.
        takes: what the input is: type, shape, units.
        returns: what the output is: type, shape, units.
    """

    network: nn.Module
    example: Tensor
    sizes: Mapping[int, int] = field(default_factory=dict)
    takes: str = ""
    returns: str = ""


class OneInput(nn.Module):
    """A function of a tensor that uses networks, as a module that can be exported.

    Args:
        function: takes and returns a tensor.
        networks: the modules that the function calls.
    """

    def __init__(self, function: Any, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.function, self.networks = function, nn.ModuleList(networks)

    def forward(self, tensor: Tensor) -> Tensor:
        """Returns `function(tensor)`."""
        result: Tensor = self.function(tensor)
        return result


def check_installed() -> None:
    """Raises MitobenchError if the packages that export and check are not installed."""
    from importlib.util import find_spec

    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise MitobenchError(f"--onnx needs {', '.join(missing)}: pip install 'mitobench[onnx]'.")


def export(exportable: Exportable, path: Path) -> float:
    """Writes the network to an .onnx file, runs it by ONNX Runtime, and compares its output with torch's.

    Returns the greatest difference, on the example and on inputs of other sizes.

    Raises:
        PluginError: if the network cannot be exported or an output differs by more than 1e-4. Nothing is written then.
    """
    network = exportable.network.cpu().eval()
    try:
        with atomic_file(path) as tmp:
            _write(network, exportable, tmp)
            difference = max(_difference(network, given, tmp) for given in _inputs(exportable))
            if not difference <= TOLERANCE:
                raise PluginError(f"the output of ONNX Runtime differs from torch's by up to {difference:.2g}")
    except MitobenchError:
        raise
    except Exception as reason:  # the exporter raises errors of many kinds
        raise PluginError(f"torch cannot export it: {_cause(reason)}") from reason
    return difference


def _write(network: nn.Module, exportable: Exportable, path: Path) -> None:
    shapes = {
        axis: torch.export.Dim(f"n{axis}", min=1, max=1 << 16) * multiple
        if multiple > 1
        else torch.export.Dim(f"n{axis}", min=1, max=1 << 16)
        for axis, multiple in exportable.sizes.items()
    }
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _quiet():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (exportable.example,),
            dynamo=True,
            dynamic_shapes=(shapes or None,),
            input_names=["input"],
            output_names=["output"],
            verbose=False,
        )
        assert program is not None
        program.save(str(path), include_initializers=True, external_data=False)


@contextlib.contextmanager
def _quiet() -> Any:
    """Keeps the exporter from logging; its errors are raised."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def _inputs(exportable: Exportable) -> list[Tensor]:
    """Returns the example, and an input whose variable axes are longer, with values that differ."""
    if not exportable.sizes:
        return [exportable.example]
    longer = exportable.example
    for axis, multiple in exportable.sizes.items():
        part = longer.narrow(axis, 0, min(multiple, longer.shape[axis]))
        longer = torch.cat([longer, part.flip(axis)], dim=axis)
    return [exportable.example, longer]


def runner(path: Path) -> Callable[[Tensor], Tensor]:
    """Returns a function that runs an exported network by ONNX Runtime on the CPU.

    A file of weights that it names is read from its own folder only; ONNX Runtime refuses a path that leads out of it.
    Raises:
        PluginError: if ONNX Runtime is not installed or cannot read the file.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as reason:
        raise PluginError(f"{path}: needs ONNX Runtime: pip install 'mitobench[onnx]'.") from reason
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = compute.threads()
    options.enable_mem_pattern = False  # inputs differ in size
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as reason:  # ONNX Runtime raises errors of many kinds
        raise PluginError(f"{path}: ONNX Runtime cannot read it: {_cause(reason)}. Pack the model again.") from reason
    name = session.get_inputs()[0].name

    def run(given: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {name: given.numpy()})[0])

    return run


@torch.no_grad()
def _difference(network: nn.Module, given: Tensor, path: Path) -> float:
    theirs = runner(path)(given).numpy()
    ours = network(given).numpy()
    if ours.shape != theirs.shape:
        raise PluginError(f"the output of ONNX Runtime has the shape {theirs.shape}, torch's {ours.shape}")
    return float(np.abs(ours.astype(np.float64) - theirs).max(initial=0))


def _cause(reason: BaseException) -> str:
    """Returns the first line of the error from which others followed."""
    while reason.__cause__ is not None:
        reason = reason.__cause__
    lines = [line.strip() for line in str(reason).splitlines() if line.strip()]
    return f"{type(reason).__name__}: {lines[0][:300]}" if lines else type(reason).__name__
