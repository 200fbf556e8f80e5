"""What every reader of a data set must do, checked on the few frames that its `write_example` writes."""

from __future__ import annotations

import functools
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mitobench import datasets
from mitobench.contract.failures import require
from mitobench.datasets import splits
from mitobench.errors import DataError, PluginError


class DatasetSubject:
    """A reader under test, with a folder that holds its example."""

    role = "dataset"

    def __init__(self, name: str) -> None:
        self.name = name
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @functools.cached_property
    def reader(self) -> datasets.Reader:
        """The reader. Raises PluginError if it cannot be loaded."""
        return datasets.reader(self.name)

    @functools.cached_property
    def root(self) -> Path:
        """A folder with the reader's example, deleted when the program ends."""
        self._folder = tempfile.TemporaryDirectory(prefix="mitobench-contract-")
        root = Path(self._folder.name)
        self.reader.write_example(root)
        return root

    def read(self) -> datasets.Dataset:
        """Reads the example anew."""
        return self.reader.read(self.root)


def loads_and_has_a_card_of_its_name(of: DatasetSubject) -> None:
    """The card is NAME.toml in the package, or in the registry."""
    require(of.reader.name == of.name, f"the class has the name {of.reader.name!r}, its entry point {of.name!r}.")
    card = of.reader.card()
    require(card.name == of.name, f"the card has the name {card.name!r}. Write {of.name!r}.")
    require(card.mpp, "the card has no um/px. Give `mpp` at least one scanner.")


def every_protocol_of_the_card_has_a_split(of: DatasetSubject) -> None:
    """A split is `splits/NAME-PROTOCOL.json` in the package."""
    require(of.reader.card().protocols, "the card lists no protocol. Add a split, and list it in `protocols`.")
    for protocol in of.reader.card().protocols:
        splits.load_split(of.name, protocol)


def finds_its_frames_and_nothing_in_an_empty_folder(of: DatasetSubject) -> None:
    """`find` is called for every data folder, so it must not take another data set's frames for its own."""
    require(of.reader.find(of.root), f"find() does not find what write_example() wrote in {of.root}.")
    with tempfile.TemporaryDirectory() as empty:
        require(not of.reader.find(Path(empty)), "find() finds frames in an empty folder.")
        try:
            of.reader.read(Path(empty))
        except DataError:
            return
    raise PluginError("read() of an empty folder does not raise DataError. Use mitobench.datasets.reader.not_found.")


def frames_have_pixels_of_their_size(of: DatasetSubject) -> None:
    """Frames read as uint8 RGB of the size that they declare, and belong to the data set."""
    items = of.read().items
    require(items, "read() returns no frame.")
    for id, item in items.items():
        frame = item.frame
        require(frame.id == id and frame.dataset == of.name, f"frame {id}: its id or data set is {frame.key!r}.")
        require(frame.group, f"frame {id}: has no group. Give its slide or case.")
        require(item.files and item.files[0].is_file(), f"frame {id}: files must begin with the image.")
        pixels = frame.read()
        shape = (frame.size[1], frame.size[0], 3)
        found = f"{pixels.dtype} {list(pixels.shape)}"
        require(pixels.dtype == np.uint8 and pixels.shape == shape, f"frame {id}: {found}, not uint8 {list(shape)}.")


def annotations_are_inside_their_frames(of: DatasetSubject) -> None:
    """Mitoses and imposters are finite points of the frame, in px."""
    items = of.read().items
    for id, item in items.items():
        last = np.array(item.frame.size) - 1
        for what, xy in (("mitoses", item.mitoses.xy), ("imposters", item.mitoses.imposters)):
            require(xy.ndim == 2 and xy.shape[1] == 2, f"frame {id}: {what} have the shape {list(xy.shape)}.")
            inside = np.isfinite(xy).all() and (xy >= 0).all() and (xy <= last).all()
            require(inside, f"frame {id}: {what} are outside the frame. Use mitobench.datasets.figures.Figures.")
    require(any(len(item.mitoses) for item in items.values()), "the example has no mitosis. Write at least one.")


def frames_can_be_pickled(of: DatasetSubject) -> None:
    """Frames are sent to worker processes."""
    for item in of.read().items.values():
        again = pickle.loads(pickle.dumps(item.frame))
        same = again == item.frame and dict(again.domains) == dict(item.frame.domains)
        require(same, f"frame {item.frame.id} changes when it is pickled.")


def reading_twice_gives_the_same(of: DatasetSubject) -> None:
    """Digests and annotations are part of the keys of stages."""
    one, other = of.read(), of.read()
    require(one.digest() == other.digest(), "reading the same files twice gives other digests.")
    for id, item in one.items.items():
        same = np.array_equal(item.mitoses.xy, other.items[id].mitoses.xy)
        require(same, f"frame {id}: reading the same file twice gives other mitoses.")


def the_default_protocol_can_be_used(of: DatasetSubject) -> None:
    """Every part of the default split has a frame of the example."""
    splits.assign(splits.load_split(of.name, of.reader.card().default_protocol), of.read())


def frames_without_annotation_files_are_unlabelled(of: DatasetSubject) -> None:
    """A frame whose annotation was not copied must not count as free of mitoses."""
    with tempfile.TemporaryDirectory() as folder:
        of.reader.write_example(Path(folder))
        files = {file for item in of.reader.read(Path(folder)).items.values() for file in item.files[1:]}
        for file in files:
            file.unlink()
        try:
            items = of.reader.read(Path(folder)).items if files else {}
        except DataError:
            return
        wrong = [id for id, item in items.items() if item.mitoses.labelled]
        require(not wrong, f"frames {', '.join(wrong[:3])} count as labelled although their annotation is missing.")


DATASET_CHECKS: tuple[Callable[[DatasetSubject], None], ...] = (
    loads_and_has_a_card_of_its_name,
    every_protocol_of_the_card_has_a_split,
    finds_its_frames_and_nothing_in_an_empty_folder,
    frames_have_pixels_of_their_size,
    annotations_are_inside_their_frames,
    frames_can_be_pickled,
    reading_twice_gives_the_same,
    the_default_protocol_can_be_used,
    frames_without_annotation_files_are_unlabelled,
)
