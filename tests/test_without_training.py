"""mmengine, torch and torchvision belong to the extra `training`; only training imports mmengine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mitobench import training
from mitobench.errors import PluginError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
REFUSING = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ImportError(f"{name} was imported")

sys.meta_path.insert(0, Refuse())
"""
MODULES = [
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for path in sorted((ROOT / "mitobench").rglob("*.py"))
]


def do(program: str, refused: tuple[str, ...], **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"REFUSED = {refused}\n{REFUSING}\n{program}"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.thorough
def test_no_module_but_the_training_loop_imports_mmengine() -> None:
    names = [name for name in MODULES if name != "mitobench.training.runner"]
    do(f"import importlib\nfor name in {names}: importlib.import_module(name)", ("mmengine",))


def test_no_module_outside_the_training_package_imports_torch() -> None:
    names = [name for name in MODULES if not name.startswith("mitobench.training")]
    do(f"import importlib\nfor name in {names}: importlib.import_module(name)", ("torch", "torchvision", "mmengine"))


def test_training_without_mmengine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "mmengine"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mmengine", None)
    monkeypatch.delitem(sys.modules, "mitobench.training.runner", raising=False)
    monkeypatch.delitem(vars(training), "runner", raising=False)
    with pytest.raises(PluginError, match=r"pip install 'mitobench\[training\]'"):
        training.__getattr__("train")


def test_the_training_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="trane"):
        training.__getattr__("trane")
