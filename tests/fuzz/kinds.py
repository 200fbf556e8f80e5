"""Every kind of untrusted file: how to make and alter an example, and what reads it.

Given a random generator, a kind returns a function that reads one altered input with the functions behind the commands.
That function may only raise MitobenchError. If it accepts the input, it checks that every number is the one in the
input, and raises SilentChangeError otherwise.
"""

from __future__ import annotations

import csv
import functools
import gzip
import hashlib
import io
import json
import math
import shutil
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import mutants
import numpy as np
import torch
from PIL import Image
from records import DETECTIONS, ok

from mitobench import datasets, experiments, registry
from mitobench.api import Frame
from mitobench.benchmark import Benchmark, Grid
from mitobench.cli.result_tables import show_section
from mitobench.datasets import images, points
from mitobench.datasets.card import Card as DatasetCard
from mitobench.datasets.splits import assign, read_split
from mitobench.errors import MitobenchError
from mitobench.evaluate import read_detections
from mitobench.gallery import gallery
from mitobench.model import Model
from mitobench.model import card as cards
from mitobench.pipeline import canonical
from mitobench.pipeline.overrides import Override
from mitobench.pipeline.profile_files import DEFAULTS
from mitobench.pipeline.saved_files import MANIFEST
from mitobench.pipeline.settings import Settings
from mitobench.pipeline.store import Store
from mitobench.report import build, figures
from mitobench.report.stale import stale_figures
from mitobench.results import record
from mitobench.results.check import check, verified, verified_all
from mitobench.results.compare import compare
from mitobench.results.local_datasets import LocalDatasets, wrong_annotation
from mitobench.results.migrate import migrate, replace_files
from mitobench.results.recompute import Recomputation
from mitobench.results.resource_estimate import excessive, resource_lines
from mitobench.results.schema import SCHEMA_VERSION
from mitobench.results.submission import write_submission
from mitobench.scoring import score_record
from mitobench.training.weights import FILE, load_weights, save_weights

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Read = Callable[[], object]
Kind = Callable[[Path, Random], Read]


class SilentChangeError(Exception):
    """An input was accepted with a number that it does not contain."""


def same(found: object, held: object) -> None:
    if repr(found) != repr(held):
        raise SilentChangeError(f"{str(found)[:100]} instead of {str(held)[:100]}")


# ------------------------------------------------------------------------------------------------------ records


def record_json(folder: Path, rng: Random) -> Read:
    """Seals most of them again, so that the code after the digest check is tested too."""
    path = record.write(folder / build.RECORDS, ok(), DETECTIONS)
    content = json.loads(path.read_text())
    before = content["test"]
    if rng.random() < 0.25:
        path.write_bytes(mutants.in_bytes(path.read_bytes(), rng))
    else:
        content = mutants.in_tree(content, rng)
        path.write_text(json.dumps(_sealed(content) if rng.random() < 0.7 else content, sort_keys=True, indent=1))

    def read() -> None:
        found = record.read(path)
        raw = json.loads(path.read_text())
        if found.model_dump(mode="json", exclude_unset=True) != raw:
            raise SilentChangeError("the record that was read is not the one that is stored")
        if raw["digest"] == canonical.digest({**found.content(), "test": before}):
            same(raw["test"], before)
        list(resource_lines(found)), list(excessive(found)), check(path)
        for section in build.read_sections(folder / build.RECORDS):
            show_section(section)

    return read


def _sealed(content: dict[str, Any]) -> dict[str, Any]:
    try:
        return record.Record.model_validate(content).sealed().model_dump(mode="json")
    except (ValueError, TypeError, RecursionError, AttributeError):
        return content


def run_record(folder: Path, rng: Random) -> Read:
    """A record of a real run with its data, for all commands that read both."""
    (path,) = Path(shutil.copytree(_run(folder), folder / "board"), "records").glob("*.json")
    content, before = json.loads(path.read_text()), record.read(path)
    detections = rng.choice((None, None, *record.ENDINGS))
    if detections:
        _change_detections(path, content[detections], rng)
    else:
        content = mutants.in_tree(content, rng)
    path.write_text(json.dumps(_sealed(content), sort_keys=True, indent=1) + "\n")
    frames = [frame.frame for frame in before.test.frames] if before.test else []
    data = _data(folder)

    def read() -> None:
        found = record.read(path)
        if not detections and not check(path).problems:
            same([getattr(found, name) for name in NUMBERS], [getattr(before, name) for name in NUMBERS])
        _each(
            lambda: build.build(folder / "board", read=verified_all),
            lambda: gallery.write(path, folder / "gallery", data=data, max_frames=1, max_crops=2),
            lambda: write_submission(folder / "submission", path, found, frames),
            lambda: compare(before, verified(path)),
            lambda: score_record(path, data),
            lambda: list(wrong_annotation(Recomputation.read(path, found), LocalDatasets(data))),
        )

    return read


