"""Shows models, for `mitobench list` and `mitobench info`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from mitobench.cli.terminal import echo

if TYPE_CHECKING:
    from mitobench.model.card import ModelCard
    from mitobench.model.known import Entry, KnownModel

ROLE = "model"


def list_models(described: bool) -> bool:
    """Prints a line for each model; returns whether one cannot be read.

    Without `described` it prints names alone: reading a model's card takes long.
    """
    from mitobench.errors import MitobenchError
    from mitobench.model.known import known_models

    entries = known_models()
    echo("models (for mitobench predict --model)", bold=True)
    width = max(map(len, entries), default=0)
    problem = False
    for entry in entries.values():
        try:
            about = f": {_in_short(entry)}" if described else f"; more: mitobench info {entry.name}"
            echo(f"  {entry.name:{width}}  {entry.origin.value}{about}")
        except MitobenchError as reason:
            problem = True
            echo(f"  {entry.name:{width}}  {entry.origin.value}")
            echo(f"  {'':{width}}  BROKEN: {reason}", fg="red", lines=True)
    return problem


def show_model(entry: Entry) -> None:
    """Prints what a model is, where it comes from, what it needs and how to use it."""
    from mitobench.model.fetching import is_remote

    described = None if entry.is_folder else entry.described()
    card = entry.card()
    echo(f"{ROLE} {entry.name}", bold=True)
    _line("entry", f"{entry.origin.value}: {entry.path}")
    if described is not None:
        _show_described(described)
        if card is None:
            _line("on this machine", "no; --allow-download gets it")
    if card is not None:
        _show_card(card, entry.name)
    remote = described is not None and is_remote(described.source) and card is None
    option = f"--model {shlex.quote(entry.name)}{' --allow-download' if remote else ''}"
    _line("use it", f"mitobench predict IMAGE --out FOLDER {option}")
    allow = ', allow=["download"]' if remote else ""
    _line("from Python", f'mitobench.load("{entry.name}"{allow})')


def _in_short(entry: Entry) -> str:
    from mitobench.report.markdown import number

    card = entry.card()
    if card is None:
        known = entry.described()
        facts = [_size(known.size_mb), _mpp(known.mpp), known.f1]
        return "; ".join([known.title, *filter(None, facts), known.source])
    measured = f"F1 {number(card.measured.f1)} on {card.measured.dataset}"
    return "; ".join([card.title, _size(card.size_mb), _mpp(card.mpp), measured])


def _show_described(known: KnownModel) -> None:
    for what, value in (
        ("title", known.title),
        ("source", known.source),
        ("licence", known.licence),
        ("size", _size(known.size_mb)),
        ("works at", _mpp(known.mpp)),
        ("trained on", known.trained_on),
        ("measured", known.f1),
    ):
        if value:
            _line(what, value)


def _show_card(card: ModelCard, name: str) -> None:
    from mitobench import registry
    from mitobench.gallery.outcomes import short
    from mitobench.model.measured import measured_text

    _line("title", card.title)
    about = registry.ROOT / "methods" / f"{name}.toml"
    if registry.is_name(name) and about.is_file() and (described := registry.read_toml(about)).get("role") == ROLE:
        for key in ("licence", "training_data", "notes"):
            if key in described:
                _line(key.replace("_", " "), described[key])
    _line("size", f"{_size(card.size_mb)} in {len(card.files)} files")
    if card.ranges is not None:
        _line("for images of", f"{card.ranges.mpp.low:.3g} to {card.ranges.mpp.high:.3g} um/px, as its training frames")
    _line("works at", _mpp(card.mpp))
    for dataset, frames in card.train_on.items():
        _line(
            "trained on", f"{dataset}: " + ", ".join(f"{count} frames for {_USE[use]}" for use, count in frames.items())
        )
    _line("measured", measured_text(card))
    _line("threshold", short(card.threshold))
    if card.calibration is not None:
        _line("calibrated", f"on {card.calibration.images} images of the user's own")
    for role in ("detector", "verifier", "fuser"):
        part = getattr(card.plugins, role)
        _line(role, f"{part.name} of {part.package}")
    for note in card.notes:
        _line("note", note)
    warns = "no: it has no ranges of its training frames"
    if card.ranges is not None:
        warns = f"yes: it has the ranges of {card.ranges.frames} training frames"
    _line("warns of other stains", warns)
    _line("digest", card.digest)


_USE = {"train": "training", "val": "choosing the threshold"}


def _size(mb: float | None) -> str:
    return "" if mb is None else f"{mb:.1f} MB"


def _mpp(mpp: float | None) -> str:
    return "" if mpp is None else f"{mpp:g} um/px"


def _line(what: str, value: object) -> None:
    echo(f"  {what:21} {value}")
