"""The wheel `mitobench` alone: a benchmark runs from end to end with only the packages that its metadata requires."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mitobench.results import record

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
# What only networks, the Caffe reader and tests need. The core must not require any of them, directly or not.
OTHERS = ("torch", "torchvision", "mmengine", "mmdet", "mmcv", "timm", "google.protobuf", "sklearn", "cv2", "yapf")


def run_command(*command: object, cwd: Path, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MITOBENCH_", "PYTHON"))}
    kept |= {"XDG_CACHE_HOME": str(cwd / "cache"), "OMP_NUM_THREADS": "1", "COLUMNS": "200", **environment}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=cwd, env=kept, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def needs(requirements: list[str]) -> Iterator[metadata.Distribution]:
    """Yields the installed distributions that satisfy these requirements, and their own requirements in turn."""
    waiting = [(text, frozenset[str]()) for text in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        text, extras = waiting.pop()
        requirement = Requirement(text)
        wanted = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        here = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in (extras or {""})
        )
        if not here or wanted in seen:
            continue
        seen.add(wanted)
        found = metadata.distribution(requirement.name)
        yield found
        waiting += [(text, wanted[1]) for text in found.requires or []]


def link(found: metadata.Distribution, site: Path) -> None:
    """Link an installed distribution into an environment."""
    for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
        if not (site / top).exists():
            (site / top).symlink_to(Path(str(found.locate_file(top))).resolve())


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with only the core's wheel and its requirements."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed: the wheel cannot be built without the network")
    folder = tmp_path_factory.mktemp("alone")
    run_command(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    run_command(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    run_command(
        sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel, cwd=folder
    )
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (installed,) = metadata.distributions(name="mitobench", path=[str(site)])
    for found in needs(installed.requires or []):
        link(found, site)
    return python.parent


def test_no_package_that_only_networks_need_is_installed(alone: Path, tmp_path: Path) -> None:
    program = f"""
from importlib.util import find_spec
def there(name):
    try: return find_spec(name) is not None
    except ModuleNotFoundError: return False
print([name for name in {OTHERS} if there(name)])
"""
    assert run_command(alone / "python", "-c", program, cwd=tmp_path) == "[]\n"


def test_the_functions_of_all_stages_are_there(alone: Path, tmp_path: Path) -> None:
    """Of fits, too: a plugin may learn without torch."""
    run_command(alone / "python", "-c", "import mitobench.pipeline.stages.kinds, mitobench.benchmark", cwd=tmp_path)


@pytest.fixture(scope="module")
def ran(alone: Path, own_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the output of a benchmark that was run without data, naming only a detector."""
    folder = tmp_path_factory.mktemp("ran")
    command = (alone / "mitobench", "run", "--detector", "blobs")
    return folder, run_command(*command, cwd=folder, MITOBENCH_CACHE=str(own_cache))


def test_a_detector_of_the_core_runs_from_end_to_end(ran: tuple[Path, str]) -> None:
    folder, output = ran
    assert "Default estimator: fixed, because fcn of profile smoke is not installed." in output
    assert "Default verifier: none, because resnet50 of profile smoke is not installed." in output
    ((_, result),) = record.read_all(folder / "leaderboard" / "records")
    assert result.status == "ok", result.reason
    assert result.test is not None
    assert (result.test.f1 or 0) > 0.3
    assert "torch" not in result.versions


@pytest.mark.thorough
def test_commands_that_do_not_train_work_without_the_training_packages(
    alone: Path, ran: tuple[Path, str], small_data: Path
) -> None:
    folder, _ = ran
    (path,) = (folder / "leaderboard" / "records").glob("*.json")
    image = min((small_data / "synthetic").rglob("*.bmp"))
    for command in (
        ("pack", path, "--out", "model"),
        ("predict", image, "--model", "model", "--mpp", "0.25", "--out", "found"),
        ("check-plugin", "blobs"),
        ("doctor",),
        ("weights", "--help"),
        ("leaderboard", "check"),
    ):
        run_command(alone / "mitobench", *command, cwd=folder)
