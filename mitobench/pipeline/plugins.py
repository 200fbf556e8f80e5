"""A plugin as the pipeline holds it: a reference that travels between processes and goes into digests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mitobench import api, discovery
from mitobench.api import File, Options, Plugin
from mitobench.content import files_of, with_files
from mitobench.errors import MitobenchError, PluginError, as_text
from mitobench.pipeline import canonical

PRETRAINED = "pretrained"


@dataclass(frozen=True)
class PluginRef:
    """Name, version, source and options of a plugin: all that decides what it does.

    Attributes:
        variant: the options that a table shows beside it; they decide nothing.
        files: the files among the options, by place.
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
    files: Mapping[str, File] = field(default_factory=dict)

    @classmethod
    def of(cls, role: str, plugin: type[Plugin], options: Options, source: str) -> PluginRef:
        """The reference to a loaded class with options, and the digest of its code."""
        found = discovery.find(role, plugin.name)
        try:
            variant = tuple(found.card().get("variant", ()))
        except MitobenchError as reason:
            raise PluginError(f"The card of {role} {plugin.name!r} of package {found.package}: {reason}") from reason
        version = f"{plugin.version} ({found.package} {found.version})"
        weights = _pretrained(role, plugin, options)
        values = options.model_dump(mode="json")
        return cls(role, plugin.name, version, found.package, source, values, variant, weights, files_of(options))

    def for_fit(self) -> PluginRef:
        """As a fit sees it: options that only prediction reads have their defaults, whatever they are set to."""
        cls = self.cls()
        defaults = cls.Options().model_dump(mode="json")
        options = {**self.options, **{name: defaults[name] for name in cls.inference_options}}
        return replace(self, options=options, files=files_of(cls.Options.model_validate(options)))

    def spec(self) -> dict[str, Any]:
        """As it goes into a digest and a record."""
        return {
            "role": self.role,
            "name": self.name,
            "version": self.version,
            "source": self.source,
            "options": self.key_options,
        }

    @property
    def key_options(self) -> dict[str, Any]:
        """The options; in place of where a file lies its SHA-256, and of weights the name, too, or `none`."""
        options = with_files(self.options, {place: f"sha256 {file.sha256}" for place, file in self.files.items()})
        if PRETRAINED not in options or not _looks_for_weights(self.cls()):
            return options
        weights = self.weights
        found = f"{as_text(weights.name)}, sha256 {canonical.file_digest(weights)}" if weights else "none"
        return {**options, PRETRAINED: found}

    def check_files(self) -> None:
        """Raises PluginError where a file that it is known by has changed since the plan was made."""
        for file in self.files.values():
            file.check()

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
        """An instance; as it was fitted, where there is a folder that it saved to.

        Raises PluginError where a file among its options has changed since the plan was made.
        """
        self.check_files()
        cls = self.cls()
        plugin = cls(cls.Options.model_validate(with_files(self.options, self.files)), device)
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
