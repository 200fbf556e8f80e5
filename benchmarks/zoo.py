"""Measures members of the families by one protocol, and writes docs/zoo.md and the README's table of families.

    python benchmarks/zoo.py                          writes both from the records in leaderboard/records
    python benchmarks/zoo.py --measure                first runs the members that have no record: synthetic frames,
                                                      profile smoke; detectors without verifier, verifiers after `blobs`
    python benchmarks/zoo.py --measure --data DATA    also MITOS 2012, protocol `development`, profile cpu, a tenth of
                                                      its training steps (about an hour)

The members are in `zoo.toml`. Records of synthetic frames are added to leaderboard/; those of the shortened trainings
on real frames, which no leaderboard should rank, are kept in zoo-records/. Commit them with the page.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomllib

from mitobench import discovery
from mitobench.errors import MitobenchError
from mitobench.pipeline.settings import Settings
from mitobench.results import record
from mitobench.results.schema import Record

ROOT = Path(__file__).parents[1]
LEADERBOARD = ROOT / "leaderboard"
SHORTENED = Path(__file__).parent / "zoo-records"
PAGE = ROOT / "docs" / "zoo.md"
START, END = "<!-- families, written by benchmarks/zoo.py -->", "<!-- end of families -->"
INTRODUCTION = """\
# The zoo

Any network by name: write a spec, `NAME` or `NAME:ARGUMENT`, wherever a plugin is named. `mitobench list` shows what is
installed, `mitobench info SPEC` one spec in detail. [Add a family](add-a-family.md) shows how to write one.

<!-- Written by `python benchmarks/zoo.py`: change benchmarks/zoo.toml or the cards instead. -->
"""
NOTES = """\
- **F1, synthetic**: profile `smoke` on synthetic frames: it runs and learns, no more than that. **F1, development**:
  profile `cpu` with a tenth of its training steps, on MITOS 2012 by the protocol `development`, without the official
  test frames. **F1, official**: profile `short`, fits of about a minute, on those (`mitobench experiment real`).
- Detectors are measured alone, verifiers and fusers on the candidates of `blobs`. One seed: the rows say what works,
  not what is best. The [leaderboard](../leaderboard/LEADERBOARD.md) ranks, with intervals.
