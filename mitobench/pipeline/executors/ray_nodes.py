"""Checks the nodes of a Ray cluster before any work, and says what each stage needs of them.

All nodes must have the same Python and code, and see the same store and data.
"""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mitobench.errors import MitobenchError, StoreError
from mitobench.pipeline.earlier import earlier_stages, group_of
from mitobench.pipeline.executors.base import Work
from mitobench.pipeline.executors.stage_run import changed_code
from mitobench.pipeline.graph import Plan
from mitobench.pipeline.stages.stage import Stage
from mitobench.pipeline.store import Store

MARGIN = 1.2  # memory that a stage is given, as a multiple of what such a stage needed before
MAX_EARLIER = 500  # outputs of a kind that are looked at for it
CHECK_SECONDS = 120.0  # for the check of all nodes; a node imports mitobench first


def check_run(ray: Any, plan: Plan, work: Work) -> None:
    """Checks all nodes of a cluster before a plan is run there. Raises as `check` does."""
    stages = _examples(plan.stages.values())
    check(ray, work.store.root / "tmp", "--store", stages, sorted(_files(plan, work)))


def check(ray: Any, folder: Path, option: str, stages: Sequence[Stage], files: Sequence[Path]) -> None:
    """Checks all nodes of a cluster: a task on each compares it with this machine.

    Args:
        ray: the module, connected.
        folder: a folder that all nodes must share.
        option: the option of the command line that names it.
        stages: stages whose code must be the same everywhere.
        files: files that must exist everywhere.

    Raises MitobenchError that names the first node that differs, and how.
    """
    probe, secret = folder / f"probe-{uuid.uuid4().hex}", uuid.uuid4().hex
    paths = [path.absolute() for path in files]
    question = Question(probe.absolute(), option, secret, os.getcwd(), _versions(), stages, paths)
    try:
        probe.write_text(secret, encoding="ascii")
        for name, problem in _answers(ray, question):
            if problem:
                raise MitobenchError(f"Node {name} of the Ray cluster cannot be used: {problem}")
    except OSError as reason:
        raise StoreError(
            f"{folder} cannot be written: {reason.strerror}. Give another folder with {option}."
        ) from reason
    finally:
        probe.unlink(missing_ok=True)


@dataclass(frozen=True)
class Question:
    """What a node is asked.

    Attributes:
        probe: a file in the folder that all nodes must share, which holds `secret`.
        option: the option of the command line that names the folder.
        secret: what it holds.
        folder: the current directory, which relative paths start from.
        versions: of Python and mitobench, here.
        stages: one stage of each kind and plugin.
        files: of data sets, and of options.
    """

    probe: Path
    option: str
    secret: str
    folder: str
    versions: Mapping[str, str]
    stages: Sequence[Stage]
    files: Sequence[Path]


def problem_of(question: Question) -> str | None:
    """Returns why this machine cannot be used, in one or two sentences; None if it can. Runs on every node."""
    go_to(question.folder)
    for name, wanted in question.versions.items():
        if _versions()[name] != wanted:
            return (
                f"it has {name} {_versions()[name]}, and this machine has {wanted}. Install the same version on all "
                "machines."
            )
    try:
        seen = question.probe.read_text(encoding="ascii")
    except OSError:
        seen = ""
    if seen != question.secret:
        return (
            f"it does not see what this machine writes into {question.probe.parent}. Give a folder that all machines "
            f"share with {question.option}."
        )
    for stage in question.stages:
        try:
            changed = changed_code(stage)
        except MitobenchError as reason:
            return str(reason)
        if changed:
            return f"{changed} differs from that of this machine. Install the same packages on all machines."
    missing = next((path for path in question.files if not path.exists()), None)
    if missing:
        return f"it does not see {missing}. Put data and weights into a folder that all machines share."
    return None


def go_to(folder: str) -> None:
    """Makes a folder the current one, if this machine has it: paths of the command line may be relative."""
    with suppress(OSError):
        os.chdir(folder)


