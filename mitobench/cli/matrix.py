"""`mitobench matrix`: trains on each domain or data set and tests on each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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
    hide_gpus,
    names,
    specs,
)
from mitobench.foreign.limits import MAX_SEEDS

Specs = list[str] | None


def matrix(
    by: Annotated[
        str | None, typer.Option(help="Domain to divide one data set by: scanner, tumour, lab, species or region.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="The data set to divide; without --by two or more, separated by commas.")
    ] = None,
    data: Data = None,
    estimator: Annotated[Specs, typer.Option("--estimator", "-e", help="Box estimators, separated by commas.")] = None,
    detector: Annotated[Specs, typer.Option("--detector", "-d", help="Detectors, separated by commas.")] = None,
    verifier: Annotated[Specs, typer.Option("--verifier", "-v", help="Verifiers, separated by commas.")] = None,
    fuser: Annotated[Specs, typer.Option("--fuser", "-f", help="Fusers, separated by commas.")] = None,
    scanner: Annotated[str | None, typer.Option(help="Scanners to use, separated by commas. Default: all.")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=MAX_SEEDS, help="Number of training seeds.")] = 1,
    profile: Annotated[str | None, typer.Option(help="Profile: options of all plugins, by name or file.")] = None,
    set_: Sets = None,
    scale: Annotated[float, typer.Option(help="Factor for the number of training steps.")] = 1.0,
    matcher: Matcher = "mitos",
    device: Device = "auto",
    gpus: Gpus = 1,
    threads: Threads = None,
    jobs: Jobs = None,
    executor: Executor = None,
    store: Store = None,
    out: Annotated[Path, typer.Option(help="Folder of the leaderboard; the table goes to matrix/.")] = Path(
        "leaderboard"
    ),
    dry_run: DryRun = False,
    list_all: ListAll = False,
    allow_external: AllowExternal = False,
    allow_download: AllowDownload = False,
) -> None:
    """Train on each domain of a data set and test on each, or train on each of several data sets and test on each.

    Every pair gives an F1; one table and one figure per method show them all. Records are those of `mitobench run`:
    stages are shared and cached, and a killed run goes on where it was.

    Example: mitobench matrix --dataset midogpp --by tumour --data ~/midog --detector heatmap:tf_efficientnet_lite0

    Example: mitobench matrix --dataset mitos2012,mitos2014 --data ~/mitos --detector blobs --verifier none

    Exit code 0: all pairs were scored; 1: some failed.
    """
    hide_gpus(device)
    from mitobench import folding
    from mitobench.benchmark import Benchmark, Grid, run_all
    from mitobench.cli import console, plan_table, progress, result_tables
    from mitobench.datasets.folds import SINGLE
    from mitobench.pipeline.executors import executor_of
    from mitobench.reading import ReadDatasets
    from mitobench.report import matrix as pages

    where = executor_of(executor, jobs)
    chosen = names(dataset) or []
    if by is None and len(chosen) < 2:
        raise typer.BadParameter("name the domain with --by, or two data sets or more with --dataset.")
    if by is not None and len(chosen) != 1:
        raise typer.BadParameter(f"--by {by} divides one data set: name it with --dataset.")
    if not dry_run:
        console.check_out(out)
    given = {"estimator": estimator, "detector": detector, "verifier": verifier, "fuser": fuser}
    grid = Grid({role: found for role, values in given.items() if (found := specs(values, f"--{role}"))}, set_ or ())
    options: dict[str, Any] = {
        "data": data,
        "scanners": names(scanner),
        "seeds": range(seeds),
        "profile": profile,
        "scale": scale,
        "matcher": matcher,
        "device": device,
        "processes": gpus,
        "threads": threads,
        "store": store,
        "allow": allow(allow_external, allow_download),
        "notify": console.notify,
        "known": ReadDatasets(),
    }
    if by is not None:
        benchmarks = folding.prepare([grid], datasets=chosen, protocol=f"{SINGLE}{by}", **options)
    else:
        benchmarks = [Benchmark.prepare([grid], datasets=chosen, train_on=[name], **options) for name in chosen]
    for benchmark in benchmarks:
        name = benchmark.fold or f"trained on {', '.join(benchmark.request.train_on)}"
        plan_table.show_plan([benchmark], name, dry_run=dry_run, every=list_all)
    if dry_run:
        plan_table.exit_of_plan(benchmarks)
    with console.resumable(), where, progress.Display(benchmarks) as display:
        run_all(benchmarks, out, display, where)
    records = [record for benchmark in benchmarks for _, record in benchmark.records]
    console.show_problems(benchmarks)
    console.show_unrecorded(benchmarks)
    if not records:
        raise typer.Exit(1)
    notes = list(dict.fromkeys(note for record in records for note in record.notes))
    matrices = pages.of_records(records)
    name = "-".join([*chosen, *([by] if by else [])])
    files = pages.write(out, name, matrices, notes)
    for one in matrices:
        result_tables.show_matrix(one)
    console.notify(f"Matrix  {files[0]}")
    if any(benchmark.has_failures for benchmark in benchmarks):
        raise typer.Exit(1)
