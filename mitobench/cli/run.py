"""`mitobench run`: plan, do, score, record."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = """\
[bold]Examples[/bold]

mitobench run --estimator fcn --detector frcnn --verifier resnet50

mitobench run --data ~/mitos --dataset mitos2012 --estimator mask,fixed --detector all --seeds 3

mitobench run --detector frcnn --set detector.iterations=500 --dry-run
"""


def run(
    estimator: Annotated[
        str, typer.Option("--estimator", "-e", help="Box estimators: names with commas, or `all`.")
    ] = "fcn",
    detector: Annotated[str, typer.Option("--detector", "-d", help="Detectors, likewise.")] = "frcnn",
    verifier: Annotated[str, typer.Option("--verifier", "-v", help="Verifiers, likewise.")] = "resnet50",
    fuser: Annotated[str, typer.Option("--fuser", "-f", help="Fusers, likewise.")] = "linear",
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="MITOBENCH_DATA", help="Folder that holds data sets, at any depth. Without it: synthetic frames."
        ),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Data sets to test on, with commas. Default: all found.")] = None,
    train_on: Annotated[str | None, typer.Option(help="Data sets to train on. Default: the one tested on.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Split, by name or a .json file. Default: the card's first.")
    ] = None,
    scanner: Annotated[str | None, typer.Option(help="Scanners to use, for example A. Default: all.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds; they vary training, never the split.")] = 1,
    profile: Annotated[
        str | None, typer.Option(help="Options of all plugins: smoke, cpu, paper, or a .toml file.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="ROLE.OPTION=VALUE or ROLE.PLUGIN.OPTION=VALUE; may be repeated.")
    ] = None,
    matcher: Annotated[str, typer.Option(help="mitos, greedy, hungarian or midog.")] = "mitos",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    gpus: Annotated[int, typer.Option(min=1, help="Processes a fit is distributed over.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Stages done at once, each in a process of its own.")] = 1,
    store: Annotated[
        Path | None, typer.Option(envvar="MITOBENCH_STORE", help="Where stages' outputs are kept. Default: user cache.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of records/ and LEADERBOARD.md.")] = Path("leaderboard"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
) -> None:
    """Train and score every combination of the named plugins, and write a record of each."""
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from mitobench.benchmark import Benchmark, Grid
    from mitobench.cli import console
    from mitobench.results import provenance

    roles = {"estimator": estimator, "detector": detector, "verifier": verifier, "fuser": fuser}
    benchmark = Benchmark.prepare(
        [Grid({role: names.split(",") for role, names in roles.items()})],
        data=data,
        datasets=_names(dataset),
        train_on=_names(train_on),
        protocol=protocol,
        scanners=_names(scanner),
        seeds=range(seeds),
        profile=profile,
        sets=set_ or [],
        matcher=matcher,
        device=device,
        processes=gpus,
        store=store,
        command=provenance.command(),
        say=console.say,
    )
    console.show_plan(benchmark)
    if dry_run:
        return
    console.check_out(out)
    try:
        with console.Display(benchmark) as display:
            benchmark.run(out, display, jobs)
    except KeyboardInterrupt:
        typer.echo("Interrupted. What is finished is kept: the same command goes on from there.", err=True)
        raise typer.Exit(130) from None
    console.show_results(benchmark, out)
    if benchmark.spoiled:
        raise typer.Exit(1)


def _names(text: str | None) -> list[str] | None:
    """The names in an option; None where it is not given."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise typer.BadParameter(f"{text!r} holds no name.")
    return names


run.__doc__ = f"{run.__doc__}\n\n{EXAMPLES}"
