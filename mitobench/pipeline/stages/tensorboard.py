"""Writes the curves of a fit (losses, F1 on validation) for TensorBoard; no stage's output or key depends on them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from mitobench.errors import MitobenchError
from mitobench.pipeline.stages.stage import Stage

# The folder for curves; `mitobench run --log tensorboard` sets it, and processes that run stages inherit it.
FOLDER = "MITOBENCH_TENSORBOARD"

LogScalar = Callable[[str, float, int], None]


def check_installed() -> None:
    """Raises MitobenchError if the package that writes the curves is not installed."""
    if find_spec("tensorboard") is None:
        raise MitobenchError("--log tensorboard: TensorBoard is not installed: pip install 'mitobench[tensorboard]'.")


@contextmanager
def curves(stage: Stage, rank: int = 0) -> Iterator[LogScalar]:
    """Gives a function that writes (name, value, step) of the curves of a fit; it does nothing if none are wanted.

    The first process writes them to a folder named after the plugin, the seed and the stage's key. A fit that is
    continued adds to its curves.
    """
    folder = os.environ.get(FOLDER)
    if not folder or rank:
        yield lambda name, value, step: None
        return
    from tensorboard.summary import Writer

    writer = Writer(str(Path(folder) / _name(stage)))
    try:
        yield lambda name, value, step: writer.add_scalar(name, value, step)
    finally:
        writer.close()


def _name(stage: Stage) -> str:
    assert stage.plugin is not None
    name = re.sub(r"[^\w.+-]+", "-", stage.plugin.name)[:60]
    return f"{stage.plugin.role}-{name}-seed{stage.settings['seed']}-{stage.key[:8]}"
