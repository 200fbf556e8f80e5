"""The wheels of the core and of all plugins, installed outside the checkout, run the command of the README."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest

from mitobench.results import record

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PACKAGES = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
FEW_STEPS = ["estimator.iterations=[2,2,2]", "detector.iterations=3", "detector.warmup=0", "verifier.iterations=3"]


def run_command(*command: object, cwd: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=cwd, env=environment, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with our wheels and, from the checkout's environment, all other packages."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed: the wheels cannot be built without the network")
    folder = tmp_path_factory.mktemp("clean")
    wheels = folder / "wheels"
    run_command(
        sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", wheels, *PACKAGES
    )
    run_command(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    built = sorted(wheels.glob("*.whl"))
    assert len(built) == len(PACKAGES)
    run_command(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", *built)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


@pytest.mark.thorough
def test_the_wheels_contain_everything_that_is_needed(clean: Path, tmp_path: Path) -> None:
    place = run_command(clean / "python", "-c", "import mitobench; print(mitobench.__file__)", cwd=tmp_path)
    assert Path(place.strip()).is_relative_to(clean.parent)
    listed = run_command(clean / "mitobench", "list", cwd=tmp_path)
    assert "Faster R-CNN" in listed, "the registry's cards are in the wheel"
    page = "from pathlib import Path; from mitobench.report import html_page; print(html_page.render(Path(), []))"
    assert "chart-library" in run_command(clean / "python", "-c", page, cwd=tmp_path), "Chart.js is in the wheel"
    run_command(clean / "mitobench", "new-plugin", "from-wheel", "--kind", "fuser", cwd=tmp_path)
    assert (tmp_path / "from-wheel" / "pyproject.toml").is_file()


@pytest.mark.thorough
def test_the_wheels_run_the_command_of_the_readme(clean: Path, small_data: Path, tmp_path: Path) -> None:
    line = ["--estimator", "fcn", "--detector", "frcnn", "--verifier", "resnet50", "--profile", "smoke"]
    places = ["--data", small_data, "--dataset", "synthetic", "--store", tmp_path / "store", "--out", tmp_path / "out"]
    sets = [word for text in FEW_STEPS for word in ("--set", text)]
    run_command(clean / "mitobench", "run", *line, *sets, *places, "--device", "cpu", cwd=tmp_path)
    ((_, found),) = record.read_all(tmp_path / "out" / "records")
    assert found.status == "ok", found.reason
