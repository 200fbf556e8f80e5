"""Measures what grows with the number of combinations, of outputs in a store, and of records.

`plan` plans a grid of 10,000 combinations of made-up plugins, `store` lists, checks and cleans a store of 100,000 small
outputs, and `records` builds and checks a leaderboard of 10,000 records and opens its page in a browser. Each command
of mitobench is a process of its own, whose seconds and peak memory are measured.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from mitobench.pipeline import canonical

TESTS = Path(__file__).parents[1] / "tests"
PACKAGE = "mitobench_made_up"
PLUGINS = """
from mitobench import api


class Boxes(api.BoxEstimator):
    version = "1"

    def boxes(self, frame, mitoses):
        raise NotImplementedError


class Points(api.Detector):
    version, uses_boxes = "1", True

    def fit(self, train, val, context):
        raise NotImplementedError

    predict = save = load = fit


class Scores(api.Verifier):
    version = "1"

    def fit(self, train, val, context):
        raise NotImplementedError

    score = save = load = fit


class Fused(api.Fuser):
    version = "1"

    def fuse(self, detector, verifier):
        raise NotImplementedError


BASES = {"estimator": Boxes, "detector": Points, "verifier": Scores, "fuser": Fused}
for role, base in BASES.items():
    for number in range(COUNT):
        name = f"made-up-{role}-{number}"
        made = type(f"{role.title()}{number}", (base,), {"name": name, "__module__": __name__})
        globals()[made.__name__] = made
