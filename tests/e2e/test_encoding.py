"""No command ends in a traceback on consoles without Unicode, or for file names that are not valid text."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from model.toy_models import only_toys, run_and_pack
from preloaded import Preloaded

pytestmark = pytest.mark.slow

NO_TEXT = os.fsdecode(b"caf\xe9")  # Latin-1
CONSOLES = {
    "C": {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "latin-1": {"PYTHONIOENCODING": "latin-1:strict"},
}
Mitobench = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(params=["C", pytest.param("latin-1", marks=pytest.mark.thorough)], scope="module")
def console(request: pytest.FixtureRequest) -> Iterator[Preloaded]:
    """Starts commands in processes of an interpreter that was started on each kind of console."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PYTHONIO")]:
            patch.delenv(name)
        starter = Preloaded(CONSOLES[request.param])
    yield starter
    starter.close()


@pytest.fixture
def mitobench(console: Preloaded, toy_environment: dict[str, str]) -> Mitobench:
    """Runs a command on each kind of console, and checks that it does not end in a traceback."""

    def run(*arguments: object) -> subprocess.CompletedProcess[bytes]:
        done = console.run(arguments, toy_environment)
        out, err = (text.encode(errors="surrogateescape") for text in (done.stdout, done.stderr))
        assert b"Traceback" not in err, err.decode(errors="replace")
        assert b"Logging error" not in err
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose name is not valid UTF-8."""
    named = tmp_path / NO_TEXT
    try:
        named.mkdir()
    except OSError:
        pytest.skip("this file system does not allow such a name")
    return named


@pytest.mark.thorough
def test_predict(mitobench: Mitobench, folder: Path, small_data: Path, toy_environment: dict[str, str]) -> None:
    with only_toys(toy_environment):
        packed_run = run_and_pack(folder.parent / "packed_run", small_data)
    first, second, *_ = sorted((small_data / "synthetic").rglob("*.bmp"))
    shutil.copy(first, folder / f"{NO_TEXT}.bmp")
    shutil.copy(second, folder / "Größe-核.bmp")
    (folder / f"bad{NO_TEXT}.png").write_text("no image")
    out = folder / "out"
    done = mitobench("predict", folder, "--mpp", 0.25, "--model", packed_run.model, "--out", out, "--device", "cpu")
    assert done.returncode == 1, "one file is not an image"
    rows = list(csv.DictReader((out / "summary.csv").open(encoding="utf-8")))
    assert [bool(row["mitoses"]) for row in rows].count(True) == 2
    for name in (NO_TEXT, "Größe-核"):
        assert json.loads((out / f"{name}.geojson").read_text(encoding="utf-8"))["type"] == "FeatureCollection"
        assert (out / f"{name}.csv").read_text(encoding="utf-8").startswith("image,")


def test_it_is_the_console_that_it_should_be(console: Preloaded, toy_environment: dict[str, str]) -> None:
    done = console.run(["data", "check", "/größe"], toy_environment)
    assert done.returncode == 2
    assert "größe" not in done.stderr


@pytest.mark.thorough
def test_run_and_the_commands_that_read_its_records(mitobench: Mitobench, folder: Path, small_data: Path) -> None:
    data = folder / "data"
    shutil.copytree(small_data, data)
    profile = folder / f"{NO_TEXT}.toml"
    profile.write_text('title = "toys"\n')
    parts = ["--estimator", "toy-boxes", "--detector", "toy-dark", "--verifier", "none", "--fuser", "toy-sum"]
    places = ["--data", data, "--store", folder / "store", "--out", folder / "out", "--profile", profile]
    done = mitobench("run", *parts, *places, "--dataset", "synthetic", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    (record,) = (folder / "out" / "records").glob("*.json")
    assert json.loads(record.read_text(encoding="utf-8"))["status"] == "ok"
    for command in (
        ["leaderboard", "check", folder / "out"],
        ["leaderboard", "show", folder / "out"],
        ["leaderboard", "build", folder / "out"],
        ["compare", record, record],
        ["pack", record, "--store", folder / "store", "--out", folder / "model"],
        ["data", "check", data],
    ):
        assert mitobench(*command).returncode in (0, 1, 2)


def test_an_error_shows_a_name_that_is_not_valid_text(mitobench: Mitobench, folder: Path) -> None:
    toys = ["-e", "toy-boxes", "-d", "toy-dark", "-v", "none", "-f", "toy-sum"]
    for command in (["--data", folder / "none"], ["--set", f"detector.most={NO_TEXT}"], ["--profile", NO_TEXT]):
        done = mitobench("run", *toys, *command)
        assert done.returncode == 2
        assert b"caf\\udce9" in done.stderr or b"caf\\xe9" in done.stderr or b"caf\xe9" in done.stderr
