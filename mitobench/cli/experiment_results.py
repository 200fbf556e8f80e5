"""Prints the results of an experiment."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape
from rich.table import Table

from mitobench.cli.console import console, notify
from mitobench.cli.result_tables import show_results
from mitobench.experiments import Experiment, PaperTable, experiment_page, paper_table, records_folder
from mitobench.report import build


def show_experiment(experiment: Experiment, out: Path) -> None:
    """Writes the experiment's page, and prints its results and the paths of the files."""
    path = experiment_page.write(experiment, out)
    if isinstance(experiment.definition, PaperTable):
        _show_table(experiment, experiment.definition)
        if experiment.definition.row:
            notify(f"Records  {records_folder(experiment.definition, out) / build.RECORDS}")
        notify(f"Table    {path}")
        return
    show_results(experiment.benchmarks, out)
    for part in experiment.parts:
        if part.absent:
            console.print(f"[yellow]NOT MEASURED[/yellow] {escape(part.name)}: {escape(part.absent)}")
    notify(f"Experiment   {path}")


def _show_table(experiment: Experiment, definition: PaperTable) -> None:
    """Prints the paper's numbers next to the measured ones."""
    hidden = ("protocol", "trained on", "P", "R", "record")
    columns = [column for column in paper_table.header(definition) if column not in hidden]
    table = Table(title=escape(experiment_page.title(experiment)), title_justify="left", box=None, pad_edge=False)
    for column in columns if definition.row else columns[:2]:
        first, widest = column == "row", {"row": 18, "F1 [95 %]": 17}.get(column)
        table.add_column(escape(column), justify="left" if first else "right", min_width=widest)
    for result in experiment.results():
        table.add_row(*(escape(cell) for cell in paper_table.cells(result, columns, build.RECORDS)))
    for method in paper_table.others(definition):
        table.add_row(escape(f"{method.name} (published)"), escape(paper_table.reported(method)))
    console.print(table)
    for note in paper_table.notes(experiment, definition):
        console.print(f"- {escape(note)}")
