"""The graph of stages of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from mitobench.pipeline.graph import stages_of
from mitobench.pipeline.stages.stage import Stage


@dataclass
class Node:
    """As much of a stage as the graph looks at."""

    key: str
    upstream: dict[str, Node] = field(default_factory=dict)


def keys_of(*last: Node) -> list[str]:
    return list(stages_of(cast(Any, last)))


def test_a_stage_comes_once_and_after_those_that_it_depends_on() -> None:
    fit = Node("fit")
    found = Node("found", {"detector": fit})
    scores = Node("scores", {"found": found, "verifier": Node("verifier", {"found": found})})
    assert keys_of(scores, found, fit) == ["fit", "found", "verifier", "scores"]


def test_the_number_of_paths_between_stages_does_not_matter() -> None:
    last = Node("0")
    for number in range(1, 100):  # 2 ** 99 paths
        last = Node(str(number), {"one": last, "other": last})
    assert len(keys_of(last)) == 100


def test_the_stages_are_those_given() -> None:
    fit = Node("fit")
    assert stages_of(cast(list[Stage], [fit]))["fit"] is cast(Any, fit)
