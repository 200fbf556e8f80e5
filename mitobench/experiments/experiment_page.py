"""Writes an experiment's page in markdown: what was measured, how to repeat it, and the numbers."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from mitobench import registry
from mitobench.atomic import write_text_atomic
from mitobench.experiments import paper_table, ranking
from mitobench.experiments.definition import PaperTable
from mitobench.experiments.experiment import PAGES, Experiment, records_folder
from mitobench.report.build import RECORDS
from mitobench.report.markdown import bullets, escape
from mitobench.results.record_files import PACKED

_TO_RECORD = re.compile(r"\(([^()\s]*records/[^()\s]+)\.json\)")


def write(experiment: Experiment, out: Path) -> Path:
    """Write the page below `out`; returns its path. Raises MitobenchError if it cannot be written."""
    path = out / PAGES / f"{experiment.definition.name}.md"
    records = os.path.relpath(records_folder(experiment.definition, out) / RECORDS, path.parent)
    write_text_atomic(path, page(experiment, Path(records).as_posix()))
    return path


def follow_packed(out: Path) -> None:
    """Let the links of all pages below `out` lead to records that were packed after a page was written."""

    def followed(link: re.Match[str]) -> str:
        packed = f"{link[1]}{PACKED}"
        return f"({packed})" if (out / PAGES / unquote(packed)).is_file() else link[0]

    for path in sorted((out / PAGES).glob("*.md")):
        text = path.read_text(encoding="utf-8")
        new = _TO_RECORD.sub(followed, text)
        if new != text:
            write_text_atomic(path, new)


def page(experiment: Experiment, records: str) -> str:
    """Returns the text of the page. `records` is the folder of the records, relative to the page."""
    heading = [f"# {escape(title(experiment))}", f"Made by `{command(experiment)}`; not to be edited."]
    blocks = [block if isinstance(block, str) else bullets(block) for block in _body(experiment, records)]
    return "\n\n".join(filter(None, [*heading, *blocks])) + "\n"


def title(experiment: Experiment) -> str:
    """Returns the experiment's title; for a table, followed by how the measurement differs from the paper's."""
    of_table = isinstance(experiment.definition, PaperTable)
    how = experiment.parts[0].how if of_table and experiment.parts else []
    return "; ".join([experiment.definition.title, *how])


def command(experiment: Experiment) -> str:
    """Returns the command that repeats the experiment, without the folders of data and store."""
    definition, overrides = experiment.definition, experiment.overrides
    built_in = definition.path == registry.ROOT / "experiments" / definition.path.name
    parts = ["mitobench", "experiment", definition.name if built_in else definition.path.name]
    parts += [word for name in overrides.grids for word in ("--grid", name)]
    parts += ["--dataset", overrides.dataset] if overrides.dataset else []
    parts += ["--scanner", ",".join(overrides.scanners)] if overrides.scanners else []
    parts += ["--profile", overrides.profile] if overrides.profile else []
    parts += ["--scale", f"{overrides.scale:g}"] if overrides.scale else []
    parts += ["--seeds", str(overrides.seeds)] if overrides.seeds else []
    return shlex.join([*parts, *(word for text in overrides.sets for word in ("--set", text))])


def _body(experiment: Experiment, records: str) -> Iterator[str | list[str]]:
    if isinstance(experiment.definition, PaperTable):
        yield from paper_table.body(experiment, experiment.definition, records)
        return
    yield ranking.EXPLANATION
    yield list(experiment.definition.notes)
    for part in experiment.parts:
        yield from ranking.body(part, records)
