"""The core's wheel alone: without any package that its metadata does not name, a benchmark runs from end to end."""

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
# What only networks, the Caffe reader and tests need. A name in the closure of the core's requirements is a regression.
OTHERS = ("torch", "torchvision", "mmengine", "mmdet", "mmcv", "timm", "google.protobuf", "sklearn", "cv2", "yapf")


def do(*command: object, cwd: Path, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MITOBENCH_", "PYTHON"))}
    kept |= {"XDG_CACHE_HOME": str(cwd / "cache"), "OMP_NUM_THREADS": "1", "COLUMNS": "200", **environment}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=cwd, env=kept, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def needs(requirements: list[str]) -> Iterator[metadata.Distribution]:
    """The installed distributions that requirements name, and those that these name in turn; extras where asked for."""
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
    """Let an environment see an installed distribution where it lies."""
    for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
        if not (site / top).exists():
            (site / top).symlink_to(Path(str(found.locate_file(top))).resolve())


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the core's wheel, and what its metadata names."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed: the wheel cannot be built without the network")
    folder = tmp_path_factory.mktemp("alone")
    do(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    do(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    do(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel, cwd=folder)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (installed,) = metadata.distributions(name="mitobench", path=[str(site)])
    for found in needs(installed.requires or []):
        link(found, site)
    return python.parent


def test_it_sees_nothing_that_only_networks_need(alone: Path, tmp_path: Path) -> None:
    program = f"""
from importlib.util import find_spec
def there(name):
    try: return find_spec(name) is not None
    except ModuleNotFoundError: return False
print([name for name in {OTHERS} if there(name)])
"""
    assert do(alone / "python", "-c", program, cwd=tmp_path) == "[]\n"


@pytest.fixture(scope="module")
def ran(alone: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a benchmark that was run without data and without naming more than a detector; what it said."""
    folder = tmp_path_factory.mktemp("ran")
    return folder, do(alone / "mitobench", "run", "--detector", "blobs", cwd=folder)


def test_a_detector_of_the_core_runs_from_end_to_end(ran: tuple[Path, str]) -> None:
    folder, said = ran
    assert "Default estimator: fixed, since fcn of profile smoke is not installed." in said
    assert "Default verifier: none, since resnet50 of profile smoke is not installed." in said
    ((_, made),) = record.read_all(folder / "leaderboard" / "records")
    assert made.status == "ok", made.reason
    assert made.test is not None
    assert (made.test.f1 or 0) > 0.3
    assert "torch" not in made.versions


def test_what_does_not_train_works_without_what_trains(alone: Path, ran: tuple[Path, str]) -> None:
    folder, _ = ran
    (path,) = (folder / "leaderboard" / "records").glob("*.json")
    image = next(path for path in sorted((folder / "cache").rglob("*.*")) if path.suffix in (".png", ".bmp", ".tiff"))
    for command in (
        ("pack", path, "--out", "model"),
        ("predict", image, "--model", "model", "--mpp", "0.25", "--out", "found"),
        ("check-plugin", "blobs"),
        ("doctor",),
        ("weights", "--help"),
        ("leaderboard", "check"),
    ):
        do(alone / "mitobench", *command, cwd=folder)
