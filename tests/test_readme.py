"""README.md: its commands run in an empty folder and print what it shows, and its results are those of the records.

`python tests/test_readme.py` prints what the commands print now, to paste into README.md.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mitobench.datasets import synthesis
from mitobench.datasets.images import write_rgb
from mitobench.results.record_files import read_bytes

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
LEADERBOARD = ROOT / "leaderboard"
SECTION = LEADERBOARD / "sections" / "mitos2012-official.md"

# Commands of README.md that these tests do not run, and why.
NOT_RUN = {
    "make demo": "CI runs it (.ci/run): it sets up the environment of these tests and trains networks",
    "make test": "CI runs it (.ci/run): it is what runs these tests",
    "source .venv/bin/activate": "these tests put an environment of their own on the path",
    "mitobench run --estimator fcn --detector frcnn --verifier resnet50 --out my-leaderboard": "`make demo` runs it",
    "mitobench run --estimator fcn,mask --detector frcnn,blobs --verifier resnet50,none --seeds 3 --data ~/mitos"
    " --out on-mitos": "it needs the real frames and hours",
}

MAX_LINES = 150  # about three screens of 1000 x 1000 px
MAX_PICTURE_BYTES = 250_000
TOLERANCE = 0.02  # between a value of three decimals in README.md and the one that is printed
COLUMNS = 100  # of the terminal

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\d*\.?\d+")
RECORD = re.compile(r"\(\.\./(records/[^)]+\.json(?:\.gz)?)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block of README.md: `bash` is typed, `text` is what that prints, `python` is a file."""

    kind: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The lines to type, without comments."""
        lines = (shlex.join(shlex.split(line, comments=True)) for line in self.text.splitlines())
        return [line.replace("'~/mitos'", "~/mitos") for line in lines if line]


BLOCKS = [Block(*found) for found in BLOCK.findall(README)]


class Shell:
    """An empty folder, and an environment with this project installed into which packages can be installed.

    The environment sees the packages of the one that runs the tests, and keeps its own to itself. Stages are stored in
    a folder of its own, so that every command does its work.
    """

    def __init__(self, folder: Path) -> None:
        self.cwd = folder / "empty"
        self.cwd.mkdir()
        environment = folder / "environment"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        self._bin = environment / "bin"
        python = self._bin / "python"
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip()
        ours = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
        (Path(site) / "ours.pth").write_text(ours, encoding="utf-8")
        self._add("pip", f'exec {shlex.quote(str(python))} -m pip "$@"')
        self._add("mitobench", f'exec {shlex.quote(str(python))} -c "from mitobench.cli import main; main()" "$@"')
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MITOBENCH_", "PYTHONPATH"))}
        cache = {name: os.environ[name] for name in ("MITOBENCH_CACHE",) if name in os.environ}
        self._environment = (
            kept
            | cache
            | {
                "PATH": os.pathsep.join([str(self._bin), os.environ["PATH"]]),
                "MITOBENCH_STORE": str(folder / "store"),
                "COLUMNS": str(COLUMNS),
                "OMP_NUM_THREADS": "1",
                "PIP_NO_INDEX": "1",  # everything that the plugin needs is there
                "PIP_NO_BUILD_ISOLATION": "0",  # pip's spelling of --no-build-isolation
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            }
        )

    def _add(self, name: str, line: str) -> None:
        (self._bin / name).write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        (self._bin / name).chmod(0o755)

    def run(self, command: str) -> str:
        """What a command prints; AssertionError if it fails."""
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.cwd, env=self._environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def play(self, blocks: list[Block]) -> list[tuple[Block, str]]:
        """Each block with what the last command before it printed, in the order of README.md."""
        played, printed = [], ""
        for block in blocks:
            if block.kind == "bash":
                for command in block.commands:
                    printed = printed if command in NOT_RUN else self.run(command)
            elif block.kind == "python":
                (self.cwd / file_of(block)).write_text(block.text, encoding="utf-8")
            played.append((block, printed))
        return played


def file_of(block: Block) -> str:
    """The file that a block of Python is, which its first line names."""
    return block.text.splitlines()[0].removeprefix("# ")


def difference(shown: str, printed: str) -> str | None:
    """The first line shown that was not printed; None if all were.

    Spaces and line breaks do not count, and numbers may differ, values of three decimals by up to TOLERANCE. Lines
    follow each other as they were printed; `...`, alone or within a line, means that something is left out.
    """
    printed = " ".join(printed.split())
    place, left_out = 0, False
    for line in shown.splitlines():
        if line.strip() == "...":
            left_out = True
            continue
        starts = line.strip().removesuffix("...").strip()
        pattern = f"({NUMBER.pattern})".join(_loose(part) for part in NUMBER.split(starts))
        found = re.compile(pattern).search(printed, place)
        if not found or (not left_out and printed[place : found.start()].strip()):
            return line
        pairs = zip(NUMBER.findall(starts), found.groups(), strict=True)
        if any(abs(float(a) - float(b)) > TOLERANCE for a, b in pairs if re.fullmatch(r"0?\.\d{3}", a)):
            return line
        place, left_out = found.end(), line.strip().endswith("...")
    return None if left_out or not printed[place:].strip() else "(more was printed)"


def _loose(text: str) -> str:
    """A pattern for a text with any spaces."""
    return re.sub(r"(\\ |\s)+", lambda _: r"\s+", re.escape(text))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Block, str]]:
    shell = Shell(tmp_path_factory.mktemp("readme"))
    write_own_images(shell.cwd / "my-images")
    return shell.play(BLOCKS)


def write_own_images(folder: Path) -> None:
    """Writes what a reader has: some images, and one CSV of the mitoses in them."""
    folder.mkdir()
    lines = ["image,x,y"]
    for slide in range(6):
        picture = synthesis.make_frame(0, slide, 0)
        write_rgb(folder / f"slide{slide}.png", picture.image)
        lines += [f"slide{slide}.png,{x:.1f},{y:.1f}" for x, y in picture.mitoses.xy]
    (folder / "mitoses.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


# ------------------------------------------------------------------------------------------------- commands


def test_the_commands_run_and_print_what_is_shown(played: list[tuple[Block, str]]) -> None:
    shown = [(block.text, printed) for block, printed in played if block.kind == "text"]
    assert len(shown) == 2
    assert [(line, printed) for text, printed in shown if (line := difference(text, printed))] == []


def test_every_command_is_run_or_has_a_reason() -> None:
    typed = [command for block in BLOCKS if block.kind == "bash" for command in block.commands]
    assert set(NOT_RUN) <= set(typed)
    assert [command for command in typed if command not in NOT_RUN] == [
        "mitobench predict --example --out found",
        "mitobench run --detector blobs --verifier none --out my-leaderboard",
        "mitobench data init my-images --mpp 0.25",
        "mitobench data check my-images --dataset folder",
        "mitobench run --dataset folder --data my-images --detector blobs --verifier none --out on-my-images",
        "mitobench new-plugin my-spots --kind detector",
        "pip install -e my-spots",
        "mitobench run --detector blobs,my-spots --verifier none --out my-leaderboard",
    ]


def test_ci_runs_what_is_left_to_it() -> None:
    typed = [command for block in BLOCKS if block.kind == "bash" for command in block.commands]
    run = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line.startswith("make ")]
    assert run[:2] == [command for command in typed if command.startswith("make ")] == ["make demo", "make test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "$(BIN)/mitobench run --estimator fcn --detector frcnn --verifier resnet50 " in makefile


def test_a_method_has_ten_lines() -> None:
    (method,) = (block for block in BLOCKS if block.kind == "python")
    code = [line for line in method.text.splitlines() if line.strip() and not line.startswith("#")]
    assert len(code) <= 10


@pytest.mark.parametrize(
    ("shown", "printed", "wrong"),
    [
        ("a  1  .300\n", "a 2 .310", None),
        ("a 1\n...\nd\n", "a 1\nb\nc\nd\n", None),
        ("a ...\n", "a b c", None),
        ("a\nd\n", "a b d", "d"),
        ("a\n", "a b", "(more was printed)"),
        ("...\nd\n", "a b", "d"),
        ("...\na .300\n", "b\na .330", "a .300"),
        ("b\na\n", "a b", "b"),
    ],
)
def test_what_is_shown_must_be_printed(shown: str, printed: str, wrong: str | None) -> None:
    assert difference(shown, printed) == wrong


# ------------------------------------------------------------------------------------------------- results


def cells(line: str) -> list[str]:
    """The cells of a row of a markdown table, without bold."""
    return [cell.strip().replace("**", "").replace("\\", "") for cell in line.strip().strip("|").split("|")]


def table(text: str, first: str) -> Iterator[dict[str, str]]:
    """The rows of the table whose first heading is `first`, by heading."""
    lines = text.splitlines()
    (start,) = (number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return
        yield dict(zip(cells(lines[start]), cells(line), strict=True))


def value(number: float) -> str:
    """Three decimals, as tables have them."""
    return f"{number:.3f}".removeprefix("0")


def rows_of_records() -> Iterator[dict[str, str]]:
    """Each row of the leaderboard on MITOS 2012, computed from its records; its interval as the leaderboard has it."""
    for line in SECTION.read_text(encoding="utf-8").splitlines():
        paths = RECORD.findall(line)
        if not paths or "mitos2012-official" not in paths[0]:
            continue
        records = [json.loads(read_bytes(LEADERBOARD / path)) for path in paths]
        parts = [records[0]["combination"][role] for role in ("estimator", "detector", "verifier", "fuser")]
        tests: list[dict[str, Any]] = [record["test"] for record in records]
        means = {
            heading: value(fmean(test[name] for test in tests))
            for heading, name in {
                "P": "precision",
                "R": "recall",
                "oracle F1": "oracle_f1",
                "AP": "average_precision",
            }.items()
        }
        ((low, high),) = re.findall(r"<sub>\[(\.\d{3}),\s(\.\d{3})\]</sub>", line)
        f1 = value(fmean(test["f1"] for test in tests))
        yield {
            "parts": " + ".join(part for part in parts if part and part != "-"),
            "seeds": str(len(records)),
            "F1 [95 %]": f"{f1} [{low}, {high}]",
            **means,
        }


@pytest.mark.parametrize(
    ("text", "first", "count"),
    [(README, "estimator + detector + verifier + fuser", 5), (RESULTS.partition("## MITOS-ATYPIA 2014")[0], "row", 16)],
)
def test_every_row_is_that_of_its_records(text: str, first: str, count: int) -> None:
    measured = [*rows_of_records()]
    rows = [*table(text, first)]
    assert len(rows) == count
    for row in rows:
        parts = row.pop(first).partition(",")[0]
        for column in ("ranks", "profile", "s/frame"):
            row.pop(column, None)
        row["seeds"] = row["seeds"].partition(" ")[0]
        assert any(parts == other["parts"] and row.items() <= other.items() for other in measured), (parts, row)


def test_the_tables_are_written_from_the_records() -> None:
    script = [sys.executable, str(ROOT / "benchmarks" / "results_page.py"), "--check"]
    checked = subprocess.run(script, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


# ------------------------------------------------------------------------------------------------- the page


def test_it_is_three_screens() -> None:
    assert len(README.splitlines()) <= MAX_LINES


def test_the_pictures_are_small() -> None:
    calls, plane = (ROOT / name for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README))
    assert calls.stat().st_size + plane.stat().st_size < MAX_PICTURE_BYTES
    with Image.open(calls) as picture:
        assert picture.width >= 900


def test_the_plane_is_the_leaderboards_and_can_be_read_on_a_dark_page() -> None:
    path = next(ROOT / name for name in re.findall(r"\(([^)]+\.svg)\)", README))
    assert path == LEADERBOARD / "figures" / "mitos2012-official-plane.svg"
    whole = ElementTree.fromstring(path.read_text(encoding="utf-8")).find(".//{*}g[@id='patch_1']/{*}path")
    assert whole is not None
    assert "fill: #ffffff" in whole.attrib["style"]  # behind everything


def test_the_picture_is_of_the_synthetic_frame_that_its_script_names() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "make_picture.py"))
    frame = synthesis.make_frame(*(script[name] for name in ("SEED", "SLIDE", "NUMBER", "SIDE")))
    drawn = np.asarray(script["_draw"](frame.image, []), dtype=float)
    with Image.open(ROOT / "docs" / "hpf.jpg") as picture:
        committed = np.asarray(picture, dtype=float)
    assert committed.shape == drawn.shape
    # Marks and JPEG change few pixels; another frame changes nearly all.
    assert (np.abs(committed - drawn).mean(axis=2) < 20).mean() > 0.9


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"^\| \[[^\]]+\]\(([\w.-]+\.md)\)", index, re.MULTILINE))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        for shown, real in Shell(Path(scratch)).play(BLOCKS):
            if shown.kind == "text":
                print(f"{shown.text}\nis now:\n\n{real}\n{'-' * COLUMNS}")
