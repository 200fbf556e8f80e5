"""Searches many images on a cluster, each as one task. This process alone moves their files to the output folder."""

from __future__ import annotations

import functools
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mitobench import compute
from mitobench.errors import MitobenchError
from mitobench.model.image_run import Options, Processed, Progress, ProgressListener, Run
from mitobench.model.model import Model
from mitobench.model.output_folder import FolderElsewhere, OutputFolder
from mitobench.model.search import Load, Searcher

# Calls a function with each of several arguments, elsewhere; yields (number of the argument, result) as they end.
Spread = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[tuple[int, Any]]]


@dataclass(frozen=True)
class Task:
    """One image to search. Can be pickled.

    Attributes:
        folder: the current directory, which relative paths start from.
        out: the output folder.
        path, name: the image, and the name of its files.
        images: number of images of the command.
        options: how it is searched; `load` loads the model.
    """

    folder: str
    out: Path
    path: Path
    name: str
    images: int
    options: Options


@dataclass(frozen=True)
class Answer:
    """What became of an image: its lines, and what its `FolderElsewhere` hands over."""

    processed: Processed
    handed: Path | None
    ended: tuple[Any, ...] | None


def spread_images(
    folder: OutputFolder,
    paths: Sequence[Path],
    names: Sequence[str],
    options: Options,
    progress: ProgressListener | None,
    spread: Spread,
) -> Iterator[tuple[int, Processed]]:
    """Yields (number, what became of it) of each image, as they end. Raises MitobenchError as `Run.process` does."""
    started = time.perf_counter()
    tasks = [
        Task(os.getcwd(), folder.path, path, name, len(paths), replace(options, jobs=1))
        for path, name in zip(paths, names, strict=True)
    ]
    for count, (number, answer) in enumerate(spread(search_image, tasks), 1):
        if isinstance(answer, MitobenchError):
            raise answer
        if answer.handed is not None:
            folder.adopt(answer.handed)
            shutil.rmtree(answer.handed, ignore_errors=True)
        if answer.ended is not None:
            folder.finish(*answer.ended)
        if progress is not None:
            progress(Progress(count - 1, len(paths), 1, 1, count, time.perf_counter() - started))
        yield number, answer.processed


def search_image(task: Task) -> Answer | MitobenchError:
    """Searches one image, in a process of a cluster. Returns an error that ends the command."""
    assert task.options.load is not None
    with suppress(OSError):  # a machine without the directory sees no relative path, and says so
        os.chdir(task.folder)
    folder = FolderElsewhere(task.out, task.options.overwrite)
    try:
        with compute.using_threads(1), folder:
            run = Run(folder, Searcher(_model(task.options.load)), task.options, task.images, None)
            processed = run.process(0, task.path, task.name)
    except MitobenchError as reason:
        return reason
    return Answer(processed, folder.handed, folder.ended)


def _model(load: Load) -> Model:
    return _loaded(load.func, load.args) if isinstance(load, functools.partial) else load()


@functools.lru_cache(maxsize=1)
def _loaded(function: Callable[..., Model], arguments: tuple[Any, ...]) -> Model:
    """Returns the model that the process loaded for its last image, if it is the same."""
    return function(*arguments)
