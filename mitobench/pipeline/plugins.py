"""A plugin as the pipeline holds it: a reference that travels between processes and goes into digests."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from mitobench import api, discovery
from mitobench.api import Options, Plugin
from mitobench.errors import MitobenchError, PluginError
from mitobench.pipeline import canonical

PRETRAINED = "pretrained"
METHODS = "mitobench.methods"
TRAINING = Path(api.__file__).parent / "training" / "__init__.py"
_NOT_A_PLUGIN = {"mitobench", "builtins", "abc", "typing"}


@dataclass(frozen=True)
class PluginRef:
    """Name, version, source and options of a plugin: all that decides what it does.

    Attributes:
        variant: the options that a table shows beside it; they decide nothing.
        weights: the file of pretrained weights that a fit starts from; None: random ones.
    """

    role: str
    name: str
    version: str
    package: str
    source: str
    options: Mapping[str, Any]
    variant: tuple[str, ...] = ()
    weights: Path | None = None

    @classmethod
    def of(cls, role: str, plugin: type[Plugin], options: Options) -> PluginRef:
        """The reference to a loaded class with options."""
        found = discovery.find(role, plugin.name)
        try:
            variant = tuple(found.card().get("variant", ()))
        except MitobenchError as reason:
            raise PluginError(f"The card of {role} {plugin.name!r} of package {found.package}: {reason}") from reason
        version = f"{plugin.version} ({found.package} {found.version})"
        weights = _pretrained(role, plugin, options)
        values = options.model_dump(mode="json")
        return cls(role, plugin.name, version, found.package, source_digest(plugin), values, variant, weights)

    def for_fit(self) -> PluginRef:
        """As a fit sees it: options that only prediction reads have their defaults, whatever they are set to."""
        cls = self.cls()
        defaults = cls.Options().model_dump(mode="json")
        return replace(self, options={**self.options, **{name: defaults[name] for name in cls.at_prediction}})

    def spec(self) -> dict[str, Any]:
        """As it goes into a digest and a record."""
        return {
            "role": self.role,
            "name": self.name,
            "version": self.version,
            "source": self.source,
            "options": self.known_by,
        }

    @property
    def known_by(self) -> dict[str, Any]:
        """The options; in place of where weights lie, name and SHA-256 of the file found, or `none`."""
        if PRETRAINED not in self.options or not _looks_for_weights(self.cls()):
            return dict(self.options)
        found = f"{self.weights.name}, sha256 {canonical.file_digest(self.weights)}" if self.weights else "none"
        return {**self.options, PRETRAINED: found}

    def cls(self) -> Any:
        """The class, a subclass of its role's interface."""
        return discovery.load(self.role, self.name)

    def requires(self) -> Mapping[str, api.Requirement]:
        """Plugins whose fitted stage this one starts from, by role."""
        cls = self.cls()
        try:
            required: Mapping[str, api.Requirement] = cls.requires(cls.Options.model_validate(dict(self.options)))
        except Exception as reason:
            raise PluginError(
                f"{self.role} {self.name!r}: requires() raised {type(reason).__name__}: {reason}."
            ) from reason
        return required

    def create(self, device: str, folder: Path | None = None) -> Any:
        """An instance; as it was fitted, where there is a folder that it saved to."""
        cls = self.cls()
        plugin = cls(cls.Options.model_validate(dict(self.options)), device)
        if folder is not None:
            plugin.load(folder)
        return plugin


def _looks_for_weights(plugin: type[Plugin]) -> bool:
    return next(base for base in plugin.__mro__ if "pretrained" in vars(base)) is not Plugin


def _pretrained(role: str, plugin: type[Plugin], options: Options) -> Path | None:
    if not plugin.learns():
        return None
    try:
        path = plugin.pretrained(options)
    except MitobenchError:
        raise
    except Exception as reason:
        raise PluginError(f"{role} {plugin.name!r}: pretrained() raised {type(reason).__name__}: {reason}.") from reason
    if path is not None:
        _check_readable(path)
    return path


def _check_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as reason:
        raise PluginError(f"{path}: cannot be read: {reason.strerror}. Mend that, or name another file.") from reason


@functools.cache
def source_digest(cls: type[Plugin]) -> str:
    """SHA-256 over the packages that a class and the classes it builds on live in.

    Raises PluginError for a class that comes from no file.
    """
    tops = dict.fromkeys(_package(base.__module__) for base in cls.__mro__)
    files = [getattr(importlib.import_module(top), "__file__", None) for top in tops if top not in _NOT_A_PLUGIN]
    if not files or None in files:
        raise PluginError(f"{cls.__module__} has no source file; plugins must come from an importable package.")
    return canonical.digest([code_digest(Path(str(file))) for file in files])


def _package(module: str) -> str:
    """The package that a plugin's module lies in: its distribution's, and of the core `mitobench.methods`."""
    return METHODS if module.startswith(f"{METHODS}.") else module.partition(".")[0]


@functools.cache
def code_digest(file: Path) -> str:
    """SHA-256 over a module, or over all files of its package where the file is an `__init__.py`.

    Python counts by its syntax tree: comments, docstrings and layout do not retrain anything.
    """
    files = sorted(file.parent.rglob("*")) if file.name == "__init__.py" else [file]
    digest = hashlib.sha256()
    for path in files:
        if path.is_file() and "__pycache__" not in path.parts:
            content = _syntax(path) if path.suffix == ".py" else path.read_bytes()
            digest.update(f"{path.relative_to(file.parent).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _syntax(path: Path) -> bytes:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # a template, or for another Python
        return path.read_bytes()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            del body[0]
    return ast.dump(tree).encode()


@functools.cache
def environment(package: str) -> dict[str, str]:
    """What a plugin computes with, beside its own source: versions of its requirements, and the training loop."""
    if package == discovery.CORE:
        return {name: _version(name) for name in ("numpy", "pillow", "scikit-image", "scipy")}
    names = {"torch", "torchvision", "numpy", "scipy", "pillow", "mmengine"}
    names |= {Requirement(line).name for line in metadata.requires(package) or [] if "extra ==" not in line}
    versions = {name: _version(name) for name in sorted(names - {"mitobench"})}
    return {**versions, "mitobench.training": code_digest(TRAINING)}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"
