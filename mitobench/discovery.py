"""Finds installed plugins by their entry points. A plugin is imported when it is first used.

A package declares `[project.entry-points."mitobench.detectors"] name = "module:Class"`. Listing plugins only reads
package metadata, so a broken package does no harm until its plugin is used.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from mitobench import cards, registry
from mitobench.errors import MitobenchError, PluginError, nearest, raised_at
from mitobench.installing import NETWORKS, install

if TYPE_CHECKING:
    from mitobench.api import Plugin

ROLES = ("estimator", "detector", "verifier", "fuser")
CORE = "mitobench"  # the package that brings the built-in plugins
GROUPS = {role: f"mitobench.{role}s" for role in (*ROLES, "dataset")}


@dataclass(frozen=True)
class InstalledPlugin:
    """An entry point: a plugin that an installed package declares."""

    role: str
    name: str
    target: str
    package: str
    version: str

    @property
    def module(self) -> str:
        """The outermost module of its code."""
        return self.target.partition(":")[0].partition(".")[0]

    def load(self) -> Any:
        """Imports the class. Raises PluginError, with the package, the reason and its place, if that fails."""
        entry = metadata.EntryPoint(self.name, self.target, GROUPS[self.role])
        try:
            loaded = entry.load()
        except (Exception, SystemExit) as reason:
            place = raised_at(reason, self.module)
            message = reason.msg if isinstance(reason, SyntaxError) and place else str(reason)
            where = f" ({place[0]}:{place[1]})" if place else ""
            raise PluginError(
                f"{self.role} {self.name!r} of package {self.package} {self.version} is broken: importing "
                f"{self.target} raised {type(reason).__name__}: {message}{where}. Fix or uninstall {self.package}."
            ) from reason
        self._check_api_version(loaded)
        return loaded

    def _check_api_version(self, loaded: Any) -> None:
        """Raises PluginError for a plugin that is written for another version of `mitobench.api`.

        A class without `api_version` is written for version 1.
        """
        from mitobench.api import API_VERSION

        wanted = getattr(loaded, "api_version", 1)
        if type(wanted) is int and wanted == API_VERSION:
            return
        core = f"mitobench {metadata.version(CORE)}"
        problem = (
            f"{self.role} {self.name!r} of package {self.package} {self.version} is written for version {wanted!r}"
        )
        if type(wanted) is not int or wanted < 1:
            raise PluginError(
                f"{problem} of mitobench.api, which is not a version. Set `api_version` of {self.target} to the one it "
                f"is written for: an integer, {API_VERSION} in {core}."
            )
        newer, older = (CORE, self.package) if wanted > API_VERSION else (self.package, CORE)
        raise PluginError(
            f"{problem} of mitobench.api; {core} has version {API_VERSION}. "
            f"Install a newer {newer}: {install(newer, upgrade=True)}, or an older {older}."
        )

    def card(self, spec: str | None = None) -> dict[str, Any]:
        """The card of the plugin, or of the member of a family that `spec` names; empty if there is none.

        `variant` lists the options that tables show next to the name, `renamed` the old names of options with their
        current ones, `trained_on` the data sets that its published weights have seen. Raises MitobenchError for a file
        that is not a card.
        """
        return cards.read(self.role, self.name, split(spec or self.name)[1], self._card_folders)

    def profile(self, profile: str, spec: str | None = None) -> list[tuple[str, dict[str, Any]]]:
        """Returns what its card says about a profile, as (where, options); later ones win. Raises as `card` does."""
        return cards.profile(self.role, self.name, split(spec or self.name)[1], self._card_folders, profile)

    @property
    def _card_folders(self) -> list[Path]:
        return [*self.folders, registry.ROOT / ("datasets" if self.role == "dataset" else "methods")]

    @property
    def folders(self) -> list[Path]:
        """The folders of its package, which may contain its card and its splits."""
        return folders_of(self.target.partition(":")[0])


def profile(role: str, spec: str, profile: str) -> list[tuple[str, dict[str, Any]]]:
    """Returns the options that a plugin's card gives it in a profile, as (where, options); imports no plugin.

    Empty for a plugin that is not installed. Raises PluginError for a card that cannot be read.
    """
    claims = found()[role].get(split(spec)[0], [])
    if len(claims) != 1:
        return []
    try:
        return claims[0].profile(profile, spec)
    except MitobenchError as reason:
        raise bad_card(claims[0], spec, reason) from reason


def bad_card(claim: InstalledPlugin, spec: str, reason: MitobenchError) -> PluginError:
    """Returns the error for a plugin whose card cannot be read."""
    return PluginError(f"The card of {claim.role} {spec!r} in package {claim.package} is not valid: {reason}")


def renamed_options(role: str, name: str) -> dict[str, str]:
    """Returns the current name of each renamed option, by its old name, as listed on the card; imports no plugin.

    Also works for a plugin that is not installed but has a card in the registry. Returns an empty dict if no card can
    be read: records are untrusted files, and one with an unknown plugin is still shown.
    """
    name, _ = split(name)
    if role not in ROLES or not registry.is_name(name):
        return {}
    return dict(_renamed_options(role, name, tuple(found()[role].get(name, []))))


@functools.cache  # called for every record of a table
def _renamed_options(role: str, name: str, claims: Sequence[InstalledPlugin]) -> Mapping[str, str]:
    folders = [folder for claim in claims for folder in claim.folders]
    try:
        card = cards.read(role, name, None, (*folders, registry.ROOT / "methods"), users=False)
    except MitobenchError:
        return {}
    renamed = card.get("renamed", {})
    if not isinstance(renamed, dict):
        return {}
    return {old: current for old, current in renamed.items() if isinstance(current, str)}


def folders_of(module: str) -> list[Path]:
    """Returns the folders of a module's package, the outermost first, without importing it."""
    top, *inner = module.split(".")
    folder = _folder_of(top)
    folders = [folder.joinpath(*inner[:depth]) for depth in range(len(inner) + 1)] if folder else []
    return [folder for folder in folders if folder.is_dir()]