NUMBERS = ("frames", "validation", "test", "detector_alone", "boxes")  # each follows from detections and annotation


def _change_detections(path: Path, entry: dict[str, Any], rng: Random) -> None:
    """Changes the text and corrects its digests, also in the record's entry."""
    packed = path.with_name(entry["file"])
    text = mutants.in_text(gzip.decompress(packed.read_bytes()).decode(), rng).encode(errors="replace")
    packed.write_bytes(gzip.compress(text, compresslevel=9, mtime=0))
    digests = {"sha256": hashlib.sha256(text), "packed": hashlib.sha256(packed.read_bytes())}
    entry |= {name: digest.hexdigest() for name, digest in digests.items()} | {"rows": text.count(b"\n") - 1}


VERSION_1 = Path(__file__).parents[1] / "results" / "version1"
UNMOVED = ("tp", "fp", "fn", "f1", "precision", "recall", "average_precision")


def old_record(folder: Path, rng: Random) -> Read:
    """A record of version 1: it is migrated with unchanged numbers, or rejected."""
    (path,) = Path(shutil.copytree(VERSION_1, folder / "records")).glob("*.json")
    content = json.loads(path.read_text())
    if rng.random() < 0.3:
        _change_detections(path, content["detections"], rng)
        del content["detections"]["packed"]
    else:
        content = mutants.in_tree(content, rng)
    if rng.random() < 0.9:
        inside = {name: value for name, value in content.items() if name not in ("run", "digest", "run_digest")}
        with suppress(ValueError, TypeError, RecursionError):
            content |= {"digest": canonical.digest(inside), "run_digest": canonical.digest(content.get("run"))}
    path.write_text(json.dumps(content, sort_keys=True, indent=1) + "\n")

    local = _synthetic()

    def read() -> None:
        migrated = migrate(path, local)
        assert migrated is not None or content["schema_version"] == SCHEMA_VERSION
        if migrated is None:
            return
        found = verified(replace_files(path, migrated))
        assert found.test is not None
        same([getattr(found.test, name) for name in UNMOVED], [content["test"][name] for name in UNMOVED])

    return read


@functools.cache
def _synthetic() -> LocalDatasets:
    """Returns the frames of the record of version 1; read once per process."""
    local = LocalDatasets(None)
    local.dataset("synthetic")
    return local


def figures_list(folder: Path, rng: Random) -> Read:
    """`figures.json` beside figures: nothing but figures is removed, and nothing is called fresh that is not."""
    place = folder / "board" / figures.FOLDER
    place.mkdir(parents=True)
    (folder / "board" / build.RECORDS).mkdir()
    kept = folder / "board" / "kept.png"
    kept.touch()
    (place / "x-froc.png").write_bytes(b"x")
    manifest = {"x": {"data": "0" * 64, "files": {"x-froc.png": hashlib.sha256(b"x").hexdigest(), "../kept.png": "1"}}}
    for number, name in enumerate((*mutants.NAMES, "folder")):
        if rng.random() < 0.3:
            manifest[str(number)] = {"data": "", "files": {name: ""}}
    (place / "folder").mkdir()
    if rng.random() < 0.5:
        manifest = mutants.in_tree(manifest, rng)
    text = json.dumps(manifest)
    (place / figures.MANIFEST).write_text(text if rng.random() < 0.7 else mutants.in_text(text, rng))

    def read() -> None:
        problems = list(stale_figures(folder / "board", []))
        figures.write(folder / "board", [], ("svg",))
        if not kept.exists():
            raise SilentChangeError("a file that is not a figure was removed")
        if problems:
            raise MitobenchError(problems[0])

    return read


def _run(folder: Path) -> Path:
    """Returns the folder of a leaderboard with one record of plugins that learn nothing; created once per process."""
    board = folder.parent / "board"
    if not board.is_dir():
        grid = Grid({"estimator": ["fixed"], "detector": ["blobs"], "verifier": ["none"], "fuser": ["linear"]})
        benchmark = Benchmark.prepare(
            [grid], data=_data(folder), datasets=["synthetic"], device="cpu", profile="smoke", store=folder / "store"
        )
        benchmark.run(board)
    return board


