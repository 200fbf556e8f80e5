"""Simulates a grid on 1, 2, 4, ... nodes from measured times of its stages, and says where more nodes stop paying.

A node runs one stage at a time. Stages start as soon as their inputs are there, in the order of the longest path that
depends on them. The times are those of the outputs in a store, or of the records of a leaderboard.
"""

from __future__ import annotations

import argparse
import heapq
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from common import table

from mitobench.results.record_files import read_bytes, record_files

NODES = (1, 2, 4, 8, 16, 32, 64, 128)
PAYS = 0.5  # nodes pay as long as each of them does at least this share of the work that a single one does

# The stages that a stage reads, by their role in records. Earlier records do not list the others, such as the
# candidates on training frames.
READ = {
    "boxes": (),
    "box-scores": ("boxes",),
    "detector": ("boxes",),
    "detections-val": ("detector",),
    "detections-test": ("detector",),
    "verifier": ("detector", "detections-val"),
    "verifier-scores-val": ("verifier", "detections-val"),
    "verifier-scores-test": ("verifier", "detections-test"),
    "fusion": ("detections-val", "verifier-scores-val"),
    "evaluation": ("fusion", "detections-test", "verifier-scores-test"),
}
RENAMED = ("verdicts", "verifier-scores")  # in the seconds of migrated records


@dataclass(frozen=True)
class Timed:
    """A stage: the stages that it reads, and its seconds."""

    upstream: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Grid:
    """All stages of a grid by key. Every input of a stage is among them.

    Attributes:
        stages: the stages.
        measured: how many of them have a time of their own; the others have the median of their kind and plugin.
    """

    stages: Mapping[str, Timed]
    measured: int

    @classmethod
    def of(cls, specs: Mapping[str, Mapping[str, Any]], seconds: Mapping[str, float]) -> Grid:
        """Returns a grid from the specs of its stages by key, and the seconds of those that were measured."""
        known = defaultdict(list)
        for key, time in seconds.items():
            known[_name(specs[key])].append(time)
            known[specs[key]["kind"]].append(time)
        typical = {name: statistics.median(times) for name, times in known.items()}
        stages = {
            key: Timed(
                tuple(spec["upstream"].values()),
                seconds.get(key, typical.get(_name(spec), typical.get(spec["kind"], 0.0))),
            )
            for key, spec in specs.items()
        }
        return cls(stages, len(seconds))

    @cached_property
    def total(self) -> float:
        """Seconds of all stages, one after the other."""
        return sum(stage.seconds for stage in self.stages.values())

    @cached_property
    def dependents(self) -> Mapping[str, list[str]]:
        """The stages that read a stage's output."""
        found: dict[str, list[str]] = defaultdict(list)
        for key, stage in self.stages.items():
            for needed in set(stage.upstream):
                found[needed].append(key)
        return found

    @cached_property
    def remaining(self) -> Mapping[str, float]:
        """Seconds of the longest path of stages that starts with a stage. The greatest bounds every number of nodes."""
        found: dict[str, float] = {}
        for key in reversed(self._in_order()):
            after = (found[later] for later in self.dependents.get(key, ()))
            found[key] = self.stages[key].seconds + max(after, default=0.0)
        return found

    def _in_order(self) -> list[str]:
        order: dict[str, None] = {}
        pending = list(reversed(list(self.stages)))
        while pending:
            missing = [needed for needed in self.stages[pending[-1]].upstream if needed not in order]
            if missing:
                pending += missing
            else:
                order.setdefault(pending.pop())
        return list(order)

    def duration(self, nodes: int, overhead: float) -> float:
        """Returns the seconds that the grid takes on a number of nodes; `overhead` is added to every stage."""
        missing = {key: len(set(stage.upstream)) for key, stage in self.stages.items()}
        ready = [(-self.remaining[key], key) for key, count in missing.items() if not count]
        heapq.heapify(ready)
        running: list[tuple[float, str]] = []
        now = 0.0
        while ready or running:
            while ready and len(running) < nodes:
                key = heapq.heappop(ready)[1]
                heapq.heappush(running, (now + self.stages[key].seconds + overhead, key))
            now, ended = heapq.heappop(running)
            for key in self.dependents.get(ended, ()):
                missing[key] -= 1
                if not missing[key]:
                    heapq.heappush(ready, (-self.remaining[key], key))
        return now


