"""Refers to a plugin by name, version, code digest and options; the reference can be pickled and is part of keys."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mitobench import api, discovery, weights_search
from mitobench.api import File, Options, Plugin
from mitobench.content import files_of, with_files
from mitobench.errors import MitobenchError, PluginError, as_text
from mitobench.pipeline import canonical

PRETRAINED = "pretrained"
PUBLISHED = ("auto", "package", "timm")  # values of it that never name a network trained here


@dataclass(frozen=True)
class PluginRef:
    """Everything that decides what a plugin computes. Can be pickled.

    Attributes:
        role: `estimator`, `detector`, `verifier` or `fuser`.
        name: the plugin's name.
        version: the plugin's version, with its package and the package's version.
        package: the distribution that provides it.
        source: digest of its code.
        options: its options as JSON values.
        variant: names of the options that tables show beside the plugin's name; not part of the key.
        weights: the file of pretrained weights that a fit starts from; None: random weights.
        missing_weights: names of pretrained weights that the plugin looked for and did not find; not part of the key.
        learned_from: the data sets that weights of a record were trained on, with protocol; not part of the key.
        files: the files among the options, by their place in the options.
        trained_on: the data sets that its published weights have seen, as its card says; not part of the key.
    """

    role: str
    name: str
    version: str
    package: str
    source: str
    options: Mapping[str, Any]
    variant: tuple[str, ...] = ()
    weights: Path | None = None
    missing_weights: tuple[str, ...] = ()
    learned_from: tuple[str, ...] = ()
    files: Mapping[str, File] = field(default_factory=dict)
    trained_on: tuple[str, ...] = ()

    @classmethod
    def of(cls, role: str, plugin: type[Plugin], options: Options, source: str) -> PluginRef:
        """Returns the reference to a plugin class with these options; `source` is the digest of its code.

        Raises PluginError for a card that cannot be read, and as `hook` does.
        """
        installed = discovery.find(role, plugin.name)
        try:
            card = installed.card(plugin.name)
        except MitobenchError as reason:
            raise discovery.bad_card(installed, plugin.name, reason) from reason
        variant, trained_on = tuple(card.get("variant", ())), tuple(card.get("trained_on", ()))
        version = f"{plugin.version} ({installed.package} {installed.version})"
        with weights_search.searching(role) as search:
            weights = _pretrained(role, plugin, options)
        published = weights is None or getattr(options, PRETRAINED, None) in PUBLISHED
        if published and plugin.learns() and _takes_over(role, plugin, options):
            raise MitobenchError(f"{role} {plugin.name}: {weights_search.NOTHING_TO_TAKE_OVER}")
        return cls(
            role,
            plugin.name,
            version,
            installed.package,
            source,
            options.model_dump(mode="json"),
            variant,
            weights,
            tuple(dict.fromkeys(search.missing)) if weights is None else (),
            tuple(search.learned_from),
            files_of(options),
            trained_on,
        )

    def for_fit(self) -> PluginRef:
        """Returns the reference for a fit, in which the options read only at prediction time have their defaults.

        Changing such an option therefore reuses the existing fit.
        """
        return self._with_defaults(self.cls().inference_options)

    def for_encoder(self) -> PluginRef:
        """Returns the reference for the encoder of an EmbeddingVerifier, in which other options have their defaults."""
        return self._with_defaults(self.options.keys() - set(self.cls().encoder_options))

    def for_embeddings(self) -> PluginRef:
        """Returns the reference for embeddings, in which the options that decide no embedding have their defaults."""
        cls = self.cls()
        return self._with_defaults(self.options.keys() - {*cls.encoder_options, *cls.embedding_options})

    def _with_defaults(self, names: Collection[str]) -> PluginRef:
        cls = self.cls()
        defaults = cls.Options().model_dump(mode="json")
        options = {**self.options, **{name: defaults[name] for name in names}}
        return replace(self, options=options, files=files_of(cls.Options.model_validate(options)))

    def spec(self) -> dict[str, Any]:
        """Returns what goes into stage keys and records."""
        return {
            "role": self.role,
            "name": self.name,
            "version": self.version,
            "source": self.source,
            "options": self.key_options,
        }

    @property
    def key_options(self) -> dict[str, Any]:
        """The options as they go into keys: paths of files are replaced by the SHA-256 of the files' content.

        `pretrained` becomes `NAME, sha256 DIGEST`, or `none` if the fit starts from random weights.
        """
        options = with_files(self.options, {place: f"sha256 {file.sha256}" for place, file in self.files.items()})
        if PRETRAINED not in options or not has_pretrained(self.cls()):
            return options
        weights = self.weights
        content = f"{as_text(weights.name)}, sha256 {_digest(weights)}" if weights else "none"
        return {**options, PRETRAINED: content}

    @property
    def seen(self) -> tuple[str, ...]:
        """The data sets that its published weights have seen; none if its fit starts from random weights."""
        return () if self.key_options.get(PRETRAINED) == "none" else self.trained_on

    def check_files(self) -> None:
        """Raises PluginError if a file among the options changed since the plan was made."""
        for file in self.files.values():
            file.check()

    def cls(self) -> Any:
        """Returns the plugin's class, a subclass of its role's interface."""
        return discovery.load(self.role, self.name)

    def typed_options(self) -> Any:
        """Returns its options, as an instance of the plugin's `Options`."""
        return self.cls().Options.model_validate(with_files(self.options, self.files))

    def requires(self) -> dict[str, tuple[str, api.Requirement]]:
        """Returns the (role, requirement) of the plugins whose fits this one starts from, by place; as `required`."""
        return required(self.role, self.cls(), self.typed_options())

    def trusts(self) -> Sequence[api.Need]:
        """Returns what the plugin does that needs the user's permission; as `needs`."""
        return needs(self.role, self.cls(), self.typed_options())

    @property
    def takes_over(self) -> bool:
        """Whether a fit trains nothing, and only copies a trained network. Raises as `hook` does."""
        return _takes_over(self.role, self.cls(), self.typed_options())

    @property
    def embeds(self) -> bool:
        """Whether the plugin is an EmbeddingVerifier."""
        return issubclass(self.cls(), api.EmbeddingVerifier)

    def describe_encoder(self) -> dict[str, Any]:
        """Returns what describes an EmbeddingVerifier's encoder, as JSON values.

        Raises as `hook` does, also for values that are not JSON.
        """
        with hook(self.role, self.name, "describe_encoder"):
            described: dict[str, Any] = self.cls().describe_encoder(self.typed_options())
            canonical.dumps(described)
        return described

    def create(self, device: str, folder: Path | None = None) -> Any:
        """Returns an instance; with a folder, the plugin as it was fitted and saved there.

        Raises PluginError if a file among its options, or a program, changed since the plan was made.
        """
        self.check_files()
        options = self.typed_options()
        now = options.model_dump(mode="json")
        changed = next((name for name in now if now[name] != self.options.get(name)), None)
        if changed is not None:
            raise PluginError(
                f"{self.role} {self.name}: its {changed} was changed during the run, or is another one on this "
                "machine. Run the same command again, with the same file on every machine."
            )
        plugin = self.cls()(options, device)
        if folder is not None:
            plugin.load(folder)
        return plugin