def _each(*calls: Callable[[], object]) -> None:
    """Makes all calls, also after an error; raises the first error at the end."""
    errors: list[MitobenchError] = []
    for call in calls:
        try:
            call()
        except MitobenchError as reason:
            errors.append(reason)
    if errors:
        raise errors[0]


def record_detections(folder: Path, rng: Random) -> Read:
    text = mutants.in_text(DETECTIONS * rng.choice((1, 1, 3)), rng)
    raw = text.encode(errors="replace")
    packed = gzip.compress(raw, mtime=0) if rng.random() < 0.8 else mutants.in_bytes(gzip.compress(raw, mtime=0), rng)
    path = record.write(folder, ok(), DETECTIONS)
    content = json.loads(path.read_text())
    digests = {"sha256": hashlib.sha256(raw).hexdigest(), "packed": hashlib.sha256(packed).hexdigest()}
    content["detections"] |= digests if rng.random() < 0.8 else {}
    path.with_name(content["detections"]["file"]).write_bytes(packed)
    path.write_text(json.dumps(_sealed(content), sort_keys=True, indent=1) + "\n")

    def read() -> None:
        found = record.read_detections(path, record.read(path))
        held = list(csv.DictReader(io.StringIO(raw.decode())))
        for column, values in (("score", found.score), ("x", found.xy[:, 0]), ("y2", found.boxes[:, 3])):
            same(values.tolist(), [float(row[column] or "nan") for row in held])
        check(path)

    return read


# -------------------------------------------------------------------------------------------- settings, registry


def _toml(folder: Path, original: Path, rng: Random) -> Path:
    path = folder / "own.toml"
    path.write_text(mutants.in_text(original.read_text(), rng), encoding="utf-8", errors="replace")
    return path


def profile(folder: Path, rng: Random) -> Read:
    path = _toml(folder, rng.choice(sorted((registry.ROOT / "profiles").glob("*.toml"))), rng)

    def read() -> None:
        from mitobench import discovery

        settings = Settings.load(str(path))
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        added = {DEFAULTS, *({"pipeline"} - raw.keys())}
        same(*({name: one[name] for name in one if name not in added} for one in (settings.files[-1].tables, raw)))
        settings.pipeline()
        for role in ("detector", "fuser"):
            for name in discovery.names(role):
                settings.options(role, discovery.load(role, discovery.example(role, name)))
        settings.check_names()

    return read


def set_text(folder: Path, rng: Random) -> Read:
    text = f"detector.{rng.choice(('blobs.', ''))}{rng.choice(('radii', 'floor', 'mpp', 'contrast'))}=0.5"
    text = (
        text.partition("=")[0] + "=" + rng.choice(mutants.TOKENS) if rng.random() < 0.5 else mutants.in_text(text, rng)
    )

    def read() -> None:
        from mitobench import discovery

        given = Override.parse(text)
        options = Settings("own", [], [given]).options("detector", discovery.load("detector", "blobs"))
        held = getattr(options, given.option, None)
        if isinstance(held, float) and given.plugin in (None, "blobs"):
            same(held, float(text.partition("=")[2]))

    return read


def dataset_card(folder: Path, rng: Random) -> Read:
    path = _toml(folder, rng.choice(sorted((registry.ROOT / "datasets").glob("*.toml"))), rng)

    def read() -> None:
        found = DatasetCard.load(path)
        same(found.radius_um, float(tomllib.loads(path.read_text(encoding="utf-8"))["radius_um"]))

    return read


def experiment(folder: Path, rng: Random) -> Read:
    path = _toml(folder, rng.choice(sorted((registry.ROOT / "experiments").glob("*.toml"))), rng)
    return lambda: experiments.read(str(path))


def split(folder: Path, rng: Random) -> Read:
    original = rng.choice(sorted((registry.ROOT / "splits").glob("*.json")))
    path = folder / "own.json"
    if rng.random() < 0.5:
        path.write_text(mutants.in_text(original.read_text(), rng), encoding="utf-8", errors="replace")
    else:
        path.write_text(json.dumps(mutants.in_tree(json.loads(original.read_text()), rng)))

    def read() -> None:
        found = read_split(path)
        raw = json.loads(path.read_text(encoding="utf-8"))
        same(found.parts.model_dump(mode="json", exclude_unset=True), raw["parts"])
        if found.dataset == "synthetic":
            assign(found, datasets.load("synthetic", _data(folder)))

    return read


# -------------------------------------------------------------------------------------------------------- models