def of_store(store: Path) -> Grid:
    """Returns the grid of all outputs in a store."""
    by_key = {path.parent.name: json.loads(path.read_bytes()) for path in (store / "stages").glob("*/*/manifest.json")}
    specs = _complete({key: manifest["spec"] for key, manifest in by_key.items()})
    return Grid.of(specs, {key: float(by_key[key]["seconds"]) for key in specs})


def of_records(folder: Path, datasets: Sequence[str]) -> Grid:
    """Returns the grid of the records in a folder that were tested on one of the data sets; or of all."""
    specs: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    for path in record_files(folder, below=False):
        record = json.loads(read_bytes(path))
        if not datasets or record["combination"]["dataset"] in datasets:
            specs |= record["specs"] or _by_role(record)
            timed = {role.replace(*RENAMED): time for role, time in record["run"]["seconds"].items()}
            seconds |= {record["stages"][role]: time for role, time in timed.items() if role in record["stages"]}
    return Grid.of(specs, seconds)


def _by_role(record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the specs of a record that lists its stages only by role: what reads what is the same in all records."""
    stages = record["stages"]
    return {
        key: {"kind": role, "plugin": None, "upstream": {name: stages[name] for name in READ[role] if name in stages}}
        for role, key in stages.items()
    }


def _complete(specs: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Returns the specs without those of stages whose inputs were deleted."""
    kept = dict(specs)
    while True:
        broken = [key for key, spec in kept.items() if any(needed not in kept for needed in spec["upstream"].values())]
        if not broken:
            return kept
        for key in broken:
            del kept[key]


def _name(spec: Mapping[str, Any]) -> str:
    return f"{spec['kind']} {(spec['plugin'] or {}).get('name')}"


def sizes(grid: Grid, nodes: Sequence[int], overhead: float) -> list[tuple[int, float, float]]:
    """Returns (nodes, seconds, speed-up over one node) for each number of nodes."""
    one = grid.duration(1, overhead)
    return [(number, seconds, one / seconds) for number in nodes for seconds in [grid.duration(number, overhead)]]


def stops_paying(found: Iterable[tuple[int, float, float]]) -> int:
    """Returns the greatest number of nodes of which each still does its share, `PAYS`."""
    return max((nodes for nodes, _, gain in found if gain / nodes >= PAYS), default=1)


def draw(path: Path, found: Sequence[tuple[int, float, float]], limit: float) -> None:
    """Writes a picture of speed-up against nodes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    nodes = [number for number, _, _ in found]
    figure, axes = plt.subplots(figsize=(6, 4))
    axes.plot(nodes, nodes, ":", color="grey", label="ideal")
    axes.plot(nodes, [gain for _, _, gain in found], "o-", label="simulated")
    axes.axhline(limit, color="grey", linewidth=0.8, label=f"longest chain of stages: {limit:.1f}")
    axes.set(xlabel="nodes, one stage each", ylabel="speed-up")
    for axis, scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
        scale("log", base=2)
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylim(0.8, 2 * limit)
    axes.legend()
    figure.savefig(path, bbox_inches="tight")


def main() -> None:
    """Prints the table, and draws it if a path is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--store", type=Path, help="store of a run of the grid: `mitobench experiment real`")
    source.add_argument("--records", type=Path, help="folder of records: leaderboard/records")
    parser.add_argument("--dataset", nargs="*", default=(), help="of the records: those tested on one of these")
    parser.add_argument("--nodes", type=int, nargs="+", default=NODES)
    parser.add_argument("--overhead", type=float, default=0.1, help="seconds that are added to every stage")
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    grid = of_store(given.store) if given.store else of_records(given.records, given.dataset)
    if not grid.measured:
        parser.error("no stage with a measured time was found there.")
    found = sizes(grid, given.nodes, given.overhead)
    longest = max(grid.remaining.values())
    print(
        f"{len(grid.stages)} distinct stages, {grid.measured} of them measured: {grid.total / 3600:.1f} h one after "
        f"the other; the longest chain takes {longest / 3600:.2f} h. {given.overhead:g} s are added to each stage.\n"
    )
    rows = [[str(n), f"{seconds / 3600:.2f}", f"{gain:.1f}", f"{gain / n:.0%}"] for n, seconds, gain in found]
    print(table(["nodes", "hours", "speed-up", "of ideal"], rows))
    last = stops_paying(found)
    print(f"\nMore than {last} nodes do not pay: each would do less than {PAYS:.0%} of what one alone does.")
    if given.picture:
        draw(given.picture, found, grid.total / longest)


if __name__ == "__main__":
    main()