def _digest(path: Path) -> str:
    """Returns a file's SHA-256. It is computed once a process for each state of a file: encoders have gigabytes."""
    state = path.stat()
    return _digest_of(path, (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))


@functools.lru_cache(maxsize=64)
def _digest_of(path: Path, state: tuple[int, ...]) -> str:
    return canonical.file_digest(path)


@contextmanager
def hook(role: str, name: str, method: str) -> Iterator[None]:
    """Within it, a method of a plugin's class is called: what the method raises becomes a PluginError.

    A MitobenchError is left as it is: its message is the plugin's answer to the user.
    """
    try:
        yield
    except MitobenchError:
        raise
    except Exception as reason:
        raise PluginError(f"{role} {name!r}: {method}() raised {type(reason).__name__}: {reason}.") from reason


def required(role: str, plugin: type[Plugin], options: Options) -> dict[str, tuple[str, api.Requirement]]:
    """Returns (role, requirement) of the plugins that must be fitted before one with these options, by place.

    A place is `ROLE`, or `ROLE-1`, `ROLE-2`, ... for a role with a sequence of requirements. Raises as `hook` does.
    """
    places: dict[str, tuple[str, api.Requirement]] = {}
    with hook(role, plugin.name, "requires"):
        for of_role, wanted in plugin.requires(options).items():
            if isinstance(wanted, api.Requirement):
                places[of_role] = of_role, wanted
            else:
                places |= {f"{of_role}-{number}": (of_role, each) for number, each in enumerate(wanted, 1)}
    return places


def needs(role: str, plugin: type[Plugin], options: Options, folder: Path | None = None) -> Sequence[api.Need]:
    """Returns what a plugin does with these options that needs the user's permission.

    `folder`: where it was saved, if it is loaded and saved anything. Raises as `hook` does.
    """
    with hook(role, plugin.name, "trusts"):
        return list(plugin.trusts_saved(options, folder) if folder and folder.is_dir() else plugin.trusts(options))


def _takes_over(role: str, plugin: type[Plugin], options: Options) -> bool:
    with hook(role, plugin.name, "takes_over"):
        return bool(plugin.takes_over(options))


def has_pretrained(plugin: type[Plugin]) -> bool:
    """Returns whether the class or one of its bases other than Plugin defines `pretrained`."""
    return next(base for base in plugin.__mro__ if "pretrained" in vars(base)) is not Plugin


def _pretrained(role: str, plugin: type[Plugin], options: Options) -> Path | None:
    """Returns the file of pretrained weights that the plugin chooses; None if it has none or does not learn."""
    if not plugin.learns():
        return None
    with hook(role, plugin.name, "pretrained"):
        path = plugin.pretrained(options)
    if path is not None:
        _check_readable(path)
    return path


def _check_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as reason:
        raise PluginError(f"{path}: cannot be read: {reason.strerror}. Fix this, or choose another file.") from reason