def model_folder(folder: Path, rng: Random) -> Read:
    target = folder / "model"
    (target / "fuser").mkdir(parents=True)
    weight = {"w": 0.3, "curve": [[0.0, 0.1], [1.0, 0.2]]}
    cards.write(target, _card())
    before = json.loads((target / cards.CARD).read_text())
    if rng.random() < 0.5:
        weight = mutants.in_tree(weight, rng)
    (target / "fuser" / "weight.json").write_text(json.dumps(weight))
    card = mutants.in_tree(before, rng) if rng.random() < 0.5 else before
    _seal_model(target, card)
    pixels = np.full((96, 96, 3), 200, dtype=np.uint8)
    pixels[40:56, 40:56] = 60

    def read() -> None:
        loaded = Model.load(target)
        same(loaded.card.threshold, float(card["threshold"]))
        frame = Frame("x", "images", "x", "-", (loaded.card.mpp, loaded.card.mpp), (96, 96), lambda: pixels)
        found = loaded.predict(frame)
        if not np.isfinite(found.score).all():
            raise SilentChangeError("a score is not finite")

    return read


def _card() -> cards.ModelCard:
    part = {"package": "mitobench", "version": "1"}
    return cards.ModelCard(
        title="a model",
        record="x.json",
        record_digest="d" * 64,
        combination={},
        train_on={"synthetic": {"train": 1}},
        notes=[],
        plugins=cards.PackedPlugins(
            detector=cards.PackedPlugin(name="blobs", options={"radii": 2}, **part),
            verifier=cards.PackedPlugin(name="none", options={}, **part),
            fuser=cards.PackedPlugin(name="linear", options={}, **part),
        ),
        candidate_threshold=0.2,
        threshold=0.5,
        mpp=0.25,
        measured=cards.MeasuredScores(dataset="synthetic", protocol="by-slide", seed=0, f1=0.5, f1_interval=None),
        half=False,
    )


def _seal_model(folder: Path, card: dict[str, Any]) -> None:
    """Writes the card with the current digests of the folder, sealed if the card is valid."""
    path = folder / "fuser" / "weight.json"
    content = path.read_bytes()
    card["files"] = {"fuser/weight.json": {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}}
    with suppress(ValueError, TypeError, RecursionError):
        card = cards.ModelCard.model_validate(card).sealed().as_json()
    (folder / cards.CARD).write_text(json.dumps(card))


def weights(folder: Path, rng: Random) -> Read:
    """safetensors: damaged, or with values that no training leaves."""
    network = torch.nn.Linear(4, 3)
    with torch.no_grad():
        if rng.random() < 0.5:
            network.weight[rng.randrange(3), rng.randrange(4)] = rng.choice((math.nan, math.inf, -math.inf, 1e38))
    save_weights(network, folder)
    if rng.random() < 0.7:
        content = (folder / FILE).read_bytes()
        size = struct.unpack("<Q", content[:8])[0]
        head = mutants.in_bytes(content[8 : 8 + size], rng)
        length = rng.choice((len(head), len(head), 2**63, 2**40, 0))
        (folder / FILE).write_bytes(struct.pack("<Q", length) + head + content[8 + size :])

    def read() -> None:
        other = torch.nn.Linear(4, 3)
        load_weights(other, folder)
        if not all(value.isfinite().all() for value in other.state_dict().values()):
            raise SilentChangeError("a weight is not finite")

    return read


# ---------------------------------------------------------------------------------------------------------- data


def _data(folder: Path) -> Path:
    """Returns the folder of both synthetic data sets, which have the layouts of the real ones; written once."""
    from mitobench.datasets import synthetic

    data = folder.parent / "data"
    if not data.is_dir():
        synthetic.write(data, seed=1, frames=2, size=128)
    return data


def annotation(folder: Path, rng: Random) -> Read:
    """A CSV of either layout: a row of x,y pairs per outline, or a centre per row."""
    name = rng.choice(("synthetic", "synthetic-centroids"))
    original = rng.choice([p for p in sorted(_data(folder).rglob("*.csv")) if p.stat().st_size])
    path = folder / "A.csv"
    content = original.read_text()
    changed = mutants.in_text(content, rng).encode(errors="replace")
    path.write_bytes(changed if rng.random() < 0.7 else mutants.in_bytes(content.encode(), rng))
    return lambda: _read_annotation(path, original, name, folder, rng)


def _read_annotation(path: Path, original: Path, name: str, folder: Path, rng: Random) -> None:
    """Reads it alone and, sometimes, as a part of the whole data set."""
    held = [
        [float(cell) for cell in line.strip().rstrip(", \t").split(",")]
        for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        if line.strip().rstrip(", \t") and _are_numbers(line)
    ]
    try:
        same([numbers for _, numbers in points.rows(path)], held)
    finally:
        if rng.random() < 0.15:
            whole = folder / "whole"
            shutil.copytree(_data(folder), whole)
            shutil.copyfile(path, whole / original.relative_to(_data(folder)))
            datasets.load(name, whole)