"""
ROLES = ("estimator", "detector", "verifier", "fuser")


class Measured(NamedTuple):
    """Wall-clock seconds, CPU seconds, peak memory (GiB) and standard output of a command."""

    seconds: float
    cpu: float
    peak: float
    output: str


def mitobench(*arguments: object, scratch: Path, **environment: str) -> Measured:
    """Runs a command of mitobench in a process of its own, with a cache folder in `scratch`."""
    where = {**os.environ, "OMP_NUM_THREADS": "1", "MITOBENCH_CACHE": str(scratch / "cache"), **environment}
    command = [sys.executable, "-c", "from mitobench.cli import main; main()", *map(str, arguments)]
    started = time.perf_counter()
    with (scratch / "output.txt").open("w+") as output:
        process = subprocess.Popen(command, stdout=output, env=where)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        sys.exit(f"{' '.join(map(str, arguments))}: exit code {process.returncode}\n{text[-2000:]}")
    return Measured(time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20, text)


def row(what: str, measured: Measured, limit: str = "") -> list[str]:
    """Returns a line of the table of results."""
    return [what, f"{measured.seconds:.1f} s", f"{measured.cpu:.1f} s", f"{measured.peak:.2f} GiB", limit]


# ---------------------------------------------------------------------------------------------------------- the plan


def install(site: Path, count: int) -> None:
    """Writes a package with `count` plugins of each role, none of which can compute anything."""
    info = site / f"{PACKAGE}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{PACKAGE}.py").write_text(PLUGINS.replace("COUNT", str(count)))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mitobench-made-up\nVersion: 1.0\n")
    groups = (
        f"[mitobench.{role}s]\n" + "".join(f"made-up-{role}-{n} = {PACKAGE}:{role.title()}{n}\n" for n in range(count))
        for role in ROLES
    )
    (info / "entry_points.txt").write_text("\n".join(groups))


def plan(scratch: Path, count: int) -> list[list[str]]:
    """Plans a grid of count^4 combinations."""
    install(scratch / "site", count)
    (scratch / "data").mkdir()
    code = "import sys; from pathlib import Path; import large_data; large_data.write(Path(sys.argv[1]), 14, 400, 300)"
    subprocess.run([sys.executable, "-c", code, scratch / "data"], check=True, cwd=Path(__file__).parent)
    roles = [word for role in ROLES for word in (f"--{role}", ",".join(f"made-up-{role}-{n}" for n in range(count)))]
    command = [
        "run",
        *roles,
        "--dry-run",
        "--data",
        scratch / "data",
        "--dataset",
        "synthetic",
        "--store",
        scratch / "store",
        "--device",
        "cpu",
    ]
    environment = {"PYTHONPATH": str(scratch / "site"), "HOME": str(scratch)}
    small = [word if not str(word).startswith("made-up") else word.partition(",")[0] for word in map(str, command)]
    first = mitobench(*small, scratch=scratch, **environment)
    measured = mitobench(*command, scratch=scratch, **environment)
    lines = measured.output.count("\n")
    return [
        row("plan of 1 combination", first),
        row(f"plan of {count**4:,} combinations ({lines:,} lines)", measured, "10 s, 1 GiB"),
    ]


# --------------------------------------------------------------------------------------------------------- the store


def fill(root: Path, count: int) -> None:
    """Writes a store with `count` outputs of one small file each, as stages write them."""
    kinds = ("detections", "evaluation", "fit-detector", "fusion", "verifier-scores")
    for number in range(count):
        kind = kinds[number % len(kinds)]
        spec = {"kind": kind, "plugin": {"name": f"plugin-{number % 50}"}, "number": number}
        folder = root / "stages" / kind / canonical.digest(spec)
        folder.mkdir(parents=True)
        content = number.to_bytes(8, "big") * 50
        (folder / "output.npz").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        manifest: dict[str, Any] = {"spec": spec, "seconds": 1.0, "files": {"output.npz": digest}}
        manifest["digest"] = canonical.digest(manifest)
        (folder / "manifest.json").write_text(canonical.dumps(manifest))
    for name in ("work", "tmp", "leases"):
        (root / name).mkdir(exist_ok=True)


def store(scratch: Path, count: int) -> list[list[str]]:
    """Lists, checks and cleans a store."""
    root = scratch / "store"
    fill(root, count)
    size = f"{count:,} outputs"
    return [
        row(f"store ls, {size}", mitobench("store", "ls", "--store", root, scratch=scratch)),
        row(
            f"store gc --keep 20MB --dry-run, {size}",
            mitobench("store", "gc", "--store", root, "--keep", "20MB", "--dry-run", scratch=scratch),
        ),
        row(f"store verify, {size}", mitobench("store", "verify", "--store", root, scratch=scratch)),
        row(
            f"store gc --keep 20MB, {size}",
            mitobench("store", "gc", "--store", root, "--keep", "20MB", scratch=scratch),
        ),
    ]


# ------------------------------------------------------------------------------------------------------- the records

KINDS = 20  # boards have many records, but their scores are those of so many


def publish(board: Path, count: int) -> None:
    """Writes `count` records of detectors with three seeds each, on ten frames. All numbers follow from detections."""
    sys.path.insert(0, str(TESTS))
    from records import complete_record, frame, ok, with_command

    from mitobench.results.record import write

    made = [
        complete_record(ok(), [frame(f"A{i:02d}", 1 + (i * k) % 7, (i + k) % 6, (2 * i) % 5) for i in range(10)])
        for k in range(KINDS)
    ]
    for number in range(count):
        original, text = made[number // 3 % KINDS]
        name = f"detector-{number // 3:05d}"
        plugins = {**original.plugins, "detector": original.plugins["detector"].model_copy(update={"name": name})}
        names = {**original.combination, "detector": name, "seed": number % 3}
        copy = original.model_copy(update={"combination": names, "plugins": plugins})
        write(board / "records", with_command(copy), text, text)


def remember(board: Path, scratch: Path) -> None:
    """Enters the records into the cache, as if each had been checked before."""
    os.environ["MITOBENCH_CACHE"] = str(scratch / "cache")
    from mitobench.results.known import known_records

    with known_records() as known:
        for path in (board / "records").glob("*.json"):
            known.add(path, known.read(path)[0])


def records(scratch: Path, count: int, few: int = 300) -> list[list[str]]:
    """Builds and checks a board whose records were never checked, and one of `count` that were; opens its page."""
    publish(scratch / "few", few)
    publish(scratch / "board", count)
    remember(scratch / "board", scratch)
    board, size = scratch / "board", f"{count:,} records"
    rows = [
        row(
            f"leaderboard build, {few} new records", mitobench("leaderboard", "build", scratch / "few", scratch=scratch)
        ),
        row(
            f"leaderboard build, {size} checked before, no page",
            mitobench("leaderboard", "build", board, scratch=scratch),
        ),
        row(
            f"leaderboard build again, {size}", mitobench("leaderboard", "build", board, scratch=scratch), "60 s, 2 GiB"
        ),
        row(f"leaderboard check, {size}", mitobench("leaderboard", "check", board, scratch=scratch), "60 s, 2 GiB"),
    ]
    page = board / "index.html"
    return [*rows, ["size of the page", f"{page.stat().st_size / 1e6:.1f} MB", "", "", "5 MB"], *interactive(page)]


def interactive(page: Path) -> list[list[str]]:
    """Opens the page in Chromium, if there is one; returns the time until it can be used."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return []
    found = shutil.which("chromium")
    if found is None:
        return []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page()
        opened.goto(page.as_uri())
        opened.wait_for_selector("html[data-ready]", timeout=120_000)
        ready = int(opened.evaluate("document.documentElement.dataset.ready")) / 1000
        started = time.perf_counter()
        opened.fill("#search", "detector-00003")
        opened.wait_for_function("document.querySelectorAll('#table tbody tr').length === 1")
        searched = time.perf_counter() - started
        started = time.perf_counter()
        opened.click("#table tbody tr .open")
        opened.wait_for_selector("#record[open]")
        clicked = time.perf_counter() - started
        browser.close()
    return [
        ["the page can be used", f"{ready:.1f} s", "", "", "2 s"],
        ["a search in it", f"{searched:.1f} s", "", "", ""],
        ["a record opens", f"{clicked:.1f} s", "", "", ""],
    ]


def main() -> None:
    """Prints the measurements of what was named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="+", choices=("plan", "store", "records"))
    parser.add_argument("--plugins", type=int, default=10, help="plugins of each of the four roles")
    parser.add_argument("--outputs", type=int, default=100_000, help="in the store")
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where to make a temporary folder")
    options = parser.parse_args()
    rows = []
    for what in options.what:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            scratch = Path(name)
            if what == "plan":
                rows += plan(scratch, options.plugins)
            elif what == "store":
                rows += store(scratch, options.outputs)
            else:
                rows += records(scratch, options.records)
    from common import machine, table  # it imports torch, and a child's peak memory counts what its parent had

    print(machine())
    print(table(["what", "seconds", "CPU", "peak memory", "goal"], rows))


if __name__ == "__main__":
    main()
