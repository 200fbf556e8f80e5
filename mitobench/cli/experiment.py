"""`mitobench experiment`: a paper's table, measured."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = """\
[bold]Examples[/bold]

mitobench experiment

mitobench experiment table3 --data ~/mitos --scale 0.01

mitobench experiment table2 --dataset synthetic --profile smoke --scale 0.1
"""


def experiment(
    name: Annotated[
        str | None, typer.Argument(help="Of the registry, or a .toml file. Without it: all there is.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(envvar="MITOBENCH_DATA", help="Folder that holds data sets, at any depth.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Measure on this one instead of the paper's.")] = None,
    scanner: Annotated[
        str, typer.Option(help="Scanners to use, with commas, or `all`. Default: the experiment's.")
    ] = "",
    profile: Annotated[str | None, typer.Option(help="Options of all plugins. Default: the experiment's.")] = None,
    scale: Annotated[
        float, typer.Option(help="Factor on all schedules (optimizer steps), above 0 and at most 1.")
    ] = 1.0,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds; they vary training, never the split.")] = 1,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="ROLE.OPTION=VALUE for all rows; may be repeated.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    gpus: Annotated[int, typer.Option(min=1, help="Processes a fit is distributed over.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Stages done at once, each in a process of its own.")] = 1,
    store: Annotated[
        Path | None, typer.Option(envvar="MITOBENCH_STORE", help="Where stages' outputs are kept. Default: user cache.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder; the table goes to its experiments/.")] = Path("leaderboard"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
) -> None:
    """Measure a table of the paper, its numbers beside ours; without a name, list them."""
    if name is None:
        _list()
        return
    if not 0 < scale <= 1:
        raise typer.BadParameter(f"--scale {scale:g}: must be above 0 and at most 1.")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from mitobench.cli import console
    from mitobench.experiments import Experiment, read
    from mitobench.results import provenance

    made = Experiment.prepare(
        read(name),
        dataset=dataset,
        scanners=[name.strip() for name in scanner.split(",") if name.strip()],
        profile=profile,
        scale=scale,
        say=console.say,
        data=data,
        seeds=seeds,
        sets=set_ or [],
        device=device,
        processes=gpus,
        store=store,
        command=provenance.command(),
    )
    for benchmark in made.benchmarks.values():
        console.show_plan(benchmark)
    if dry_run:
        return
    folder = out / "experiments"
    console.check_out(folder)
    try:
        made.run(folder, console.Display, jobs)
    except KeyboardInterrupt:
        typer.echo("Interrupted. What is finished is kept: the same command goes on from there.", err=True)
        raise typer.Exit(130) from None
    console.show_experiment(made, folder)
    if made.spoiled:
        raise typer.Exit(1)


def _list() -> None:
    from rich.markup import escape

    from mitobench.cli.console import console
    from mitobench.experiments import names, read

    for name in names():
        console.print(f"[bold]{escape(name):12}[/bold]  {escape(read(name).title)}")


experiment.__doc__ = f"{experiment.__doc__}\n\n{EXAMPLES}"
