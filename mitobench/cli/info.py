"""`mitobench list` and `mitobench info`: list plugins and data sets, and show the details of one.

`list` only reads package metadata and cards, so it is fast and a broken plugin cannot stop it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitobench.cli import model_info
from mitobench.cli.terminal import echo

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from mitobench.api import Options, Plugin
    from mitobench.discovery import InstalledPlugin
    from mitobench.pipeline.settings import Settings

FLAGS = ("needs_masks", "learns_from_masks", "uses_boxes", "verifies", "uses_verifier", "needs_verifier")


def list_plugins(
    role: Annotated[
        str | None, typer.Option(help="estimator, detector, verifier, fuser, dataset or model. Default: all.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Import every plugin and report the BROKEN ones (slow).")
    ] = False,
) -> None:
    """List the installed plugins and data sets by role, with their packages, the models for `predict`, the profiles.

    Of families it says what they accept. Exit code 1: `--check` found a broken plugin or model.

    Examples: mitobench list --role detector; mitobench list --check
    """
    from mitobench import discovery
    from mitobench.errors import MitobenchError, nearest

    roles = [*discovery.GROUPS, model_info.ROLE]
    if role is not None and role not in roles:
        raise MitobenchError(f"--role: unknown role {role!r}. {nearest(role, roles)}")
    problems = False
    for shown in [role] if role else roles:
        if shown == model_info.ROLE:
            problems |= model_info.list_models(described=check or role is not None) and check
            continue
        echo(f"{shown}s", bold=True)
        named = discovery.found()[shown]
        claimed = {name: _claims(named[name]) for name in sorted(named)}
        cards = {name: _card(claims[0]) for name, claims in claimed.items()}
        spelled = {name: _with_argument(name, card) for name, card in cards.items()}
        width = max(map(len, spelled.values()), default=0)
        for name, claims in claimed.items():
            problem = _problem(claims, check)
            problems |= check and problem is not None
            title = cards[name].get("title", "")
            echo(f"  {spelled[name]:{width}}  {_origin(claims)}  {title}".rstrip())
            if _accepted(cards[name]):
                echo(f"  {'':{width}}  {_accepted(cards[name])}")
            if problem:
                echo(f"  {'':{width}}  {problem}", fg="red", lines=True)
    if role is None:
        _list_profiles()
    if problems:
        raise typer.Exit(1)


def _list_profiles() -> None:
    """Prints a line for each built-in profile."""
    from mitobench import registry

    paths = sorted((registry.ROOT / "profiles").glob("*.toml"))
    width = max((len(path.stem) for path in paths), default=0)
    echo("profiles (options of all plugins, for --profile)", bold=True)
    for path in paths:
        echo(f"  {path.stem:{width}}  {registry.read_toml(path).get('title', '')}".rstrip())


def _claims(found: list[InstalledPlugin]) -> list[InstalledPlugin]:
    """Sorts the plugins with the same name by package and version."""
    return sorted(found, key=lambda claim: (claim.package, claim.version))


def _origin(claims: list[InstalledPlugin]) -> str:
    return " and ".join(f"{claim.package} {claim.version}" for claim in claims)


def _problem(claims: list[InstalledPlugin], check: bool) -> str | None:
    """Why a name cannot be used: two packages claim it or, if `check`, the plugin does not load; None if it can."""
    if len(claims) > 1:
        both = " and ".join(f"{claim.package} ({claim.target})" for claim in claims)
        return f"CONFLICT: claimed by {both}. Uninstall one of them."
    if not check:
        return None
    from mitobench.doctor import plugin_problem

    problem = plugin_problem(claims[0].role, claims[0].name)
    return f"BROKEN: {problem}" if problem else None


def _card(claim: InstalledPlugin) -> dict[str, Any]:
    from mitobench.errors import MitobenchError

    try:
        return claim.card()
    except MitobenchError as reason:
        return {"title": f"(no title: {reason})"}


def _with_argument(name: str, card: Mapping[str, Any]) -> str:
    """The name of a plugin, of a family with what its card calls the argument: `heatmap:ENCODER`."""
    return f"{name}:{str(card['argument']).upper()}" if card.get("argument") else name


def _accepted(card: Mapping[str, Any]) -> str:
    """What a family accepts as its argument, as its card says; empty for other plugins."""
    if not (card.get("argument") and card.get("accepts")):
        return ""
    return f"{str(card['argument']).upper()}: {card['accepts']}"


# -------------------------------------------------------------------------------------------------------- info


def info(
    name: Annotated[
        str,
        typer.Argument(
            help="Name of a plugin, data set or model, as shown by `mitobench list`, FAMILY:ARGUMENT, or a model's "
            "folder."
        ),
    ],
    profile: Annotated[
        str | None, typer.Option(help="Also show the options in this profile: smoke, cpu, paper, ..., or a .toml file.")
    ] = None,
) -> None:
    """Show the card, properties and options of a plugin, the card and protocols of a data set, or a model.

    Of a member of a family, such as heatmap:resnet18, it also shows the number of parameters, um/px and weights. Of a
    model it shows what it was trained on, its size, um/px and F1, and how to use it.

    Exit code 1: the plugin is broken, or two packages claim its name.

    Example: mitobench info frcnn --profile paper

    Example: mitobench info my-model/
    """
    from mitobench import discovery
    from mitobench.errors import MitobenchError, nearest
    from mitobench.model.known import known_model, known_models, model_folder
    from mitobench.pipeline.settings import Settings

    family, _ = discovery.split(name)
    model = known_model(name)
    claims = [_claims(named[family]) for named in discovery.found().values() if family in named]
    if not claims and model is None:
        model = model_folder(name)
    if not claims and model is None:
        known = {name for role in discovery.GROUPS for name in discovery.names(role)} | {*known_models()}
        raise MitobenchError(f"Unknown plugin, data set or model {family!r}. {nearest(family, known)}")
    if model is not None:
        model_info.show_model(model)
    settings = Settings.load(profile) if profile else None
    problems = [_show(of_role, name, settings) for of_role in claims]
    if any(problems):
        raise typer.Exit(1)


def _show(claims: list[InstalledPlugin], spec: str, settings: Settings | None) -> bool:
    """Prints the plugin of a spec in one role; returns whether it cannot be used."""
    claim = claims[0]
    problem = _problem(claims, check=True)
    cls = None if problem or claim.role == "dataset" else _class(claim, spec)  # an unknown argument ends it here
    echo(f"{claim.role} {spec}", bold=True)
    _line("package", _origin(claims))
    _line("class", " and ".join(item.target for item in claims))
    if problem:
        echo(f"  {problem}", fg="red", lines=True)
        return True
    if cls is None:
        _show_dataset(claim.name)
    else:
        _show_plugin(claim, cls, settings)
    return False


def _class(claim: InstalledPlugin, spec: str) -> type[Plugin]:
    """Returns the class of a plugin, of a family, or of the member that a spec names."""
    from mitobench import discovery
    from mitobench.foreign.specs import typed_specs

    with typed_specs():
        whole = discovery.split(spec)[1] is None
        return discovery.family(claim.role, claim.name) if whole else discovery.load(claim.role, spec)


def _line(what: str, value: object) -> None:
    echo(f"  {what:20} {value}")


def _show_values(values: Mapping[str, Any]) -> None:
    """Prints a card, one line per value, without empty values."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            for inner, part in value.items():
                _line(f"{key}.{inner}", part)
        elif isinstance(value, list | tuple):
            for part in value:
                _line(key, part)
        elif value not in ("", None):
            _line(key, value)


