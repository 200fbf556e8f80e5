"""How to install a package: this project's own come from a checkout, because they are not on PyPI."""

from __future__ import annotations

import re

FOLDERS = {
    "mitobench": ".",
    "mitobench-networks": "./plugins/networks",
    "mitobench-mmdet": "./plugins/mmdet",
    "mitobench-example": "./plugins/example",
}

# Which of them have networks for a role.
NETWORKS = {
    "estimator": ("mitobench-networks",),
    "detector": ("mitobench-networks", "mitobench-mmdet"),
    "verifier": ("mitobench-networks",),
}


def install(*requirements: str, again: bool = False, upgrade: bool = False) -> str:
    """Returns the command that installs packages, with where to type it if one of them is this project's.

    Args:
        requirements: names of packages, perhaps with versions, as pip takes them.
        again: replace a package that is installed.
        upgrade: replace it by a newer one.

    Example: "`pip install ./plugins/mmdet` in a checkout of mitobench".
    """
    names = [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in requirements]
    packages = [FOLDERS.get(name) or _quoted(text) for name, text in zip(names, requirements, strict=True)]
    options = ["--force-reinstall"] * again + ["--upgrade"] * upgrade
    command = " ".join(["pip install", *options, *packages])
    return f"`{command}`" + (" in a checkout of mitobench" if any(name in FOLDERS for name in names) else "")


def _quoted(requirement: str) -> str:
    return requirement if re.fullmatch(r"[\w.-]+", requirement) else f"'{requirement}'"