def _folder_of(module: str) -> Path | None:
    """Returns the folder of a package without importing it; None for a module that is a single file."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def allowed(package: str) -> bool:
    """Returns whether a package's plugins are used: all are, unless `MITOBENCH_PACKAGES` lists the packages to use."""
    only = os.environ.get("MITOBENCH_PACKAGES")
    return only is None or package in {name.strip() for name in only.split(",")}


@functools.cache
def found() -> dict[str, dict[str, list[InstalledPlugin]]]:
    """Returns all plugins by role and name. Two plugins of the same name are both listed."""
    plugins: dict[str, dict[str, list[InstalledPlugin]]] = {role: defaultdict(list) for role in GROUPS}
    installed = metadata.entry_points()
    packages: dict[int, tuple[str, str]] = {}  # each access to a name or a version parses the metadata again
    for role, group in GROUPS.items():
        for entry in installed.select(group=group):
            dist = entry.dist
            if id(dist) not in packages:
                packages[id(dist)] = (dist.name, dist.version) if dist else ("?", "?")
            package, version = packages[id(dist)]
            item = InstalledPlugin(role, entry.name, entry.value, package, version)
            if allowed(package) and item not in plugins[role][entry.name]:
                plugins[role][entry.name].append(item)
    return plugins


def names(role: str) -> list[str]:
    """Returns the names of all plugins of a role, sorted."""
    return sorted(found()[role])


def split(spec: str) -> tuple[str, str | None]:
    """Returns the family and the argument of `NAME:ARGUMENT`; the argument of a plain `NAME` is None."""
    name, colon, argument = spec.partition(":")
    return name, argument if colon else None


def quoted(spec: str) -> str:
    """Returns a spec as the options `--detector`, `--verifier`, ... read it back: in quotes if it has a comma."""
    return '"' + spec.replace('"', '""') + '"' if "," in spec or '"' in spec else spec


