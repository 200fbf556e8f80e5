"""Runs one stage, in whatever process: reads its output from the store, or computes and stores it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from mitobench import compute
from mitobench.errors import MitobenchError, StoreError, raised_at
from mitobench.pipeline.code_digests import code_settings, plugin_code
from mitobench.pipeline.executors.base import StageResult, Work
from mitobench.pipeline.stages import kinds
from mitobench.pipeline.stages.job import Job, silent
from mitobench.pipeline.stages.stage import Stage
from mitobench.pipeline.store import Output, Store
from mitobench.pipeline.tries import FAILURE

Progress = Callable[[int, int], None]


def run_unchanged_stage(stage: Stage, work: Work, progress: Progress = silent) -> StageResult:
    """Run a stage in another process than the one that planned it; fails if this process has other code for it.

    The plan's key would not describe an output of the other code. Raises as `run_stage` does.
    """
    try:
        changed = changed_code(stage)
    except (MitobenchError, OSError) as reason:  # a plugin that cannot be loaded here
        return StageResult(stage, reason=f"{stage.label}: {reason}")
    if changed is not None:
        return StageResult(
            stage, reason=f"{stage.label}: its code was changed during the run. Run the same command again."
        )
    return run_stage(stage, work, progress)


def changed_code(stage: Stage) -> str | None:
    """Returns what differs between the code that the stage was planned with and that of this process; None: nothing."""
    plugins = [plugin for plugin in (stage.plugin, *stage.members.values()) if plugin]
    for plugin in plugins:
        if plugin_code(plugin.role, plugin.cls()).digest != plugin.source:
            return f"the code of {plugin.role} {plugin.name}"
    named = [(plugin.role, plugin.name) for plugin in plugins]
    here = code_settings(stage.kind, named, stage.settings["readers"])
    different = (name for name, value in here.items() if value != stage.settings[name])
    return next((_difference(name, stage.settings[name], here[name]) for name in different), None)


def _difference(name: str, planned: Any, here: Any) -> str:
    if name == "harness":
        return "the code of mitobench"
    other = next(key for key in sorted({*planned, *here}) if planned.get(key) != here.get(key))
    if name == "readers":
        return f"the code that reads {other}"
    return f"the version of {other}, {planned.get(other)} and {here.get(other)}"


def run_stage(stage: Stage, work: Work, progress: Progress = silent) -> StageResult:
    """Read a stage's output from the store, or run the stage and store its output.

    The stage's lease is held meanwhile, so that no other process runs the same stage, on any machine. Raises StoreError
    when the store cannot be written; every other error is returned as the result's reason.
    """
    while True:
        with work.store.lease(stage.key) as lease:
            result = _result(stage, work, progress)
            if result.output or lease.held:
                return result
        # another process took the stage over, and may have removed what this one was working on


def _result(stage: Stage, work: Work, progress: Progress) -> StageResult:
    store = work.store
    output = store.get(stage.kind, stage.key)
    if output:
        return StageResult(stage, output, cached=True)
    try:
        inputs = {role: _input(store, needed).folder for role, needed in stage.upstream.items()}
        for file in stage.plugin.files.values() if stage.plugin else ():
            store.keep(file)
        n_frames = {part: len(keys) for part, keys in stage.frames.items()}
        writing = store.write(stage.kind, stage.key, stage.spec, n_frames)
        with compute.using_threads(work.threads_of(stage)), writing as folder:
            kinds.run_job(Job(stage, inputs, folder, store.work(stage.key), work.workspace, progress))
            # the key describes the files as they were before: an output of changed files must not be stored
            work.workspace.check_files(key for keys in stage.frames.values() for key in keys)
            stage.check_files()
    except StoreError:
        raise
    except (Exception, SystemExit) as reason:
        trace = store.work(stage.key) / FAILURE
        trace.write_text(traceback.format_exc(), encoding="utf-8", errors="backslashreplace")
        return StageResult(stage, reason=_one_line(stage, reason), trace=trace)
    output = store.get(stage.kind, stage.key)
    assert output is not None, "the output was just written"
    return StageResult(stage, output)


def died(stage: Stage, work: Work, how: str, fix: str) -> StageResult:
    """Returns the result of a stage whose process died, `how`. `fix` is what to do if it ran out of memory."""
    reason = f"{stage.label}: its process died ({how}), possibly because it ran out of memory. {fix}"
    return StageResult(stage, reason=reason, trace=work.store.work(stage.key))


def _input(store: Store, stage: Stage) -> Output:
    output = store.get(stage.kind, stage.key)
    if output is None:
        raise MitobenchError(f"The stored output of {stage.label} is missing or corrupt. Run the same command again.")
    return output


def _one_line(stage: Stage, reason: BaseException) -> str:
    message = str(reason).strip() or "no message"
    if isinstance(reason, MitobenchError):
        return f"{stage.label}: {message}"
    return f"{stage.label}: {type(reason).__name__}: {message}{_place(stage, reason)}"


def _place(stage: Stage, reason: BaseException) -> str:
    """Returns the line of the plugin's code that raised, its file within its package: records have no other folders."""
    module = stage.plugin.cls().__module__.partition(".")[0] if stage.plugin else ""
    place = raised_at(reason, module)
    if place is None:
        return ""
    file, line = place
    folder = next((folder for folder in file.parents if folder.name == module), file)
    return f" ({file.relative_to(folder.parent).as_posix()}:{line})"