- [Which of MMDetection's configs work](zoo-mmdet.md) is a page of its own.
- **s/HPF**: seconds per frame of 2084 x 2084 px on one thread of the CPU that measured the row, which was busy with
  other work. –: not measured. *No candidates*: a network from random weights that has learned too little by then.
"""
DATASETS = {"synthetic": ("by-slide", "smoke", 1.0), "mitos2012": ("development", "cpu", 0.1)}  # factor on schedules
OF_GRID = ("short", 1.0)  # profile and factor of `mitobench experiment real`


@dataclass(frozen=True)
class Member:
    """One plugin to measure."""

    role: str
    spec: str
    needs: str

    @property
    def runnable(self) -> bool:
        """Whether it can run as it is written: not `external:COMMAND`, which is a placeholder."""
        return not self.spec.endswith(":COMMAND")

    def command(self, dataset: str) -> list[str]:
        """Returns the arguments of `mitobench run` that measure it: a detector alone, anything else after `blobs`."""
        protocol, profile, scale = DATASETS[dataset]
        roles = {"estimator": "fixed", "detector": "blobs", "verifier": "none", "fuser": "linear", self.role: self.spec}
        if self.role == "fuser":
            roles["verifier"] = "probe:resnet18"
        words = [word for role, spec in roles.items() for word in (f"--{role}", spec)]
        settings = ["--profile", profile, *(["--scale", str(scale)] if scale != 1 else [])]
        return ["run", "--dataset", dataset, "--protocol", protocol, *settings, *words]


def main() -> None:
    """Measures what is missing if asked to, then writes the page and the README's table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="run the members that have no record")
    parser.add_argument("--data", type=Path, help="folder with MITOS 2012: also measure on its protocol `development`")
    arguments = parser.parse_args()
    members = [Member(**entry) for entry in tomllib.loads(Path(__file__).with_suffix(".toml").read_text())["member"]]
    if arguments.measure:
        measure(members, arguments.data)
    records = all_records()
    rows = [cells(member, records) for member in members]
    PAGE.write_text(page(rows), encoding="utf-8")
    readme = ROOT / "README.md"
    readme.write_text(with_table(readme.read_text(encoding="utf-8"), rows), encoding="utf-8")


def measure(members: Iterable[Member], data: Path | None) -> None:
    """Runs every member that has no record on a data set, and keeps its records."""
    records = all_records()
    for dataset in ["synthetic", *(["mitos2012"] if data else [])]:
        for member in members:
            if not member.runnable or measured(member, dataset, records):
                continue
            with tempfile.TemporaryDirectory() as folder:
                place = ["--data", str(data)] if dataset != "synthetic" else []
                _mitobench(*member.command(dataset), *place, "--out", folder)
                if dataset == "synthetic":
                    _mitobench("leaderboard", "add", str(Path(folder, "records")), "--folder", str(LEADERBOARD))
                else:
                    shutil.copytree(Path(folder, "records"), SHORTENED, dirs_exist_ok=True)


def all_records() -> list[Record]:
    """Returns the records that the page may show."""
    return [found for folder in (LEADERBOARD / "records", SHORTENED) for _, found in record.read_all(folder)]


def _mitobench(*arguments: str) -> None:
    print("mitobench", *arguments, flush=True)
    subprocess.run([str(Path(sys.executable).with_name("mitobench")), *arguments], check=True)


def measured(member: Member, dataset: str, records: Iterable[Record], protocol: str | None = None) -> Record | None:
    """Returns the record of the run that `Member.command` describes, or of that of the grid by another protocol."""
    default, profile, scale = DATASETS[dataset]
    if protocol is not None:
        profile, scale = OF_GRID
    wanted = {
        **{"dataset": dataset, "protocol": protocol or default, member.role: member.spec},
        **({"verifier": "none"} if member.role == "detector" else {"detector": "blobs"}),
        **({"fuser": "linear"} if member.role == "verifier" else {}),
    }
    for found in sorted(records, key=lambda record: len(record.combination["train_on"])):  # own data set alone first
        whole = found.status == "ok" and found.profile == profile and found.scale == scale and not found.overrides
        usual = dataset in found.combination["train_on"] and found.combination["estimator"] in ("fixed", "-")
        if whole and usual and wanted.items() <= found.combination.items():
            return found
    return None


# ---------------------------------------------------------------------------------------------------- the page


def cells(member: Member, records: Sequence[Record]) -> dict[str, str]:
    """Returns the cells of a member's row by column."""
    synthetic, real = (measured(member, dataset, records) for dataset in DATASETS)
    official = measured(member, "mitos2012", records, "official")
    facts = description(member)
    return {
        "type": f"`--{member.role} {member.spec}`",
        "what it is": discovery.find(member.role, member.spec).card().get("title", ""),
        "needs": member.needs,
        "licence": str(discovery.find(member.role, member.spec).card().get("licence", "")),
        "parameters": f"{facts['parameters'] / 1e6:.1f} M" if "parameters" in facts else "–",
        "s/HPF": _seconds(real or official),
        "F1, synthetic": _f1(synthetic),
        "F1, development": _f1(real),
        "F1, official": _f1(official),
    }


def description(member: Member) -> Mapping[str, Any]:
    """Returns what the plugin says of its network with the options of profile cpu; empty if it cannot be built here."""
    if not member.runnable:
        return {}
    try:
        cls = discovery.load(member.role, member.spec)
        return cls.describe(Settings.load("cpu").options(member.role, cls))
    except MitobenchError as reason:
        print(f"{member.spec}: {reason}")
        return {}


def _f1(found: Record | None) -> str:
    """Returns F1, with the other data sets that the row was trained on."""
    if found is None or found.test is None:
        return "–"
    if found.test.f1 is None:
        return "no candidates"
    others = [name for name in found.combination["train_on"] if name != found.combination["dataset"]]
    return f"{found.test.f1:.3f}".lstrip("0") + (f" (also trained on {', '.join(others)})" if others else "")


def _seconds(found: Record | None) -> str:
    seconds = found.run.seconds_a_frame if found else None
    return "–" if seconds is None else f"{seconds:.2g}"


def table(rows: Iterable[Mapping[str, str]], columns: Sequence[str]) -> Iterator[str]:
    """Yields the lines of a markdown table."""
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(row[column] for column in columns)} |"


def page(rows: Sequence[Mapping[str, str]]) -> str:
    """Returns docs/zoo.md."""
    columns = ["type", "what it is", "needs", "parameters", "s/HPF", "F1, synthetic", "F1, development", "F1, official"]
    licences = "\n".join(table(rows, ["type", "licence"]))
    families = "\n".join(table(rows, columns))
    return f"{INTRODUCTION}\n{families}\n\n{NOTES}\n## Licences\n\n{licences}\n"


def with_table(text: str, rows: Sequence[Mapping[str, str]]) -> str:
    """Returns the README with the current table between its two markers."""
    families = [row for row in rows if ":" in row["type"]]
    short = "\n".join(table(families, ["type", "needs", "F1, synthetic", "F1, official"]))
    return re.sub(f"{re.escape(START)}.*{re.escape(END)}", f"{START}\n{short}\n{END}", text, flags=re.DOTALL)


if __name__ == "__main__":
    main()