def separate(text: str, separator: str) -> list[str]:
    """Splits specs at a separator outside quotes, and removes the quotes around a whole spec.

    Quotes inside a spec stay: `external:find 'a,b' {image},blobs` are two specs, separated by the second comma. Inside
    double quotes around a whole spec, two double quotes stand for one. A single apostrophe is not a quote.
    """
    quotes = "'\"" if text.count("'") % 2 == 0 else '"'
    parts, start, quote = [], 0, ""
    for place, character in enumerate(text):
        if character == quote:
            quote = ""
        elif not quote and character in quotes:
            quote = character
        elif not quote and character == separator:
            parts.append(text[start:place])
            start = place + 1
    return [_unquoted(part.strip()) for part in (*parts, text[start:])]


def _unquoted(spec: str) -> str:
    """Returns a spec without the quotes around the whole of it; other quotes are kept."""
    if double := re.fullmatch(r'"((?:[^"]|"")*)"', spec):
        return double[1].replace('""', '"').strip()
    single = re.fullmatch(r"'([^']*)'", spec)
    return single[1].strip() if single else spec


def is_installed(role: str, spec: str) -> bool:
    """Returns whether a package declares the plugin, or the family of `NAME:ARGUMENT`."""
    return split(spec)[0] in names(role)


def _more(role: str) -> str:
    """Says how to install this project's packages that have plugins of a role and are missing; empty without one."""
    packages = {claim.package for claims in found()[role].values() for claim in claims}
    missing = [package for package in NETWORKS.get(role, ()) if package not in packages]
    return f" More come with {install(*missing)}." if missing else ""


def find(role: str, spec: str) -> InstalledPlugin:
    """Returns the one plugin of that role and name, not imported yet; the family of a spec `NAME:ARGUMENT`.

    Raises MitobenchError if there is none (with similar names) or two packages claim the name.
    """
    name, _ = split(spec)
    claims = found()[role].get(name, [])
    if not claims:
        raise MitobenchError(f"Unknown {role} {name!r}. {nearest(name, names(role))}{_more(role)}")
    if len(claims) > 1:
        both = " and ".join(sorted(f"{c.package} {c.version} ({c.target})" for c in claims))
        raise MitobenchError(f"The {role} {name!r} is declared by {both}. Uninstall one of them.")
    return claims[0]


def load(role: str, spec: str) -> type[Plugin]:
    """Returns the class of a plugin, imported and checked; of `NAME:ARGUMENT` the family's class with its argument set.

    Raises MitobenchError for an argument that is missing, not taken, or unknown to the family, and PluginError if the
    class cannot be imported or is not valid.
    """
    name, argument = split(spec)
    cls = family(role, name)
    if cls.argument is None:
        if argument is not None:
            raise MitobenchError(f"{role} {spec}: {name} takes no argument. Write {name}.")
        return cls
    if not argument:
        raise MitobenchError(
            f"{role} {spec}: {name} needs an argument, its {cls.argument}. Write {name}:{cls.argument.upper()}, for "
            f"example {name}:{cls.example}. `mitobench info {name}` describes it."
        )
    return _member(cls, cls.resolve(argument))


def example(role: str, spec: str) -> str:
    """Returns the spec; of a family without an argument the member that it names as an example. Imports families."""
    if split(spec)[1] is not None:
        return spec
    try:
        cls = family(role, spec)
    except PluginError:
        return spec
    return spec if cls.argument is None else f"{spec}:{cls.example}"


def spelled(role: str, spec: str) -> str:
    """Returns the full spelling of a spec, which records and keys have. Raises as `load` does."""
    return load(role, spec).name if split(spec)[1] is not None else spec


def same(role: str, one: str, other: str) -> bool:
    """Returns whether two specs name the same plugin; a spec that its family does not know names no other."""
    if one == other or split(one)[0] != split(other)[0]:
        return one == other
    try:
        return spelled(role, one) == spelled(role, other)
    except MitobenchError:
        return False


