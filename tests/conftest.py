"""Fixtures for all tests: packages installed for one test, the toy plugins, small and real data, the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from preloaded import Preloaded

from mitobench import cli, discovery

settings.register_profile("quick", max_examples=10)  # for `make test-quick`
settings.register_profile("tests", max_examples=50)
settings.load_profile("tests")

# The files that take longest. They start first, so that both processes of `make test` end at about the same time.
LONGEST = (
    "test_ray.py",
    "test_experiment.py",
    "test_mmdet_zoo_detector.py",
    "test_leaderboard_page.py",
    "test_duplicates.py",
    "test_readme.py",
    "test_torchvision_detectors.py",
    "test_reproduce.py",
    "test_contract.py",
    "test_core_alone.py",
    "test_main_job.py",
    "test_run.py",
    "test_executors.py",
    "test_encoding.py",
    "test_wheels.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files that take longest first; the order within a file stays."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


Install = Callable[..., None]

TOYS = Path(__file__).parent / "toys"
REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs packages with real metadata. mitobench then sees only these packages."""
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    installed: list[str] = []

    def install(
        package: str,
        entry_points: Mapping[str, Mapping[str, str]],
        modules: Mapping[str, str] = {},
        *,
        version: str = "1.0",
        requires: Sequence[str] = (),
    ) -> None:
        info = site / f"{package.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n{needs}")
        groups = (
            f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in named.items())
            for group, named in entry_points.items()
        )
        (info / "entry_points.txt").write_text("\n".join(groups))
        for file, text in modules.items():
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            (site / file).write_text(text)
        installed.append(package)
        monkeypatch.setenv("MITOBENCH_PACKAGES", ",".join(installed))
        discovery.found.cache_clear()

    yield install
    discovery.found.cache_clear()


@dataclass(frozen=True)
class Answer:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def mitobench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Runs `mitobench ARGUMENTS` in this process, on a wide terminal and without the user's environment variables."""
    for name in ("MITOBENCH_DATA", "MITOBENCH_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "250")

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr("sys.argv", ["mitobench", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return Answer(int(end.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def preloaded() -> Iterator[Preloaded]:
    """Starts `mitobench ARGUMENTS` as a process of its own, which has already imported torch and mmengine."""
    starter = Preloaded()
    yield starter
    starter.close()


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of both synthetic data sets, with two small frames per slide."""
    from mitobench.datasets import synthetic

    folder = tmp_path_factory.mktemp("data") / "synthetic"
    synthetic.write(folder, seed=1, frames=2, size=128)
    return folder


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new folder for MITOBENCH_CACHE that holds nothing but the synthetic data sets, which take long to make."""
    from mitobench.datasets import synthetic

    made, folder = synthetic.ensure(), tmp_path_factory.mktemp("cache")
    (folder / made.name).symlink_to(made)
    return folder


@pytest.fixture(scope="session")
def toy_environment() -> dict[str, str]:
    """The environment of a process in which only the toy plugins are installed."""
    path = os.pathsep.join(filter(None, [str(TOYS), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "MITOBENCH_PACKAGES": "mitobench-toys,mitobench", "PYTHONPATH": path}


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch, toy_environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """Makes the toy plugins the only installed ones, here and in processes started with the returned environment."""
    for name in ("MITOBENCH_PACKAGES", "PYTHONPATH"):
        monkeypatch.setenv(name, toy_environment[name])
    monkeypatch.syspath_prepend(str(TOYS))
    discovery.found.cache_clear()
    yield toy_environment
    discovery.found.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "mitobench_toys"]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real MITOS frames; skips the test if there is none."""
    for folder in (os.environ.get("MITOBENCH_DATA"), REPOSITORY.parent / "shared" / "data"):
        if folder and Path(folder).is_dir():
            return Path(folder)
    pytest.skip("no real MITOS frames: set MITOBENCH_DATA or put them in ../shared/data")
