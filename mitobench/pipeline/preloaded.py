"""Imports what stages need, in the server process that they are forked from (`starting.py`)."""

from contextlib import suppress
from importlib import import_module

for _name in (
    "numpy",
    "scipy.ndimage",
    "scipy.spatial",
    "pydantic",
    "PIL.Image",
    "torch",
    "torchvision",
    "mmengine.runner",
):
    with suppress(Exception):  # a stage that needs the package reports why it cannot be imported
        import_module(_name)