@functools.cache
def _member(of: type[Plugin], argument: str) -> type[Plugin]:
    """The class of one member of a family: its name is the full spec, and the option holds the argument."""
    from pydantic import Field, create_model

    assert of.argument is not None
    described = of.Options.model_fields[of.argument].description
    option: dict[str, Any] = {of.argument: (Literal[argument], Field(argument, description=described))}
    options = create_model(
        of.Options.__name__,
        __base__=of.Options,
        __module__=of.Options.__module__,
        __doc__=of.Options.__doc__,
        **option,
    )
    attributes = {"name": f"{of.name}:{argument}", "Options": options, "__module__": of.__module__}
    return type(of.__name__, (of,), {**attributes, "__doc__": of.__doc__})


def family(role: str, name: str) -> type[Plugin]:
    """Imports the class of a plugin, or of a family without its argument, and checks it.

    Raises MitobenchError for an unknown plugin, and PluginError if it cannot be imported or is not a valid class of
    that role.
    """
    item = find(role, name)
    return _checked(item, item.load())


def _has_path(annotation: Any, above: tuple[Any, ...] = ()) -> bool:
    """Returns whether a type is one of paths, or contains one: in a union, a container, or a model's fields."""
    from pydantic import BaseModel

    kind, inner = get_origin(annotation) or annotation, list(get_args(annotation))
    if isinstance(kind, type) and issubclass(kind, os.PathLike):
        return True
    if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in above:
        inner += [field.annotation for field in kind.model_fields.values()]
    elif dataclasses.is_dataclass(kind) and kind not in above:
        inner += get_type_hints(kind).values()
    return any(_has_path(each, (*above, kind)) for each in inner)


@functools.cache  # a plan asks for the same classes thousands of times
def _checked(item: InstalledPlugin, cls: Any) -> type[Plugin]:
    """Returns what a plugin's entry point names if it is a valid class of the role. Raises PluginError."""
    from mitobench import api

    role, name = item.role, item.name
    bases = {"estimator": api.BoxEstimator, "detector": api.Detector, "verifier": api.Verifier, "fuser": api.Fuser}
    if not (isinstance(cls, type) and issubclass(cls, bases[role])):
        raise PluginError(
            f"{item.target} of package {item.package} is not a mitobench.api.{bases[role].__name__}. "
            f"Derive the {role} {name!r} from it."
        )
    if getattr(cls, "name", None) != name:
        raise PluginError(
            f"{item.target} of package {item.package} has the name {getattr(cls, 'name', None)!r}, "
            f"but its entry point is {name!r}. Make them equal."
        )
    if not isinstance(getattr(cls, "version", None), str):
        raise PluginError(f"{item.target} of package {item.package} has no `version`. Give it one, for example '1'.")
    if not issubclass(cls.Options, api.Options):
        raise PluginError(f"{item.target}.Options of package {item.package} must derive from mitobench.api.Options.")
    required = [name for name, option in cls.Options.model_fields.items() if option.is_required()]
    if required:
        raise PluginError(
            f"{item.target}.Options of package {item.package} has no default for {', '.join(required)}. Give it one."
        )
    for name, option in cls.Options.model_fields.items():
        if _has_path(option.annotation) or isinstance(option.default, os.PathLike):
            raise PluginError(
                f"{item.target}.Options of package {item.package}: the option {name} is a path, so changes of the file "
                "would not be noticed. Give it the type mitobench.api.File, whose content is part of the cache key."
            )
    lists = ["schedule", "inference_options"]
    if issubclass(cls, api.EmbeddingVerifier):
        lists += ["encoder_options", "embedding_options"]
    unknown = sorted({name for each in lists for name in getattr(cls, each)} - set(cls.Options.model_fields))
    if unknown:
        named = ", ".join(f"`{each}`" for each in lists[:-1])
        raise PluginError(
            f"{item.target} of package {item.package} names unknown options in {named} or `{lists[-1]}`: "
            f"{', '.join(unknown)}. Its options are {', '.join(cls.Options.model_fields) or 'none'}."
        )
    if cls.argument is not None and cls.argument not in cls.Options.model_fields:
        raise PluginError(
            f"{item.target} of package {item.package} names {cls.argument!r} as its argument, which is not one of its "
            "options."
        )
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        raise PluginError(f"{item.target} of package {item.package} does not implement {', '.join(missing)}().")
    checked: type[Plugin] = cls
    return checked
