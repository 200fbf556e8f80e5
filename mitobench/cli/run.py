"""`mitobench run`: trains and scores combinations of plugins."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitobench.cli.options import (
    AllowDownload,
    AllowExternal,
    Data,
    Device,
    DryRun,
    Executor,
    Gpus,
    Jobs,
    ListAll,
    Matcher,
    Sets,
    Store,
    Threads,
    allow,
    check_writable,
    hide_gpus,
    names,
    specs,
)
from mitobench.foreign.limits import MAX_SEED, MAX_SEEDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitobench.benchmark import Benchmark
    from mitobench.pipeline import executors


class Log(str, Enum):
    """Where the curves of a fit can go."""

    TENSORBOARD = "tensorboard"


EXAMPLES = """\
[bold]Examples[/bold]

mitobench run --estimator fcn --detector frcnn --verifier resnet50

mitobench run --data ~/mitos --dataset mitos2012 --estimator mask,fixed --detector all --seeds 3

mitobench run --detector frcnn --set detector.iterations=500 --dry-run

mitobench run --detector frcnn --sweep detector.lr=1e-4,3e-4,1e-3 --seeds 2
"""


def run(
    estimator: Annotated[
        list[str] | None,
        typer.Option(
            "--estimator",
            "-e",
            help="Box estimators: names separated by commas, or `all`. May be repeated; quotes around a name keep its "
            "commas. Default: the profile's.",
        ),
    ] = None,
    detector: Annotated[list[str] | None, typer.Option("--detector", "-d", help="Detectors, in the same way.")] = None,
    verifier: Annotated[
        list[str] | None, typer.Option("--verifier", "-v", help="Verifiers, in the same way; `none` for no verifier.")
    ] = None,
    fuser: Annotated[list[str] | None, typer.Option("--fuser", "-f", help="Fusers, in the same way.")] = None,
    data: Data = None,
    dataset: Annotated[
        str | None, typer.Option(help="Data sets to test on, separated by commas. Default: all that are found.")
    ] = None,
    train_on: Annotated[
        str | None, typer.Option(help="Data sets to train on, separated by commas. Default: the one tested on.")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="Split: a protocol's name, or .json files (one per data set). Default: the data set's first."
        ),
    ] = None,
    scanner: Annotated[
        str | None, typer.Option(help="Scanners to use, separated by commas, for example A. Default: all.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, max=MAX_SEEDS, help="Number of seeds. Seeds change the training, never the split.")
    ] = 1,
    first_seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="The first seed; the others follow it.")] = 0,
    profile: Annotated[
        str | None,
        typer.Option(
            help="Profile (options of all plugins): smoke, cpu, paper, ..., or a .toml file. "
            "Default: smoke for synthetic frames, cpu without a GPU, otherwise paper."
        ),
    ] = None,
    set_: Sets = None,
    part: Annotated[
        str | None,
        typer.Option(help="`val`: stop at the validation frames; no test frame is used and no record written."),
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            help="Values to compare on validation: ROLE.OPTION=VALUE,VALUE,... May be repeated: all combinations are "
            "tried. Implies --part val."
        ),
    ] = None,
    scale: Annotated[
        float, typer.Option(help="Factor for the number of training steps: 0.1 trains for a tenth of the steps.")
    ] = 1.0,
    matcher: Matcher = "mitos",
    device: Device = "auto",
    gpus: Gpus = 1,
    threads: Threads = None,
    jobs: Jobs = None,
    executor: Executor = None,
    store: Store = None,
    out: Annotated[
        Path, typer.Option(help="Folder of the leaderboard; records are written to its subfolder records/.")
    ] = Path("leaderboard"),
    log: Annotated[
        Log | None,
        typer.Option(
            help="`tensorboard`: write curves (losses, F1 on validation) of each fit to the subfolder tb/ of --out.",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRun = False,
    list_all: ListAll = False,
    allow_external: AllowExternal = False,
    allow_download: AllowDownload = False,
) -> None:
    """Train and score every combination of the given plugins, and write a record of each.

    A combination is a box estimator, a detector, a verifier and a fuser. Outputs of stages are cached in the store, so
    combinations share their common stages, and an interrupted run resumes with the same command.

    With --part val or --sweep, combinations are scored on validation frames alone: no test frame is used.

    Exit code 0: all combinations were scored; 1: some failed, and their records say why.
    """
    hide_gpus(device)
    from mitobench import folding
    from mitobench.benchmark import Grid, run_all
    from mitobench.cli import console, plan_table, progress, result_tables
    from mitobench.pipeline.executors import executor_of
    from mitobench.pipeline.overrides import Override
    from mitobench.pipeline.stages import tensorboard
    from mitobench.validation import swept

    if log:
        tensorboard.check_installed()

    where = executor_of(executor, jobs)
    given = {"estimator": estimator, "detector": detector, "verifier": verifier, "fuser": fuser}
    roles = {role: found for role, values in given.items() if (found := specs(values, f"--{role}")) is not None}
    to_test = _part(part, sweep)
    if not dry_run:
        console.check_out(out) if to_test else check_writable(out)
    grid = Grid(roles, [Override.parse(text) for text in set_ or ()])
    benchmarks = folding.prepare(
        swept(grid, sweep) if sweep else [grid],
        data=data,
        datasets=names(dataset),
        train_on=names(train_on),
        protocol=protocol,
        scanners=names(scanner),
        seeds=range(first_seed, first_seed + seeds),
        profile=profile,
        scale=scale,
        matcher=matcher,
        device=device,
        processes=gpus,
        threads=threads,
        part="test" if to_test else "val",
        store=store,
        allow=allow(allow_external, allow_download),
        notify=console.notify,
    )
    plan_table.show_plan(benchmarks, folding.name_of(benchmarks), dry_run=dry_run, every=list_all)
    if dry_run:
        plan_table.exit_of_plan(benchmarks)
    if not to_test:
        _validate(benchmarks, out, where)
        return
    if log:
        os.environ[tensorboard.FOLDER] = str((out / "tb").resolve())
    with console.resumable(), where, progress.Display(benchmarks) as display:
        run_all(benchmarks, out, display, where)
    result_tables.show_results(benchmarks, out)
    if log:
        console.notify(f"Curves: tensorboard --logdir {out / 'tb'}")
    if any(benchmark.has_failures or not benchmark.done for benchmark in benchmarks):
        raise typer.Exit(1)


def _part(part: str | None, sweep: list[str] | None) -> bool:
    """Returns whether the run goes on to the test frames. Raises BadParameter for contradicting options."""
    if part not in (None, "val", "test"):
        raise typer.BadParameter(f"--part {part}: must be val or test.")
    if sweep and part == "test":
        raise typer.BadParameter("--sweep chooses on validation frames and cannot go with --part test.")
    return part != "val" and not sweep


def _validate(benchmarks: Sequence[Benchmark], out: Path, where: executors.Executor) -> None:
    """Runs everything but the test stages, prints the table of validation scores, and writes it."""
    from mitobench import validation
    from mitobench.cli import console, progress, result_tables

    with console.resumable(), where, progress.Display(benchmarks) as display:
        rows = validation.measure(benchmarks, display, where)
    path = validation.write(out, benchmarks[0], rows)
    result_tables.show_validation(benchmarks, rows)
    console.notify(f"Validation scores  {path}")
    if not rows or any(row.reasons for row in rows):
        raise typer.Exit(1)


run.__doc__ = f"{run.__doc__}\n\n{EXAMPLES}"