def _show_dataset(name: str) -> None:
    from mitobench import datasets
    from mitobench.datasets.folds import note_of

    card = datasets.reader(name).card()
    _show_values(card.model_dump(mode="json", exclude={"name", "expected", "test_fields", "protocols"}))
    for scanner, parts in card.expected.items():
        for part, expected in parts.items():
            known = expected.model_dump(exclude_none=True, exclude={"labelled"})
            counts = ", ".join(f"{count} {what}" for what, count in known.items())
            _line(f"complete {scanner} {part}", counts + ("" if expected.labelled else ", unlabelled"))
    for protocol in card.protocols:
        _line(f"protocol {protocol}", note_of(name, protocol))


def _show_plugin(claim: InstalledPlugin, cls: type[Plugin], settings: Settings | None) -> None:
    if cls.argument is not None:
        _line("argument", f"{claim.name}:{cls.argument.upper()}, for example {claim.name}:{cls.example}")
    _line("version", cls.version)
    hidden = {"name", "argument"}
    _show_values({key: value for key, value in claim.card(cls.name).items() if key not in hidden})
    _line("learns", cls.learns())
    for flag in FLAGS:
        if hasattr(cls, flag):
            _line(flag, getattr(cls, flag))
    configured = settings.options(claim.role, cls) if settings else None
    if cls.argument is None or cls.name != claim.name:  # not a whole family
        _show_values(_facts(cls, configured or cls.Options()))
    chosen = configured.model_dump(mode="json") if configured else {}
    options = cls.Options.model_fields
    echo(f"  options (set with --set {claim.role}.OPTION=VALUE):" if options else "  no options")
    for option, field in options.items():
        _show_option(option, field, chosen)


def _facts(cls: type[Plugin], options: Options) -> dict[str, Any]:
    """What a plugin says about itself with these options, and the file of weights that it would start from."""
    from mitobench.api import Plugin

    facts: dict[str, Any] = {}
    if cls.learns() and any("pretrained" in vars(base) for base in cls.__mro__ if base is not Plugin):
        facts["starts from"] = _fact(lambda: getattr(cls.pretrained(options), "name", "random weights"))
    described = _fact(lambda: dict(cls.describe(options)))
    facts |= described if isinstance(described, dict) else {"description": described}
    return {name: f"{value:,}" if type(value) is int else value for name, value in facts.items()}


def _fact(find: Callable[[], Any]) -> Any:
    """A fact, or why it is not known: whatever a plugin raises, everything else is still shown."""
    try:
        return find()
    except Exception as reason:
        return f"(not known: {type(reason).__name__}: {reason})"


def _show_option(option: str, field: FieldInfo, chosen: Mapping[str, Any]) -> None:
    from mitobench.pipeline.option_texts import default_of, spelled_value, type_of

    inside = f"; in this profile {spelled_value(chosen[option])}" if option in chosen else ""
    echo(f"    {option}: {type_of(field)}; {default_of(field)}{inside}")
    if field.description:
        echo(f"        {field.description}", lines=True)