def _answers(ray: Any, question: Question) -> Iterator[tuple[str, str | None]]:
    """Yields (name, problem) of each node that is alive."""
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    nodes = [node for node in ray.nodes() if node["Alive"]]
    shared, task = ray.put(question), ray.remote(num_cpus=0, max_retries=0)(problem_of)
    asked = {
        task.options(scheduling_strategy=strategy(node["NodeID"], soft=False)).remote(shared): node for node in nodes
    }
    done, late = ray.wait(list(asked), num_returns=len(asked), timeout=CHECK_SECONDS)
    for ref in done:
        try:
            problem = ray.get(ref)
        except ray.exceptions.RayError as reason:  # mitobench cannot be imported there, or the node was lost
            lines = str(getattr(reason, "cause", None) or reason).strip().splitlines()
            problem = f"{lines[-1] if lines else type(reason).__name__}. Is mitobench installed there?"
        yield asked[ref]["NodeManagerHostname"], problem
    for ref in late:
        yield asked[ref]["NodeManagerHostname"], f"it does not answer within {CHECK_SECONDS:.0f} s."


def _versions() -> dict[str, str]:
    return {"Python": platform.python_version(), "mitobench": version("mitobench")}


def _examples(stages: Iterable[Stage]) -> list[Stage]:
    """Returns one stage of each kind, plugin and group of data sets: the others run the same code."""
    chosen: dict[tuple[Any, ...], Stage] = {}
    for stage in stages:
        plugin = stage.plugin and (stage.plugin.role, stage.plugin.name)
        members = tuple(member.name for member in stage.members.values())
        chosen.setdefault((stage.kind, plugin, members, *sorted(stage.settings["readers"])), stage)
    return list(chosen.values())


def _files(plan: Plan, work: Work) -> set[Path]:
    """Returns a file of each data set, and all weights and files among the options."""
    files = {item.files[0] for data in work.workspace.datasets.values() for item in list(data.items.values())[:1]}
    for stage in plan.stages.values():
        for plugin in (stage.plugin, *stage.members.values()):
            if plugin is not None:
                files |= {plugin.weights} if plugin.weights else set()
                files |= {Path(file.path) for file in plugin.files.values()}
    return files


@dataclass(frozen=True)
class Resources:
    """What stages need of a node.

    Attributes:
        work: of the run, with the threads of a stage.
        memory: what a stage is given, bytes, by kind, plugin and device; those that never ran before are not in it.
    """

    work: Work
    memory: Mapping[tuple[str, str, str], int]

    @classmethod
    def of(cls, ray: Any, plan: Plan, work: Work) -> Resources:
        """Returns what the stages of a plan need. Raises MitobenchError if no node has as many CPUs or GPUs."""
        nodes = [node for node in ray.nodes() if node["Alive"]]
        most_memory = max((int(node["Resources"].get("memory", 0)) for node in nodes), default=0)
        earlier = peak_memory(work.store, {stage.kind for stage in plan.stages.values()})
        resources = cls(work, {stage: min(round(MARGIN * peak), most_memory) for stage, peak in earlier.items()})
        for name, unit, fix in (("CPU", "threads", "--threads"), ("GPU", "GPUs", "--gpus")):
            most = max((int(node["Resources"].get(name, 0)) for node in nodes), default=0)
            wanted = max(
                (resources.of_stage(s).get(f"num_{name.lower()}s", 0) for s in plan.stages.values()), default=0
            )
            if wanted > most:
                raise MitobenchError(
                    f"A stage needs {wanted} {unit}, and no node of the Ray cluster has more than {most} {name}s. Give "
                    f"{fix} {most}."
                )
        return resources

    def of_stage(self, stage: Stage) -> dict[str, Any]:
        """Returns the options of the stage's task."""
        needs: dict[str, Any] = {"num_cpus": self.work.threads_of(stage)}
        if stage.settings.get("device") == "cuda":
            needs["num_gpus"] = int(stage.settings.get("processes", 1))
        memory = self.memory.get(group_of(stage)[:3])
        return {**needs, "memory": memory} if memory else needs


def peak_memory(store: Store, kinds: Iterable[str]) -> dict[tuple[str, str, str], int]:
    """Returns the peak memory of earlier runs in the store, bytes, by kind, plugin and device."""
    found: dict[tuple[str, str, str], int] = {}
    for one in earlier_stages(store, kinds, MAX_EARLIER):
        if one.peak_bytes:
            found[one.group[:3]] = max(found.get(one.group[:3], 0), one.peak_bytes)
    return found