def _are_numbers(line: str) -> bool:
    try:
        return all(math.isfinite(float(cell)) for cell in line.strip().rstrip(", \t").split(","))
    except ValueError:
        return False


def detections_csv(folder: Path, rng: Random) -> Read:
    text = "frame,x,y,score\nA00_00,1,2,0.5\nA00_01,3.5,4,0.25\n"
    if rng.random() < 0.5:
        text = "frame,x1,y1,x2,y2,score\nA00_00,1,2,3,4,0.5\nA00_01,3.5,4,5,6,0.25\n"
    content = mutants.in_text(text, rng).encode(errors="replace")
    packed = rng.random() < 0.3
    path = folder / ("found.csv.gz" if packed else "found.csv")
    written = gzip.compress(content) if packed else content
    path.write_bytes(mutants.in_bytes(written, rng) if rng.random() < 0.3 else written)

    def read() -> None:
        found = read_detections(path, ["A00_00", "A00_01"])
        raw = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
        rows = [row for row in csv.reader(io.StringIO(raw.decode("utf-8-sig"))) if any(cell.strip() for cell in row)]
        at = [name.strip().lower() for name in rows[0]].index("score")
        held = sorted(float(row[at]) for row in rows[1:])
        same(sorted(score for one in found.values() for score in one.score.tolist()), held)

    return read


def image(folder: Path, rng: Random) -> Read:
    ending, mode = rng.choice((".png", ".bmp", ".tif", ".jpg")), rng.choice(("RGB", "L", "P", "RGBA", "1", "I;16"))
    mode = "RGB" if ending == ".jpg" else mode
    picture = Image.fromarray(np.frombuffer(rng.randbytes(24 * 20 * 3), dtype=np.uint8).reshape(24, 20, 3))
    picture = Image.fromarray(np.zeros((24, 20), dtype=np.uint16)) if mode == "I;16" and ending != ".bmp" else picture
    if mode not in ("RGB", "I;16") and not (ending == ".bmp" and mode == "RGBA"):
        picture = picture.convert(mode)
    path = folder / f"x{ending}"
    picture.save(path)
    content = bytearray(path.read_bytes())
    if rng.random() < 0.4:  # sizes in headers
        at = rng.randrange(min(64, len(content) - 4))
        content[at : at + 4] = rng.choice(
            (b"\xff\xff\xff\x7f", b"\x00\x00\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff")
        )
    path.write_bytes(mutants.in_bytes(bytes(content), rng) if rng.random() < 0.7 else bytes(content))

    def read() -> None:
        probed = images.probe(path)
        pixels = images.read_rgb(path)
        same(pixels.shape, (probed.height, probed.width, 3))

    return read


def store_entry(folder: Path, rng: Random) -> Read:
    store = Store(folder / "store").open()
    spec = {"kind": "fit", "settings": {"a": 1}}
    key = canonical.digest(spec)
    with store.write("fit", key, spec) as output:
        (output / "metrics.json").write_text('{"f1": 0.5}')
    path = store.root / "stages" / "fit" / key / MANIFEST
    manifest = json.loads(path.read_text())
    if rng.random() < 0.3:
        path.write_bytes(mutants.in_bytes(path.read_bytes(), rng))
    else:
        changed = mutants.in_tree({k: v for k, v in manifest.items() if k != "digest"}, rng)
        try:
            changed["digest"] = canonical.digest(changed)
        except (ValueError, TypeError, RecursionError):
            changed["digest"] = manifest["digest"]
        path.write_text(json.dumps(changed))

    def read() -> None:
        found = store.get("fit", key)
        if found is None:
            raise MitobenchError("thrown away, to be done again")
        same(found.manifest["spec"], spec)
        same((found.folder / "metrics.json").read_text(), '{"f1": 0.5}')
        float(found.seconds)

    return read


KINDS: dict[str, Kind] = {
    "record (JSON)": record_json,
    "record's detections (gzip)": record_detections,
    "record with its data": run_record,
    "record of version 1": old_record,
    "list of figures (JSON)": figures_list,
    "profile (TOML)": profile,
    "--set": set_text,
    "data set card (TOML)": dataset_card,
    "experiment (TOML)": experiment,
    "split (JSON)": split,
    "model folder (JSON)": model_folder,
    "weights (safetensors)": weights,
    "annotation (CSV)": annotation,
    "detections (CSV)": detections_csv,
    "image": image,
    "store entry (JSON)": store_entry,
}
