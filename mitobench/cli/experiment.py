"""`mitobench experiment`: measures a table of the paper, or grids of combinations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    Sets,
    Store,
    Threads,
    allow,
    check_writable,
    hide_gpus,
    names,
)
from mitobench.foreign.limits import MAX_SEEDS

EXAMPLES = """\
[bold]Examples[/bold]

mitobench experiment

mitobench experiment real --data ~/mitos

mitobench experiment real --data ~/mitos --grid "by slide" --seeds 3

mitobench experiment table3 --data ~/mitos --scale 0.01

mitobench experiment table2 --dataset synthetic --profile smoke --scale 0.1
"""


def experiment(
    name: Annotated[
        str | None, typer.Argument(help="An experiment of the registry, or a .toml file. Without a name: list all.")
    ] = None,
    data: Data = None,
    grid: Annotated[
        list[str] | None, typer.Option(help="Measure only the grids whose name contains this text; may be repeated.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Data set: measure only the grids of it. If there are none, or for a table: measure on it instead."
        ),
    ] = None,
    scanner: Annotated[
        str | None, typer.Option(help="Scanners to use, separated by commas, or `all`. Default: the experiment's.")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help="Profile (options of all plugins): smoke, cpu, paper, ..., or a .toml file. Default: the experiment's."
        ),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(
            help="Factor for the number of training steps, above 0 and at most 1. Default: the experiment's, or 1."
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_SEEDS,
            help="Number of seeds. Seeds change the training, never the split. Default: the experiment's, otherwise 1.",
        ),
    ] = None,
    set_: Sets = None,
    device: Device = "auto",
    gpus: Gpus = 1,
    threads: Threads = None,
    jobs: Jobs = None,
    executor: Executor = None,
    store: Store = None,
    out: Annotated[
        Path,
        typer.Option(help="Folder of the leaderboard; the experiment's page is written to its subfolder experiments/."),
    ] = Path("leaderboard"),
    dry_run: DryRun = False,
    list_all: ListAll = False,
    allow_external: AllowExternal = False,
    allow_download: AllowDownload = False,
) -> None:
    """Measure a table of the paper, next to the published numbers, or grids of combinations for the leaderboard.

    Without a name: list the experiments of the registry.

    Exit code 0: everything was measured; 1: a combination failed or a grid could not be measured; the others were.
    """
    if name is None:
        _list()
        return
    if scale is not None and not 0 < scale <= 1:
        raise typer.BadParameter(f"--scale {scale:g}: must be above 0 and at most 1.")
    hide_gpus(device)
    from mitobench.cli import console, plan_table, progress
    from mitobench.cli.experiment_results import show_experiment
    from mitobench.experiments import Experiment, Overrides, read, records_folder
    from mitobench.pipeline.executors import executor_of

    where = executor_of(executor, jobs)
    definition = read(name)
    folder = records_folder(definition, out)
    if not dry_run:
        check_writable(out)
        console.check_out(folder)
    prepared = Experiment.prepare(
        definition,
        Overrides(
            dataset=dataset,
            scanners=names(scanner) or (),
            profile=profile,
            scale=scale,
            seeds=seeds,
            sets=set_ or (),
            grids=grid or (),
        ),
        notify=console.notify,
        data=data,
        device=device,
        processes=gpus,
        threads=threads,
        store=store,
        allow=allow(allow_external, allow_download),
        typed=False,
    )
    for part in prepared.parts:
        if part.benchmarks:
            plan_table.show_plan(part.benchmarks, part.name, dry_run=dry_run, every=list_all)
    if dry_run:
        plan_table.exit_of_plan(prepared.benchmarks)
    with console.resumable(), where:
        prepared.run(folder, progress.Display, where)
    show_experiment(prepared, out)
    if prepared.has_failures:
        raise typer.Exit(1)


def _list() -> None:
    from rich.markup import escape

    from mitobench import experiments
    from mitobench.cli.console import console

    for name in experiments.names():
        console.print(f"[bold]{escape(name):12}[/bold]  {escape(experiments.read(name).title)}")


experiment.__doc__ = f"{experiment.__doc__}\n\n{EXAMPLES}"
