"""`mitobench run`: trains and scores combinations of plugins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from mitobench.cli.options import (
    AllowDownload,
    AllowExternal,
    Data,
    Device,
    DryRun,
    Gpus,
    Jobs,
    Sets,
    Store,
    allow,
    names,
)
from mitobench.foreign.limits import MAX_SEED, MAX_SEEDS

EXAMPLES = """\
[bold]Examples[/bold]

mitobench run --estimator fcn --detector frcnn --verifier resnet50

mitobench run --data ~/mitos --dataset mitos2012 --estimator mask,fixed --detector all --seeds 3

mitobench run --detector frcnn --set detector.iterations=500 --dry-run
"""


def run(
    estimator: Annotated[
        str | None,
        typer.Option(
            "--estimator", "-e", help="Box estimators: names separated by commas, or `all`. Default: the profile's."
        ),
    ] = None,
    detector: Annotated[str | None, typer.Option("--detector", "-d", help="Detectors, in the same way.")] = None,
    verifier: Annotated[
        str | None, typer.Option("--verifier", "-v", help="Verifiers, in the same way; `none` for no verifier.")
    ] = None,
    fuser: Annotated[str | None, typer.Option("--fuser", "-f", help="Fusers, in the same way.")] = None,
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
    scale: Annotated[
        float, typer.Option(help="Factor for the number of training steps: 0.1 trains for a tenth of the steps.")
    ] = 1.0,
    matcher: Annotated[
        str, typer.Option(help="Rule that matches detections to mitoses: mitos, greedy, hungarian or midog.")
    ] = "mitos",
    device: Device = "auto",
    gpus: Gpus = 1,
    jobs: Jobs = 1,
    store: Store = None,
    out: Annotated[
        Path, typer.Option(help="Folder of the leaderboard; records are written to its subfolder records/.")
    ] = Path("leaderboard"),
    dry_run: DryRun = False,
    allow_external: AllowExternal = False,
    allow_download: AllowDownload = False,
) -> None:
    """Train and score every combination of the given plugins, and write a record of each.

    A combination is a box estimator, a detector, a verifier and a fuser. Outputs of stages are cached in the store, so
    combinations share their common stages, and an interrupted run resumes with the same command.

    Exit code 0: all combinations were scored; 1: some failed, and their records say why.
    """
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from mitobench.benchmark import Benchmark, Grid
    from mitobench.cli import console
    from mitobench.discovery import separate

    roles = {"estimator": estimator, "detector": detector, "verifier": verifier, "fuser": fuser}
    benchmark = Benchmark.prepare(
        [Grid({role: separate(given, ",") for role, given in roles.items() if given is not None})],
        data=data,
        datasets=names(dataset),
        train_on=names(train_on),
        protocol=protocol,
        scanners=names(scanner),
        seeds=range(first_seed, first_seed + seeds),
        profile=profile,
        sets=set_ or [],
        scale=scale,
        matcher=matcher,
        device=device,
        processes=gpus,
        store=store,
        allow=allow(allow_external, allow_download),
        notify=console.notify,
    )
    console.show_plan(benchmark)
    if dry_run:
        console.exit_of_plan([benchmark])
    console.check_out(out)
    with console.resumable(), console.Display(benchmark) as display:
        benchmark.run(out, display, jobs)
    console.show_results([benchmark], out)
    if benchmark.has_failures or not benchmark.done:
        raise typer.Exit(1)


run.__doc__ = f"{run.__doc__}\n\n{EXAMPLES}"
