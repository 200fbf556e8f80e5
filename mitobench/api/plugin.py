"""The base class of all plugins, and that of their options."""

from __future__ import annotations

import warnings
from abc import ABC
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, model_validator

from mitobench.errors import PluginError
from mitobench.foreign.limits import MAX_OPTION


class Options(BaseModel):
    """Base class of a plugin's options: typed, documented, each with a default. Unknown names are refused.

    Attributes:
        renamed: old names of options, each with its current name. An old name is still accepted, so that the profiles,
            records and models of earlier versions keep working; giving both names is an error.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    renamed: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        old_names: dict[str, list[str]] = {}
        for old, current in cls.renamed.items():
            if current not in cls.model_fields or old in cls.model_fields:
                raise TypeError(
                    f"{cls.__name__}.renamed = {{{old!r}: {current!r}}}: the key must be a name that is no longer an "
                    "option, the value the option's current name."
                )
            old_names.setdefault(current, []).append(old)
        for current, olds in old_names.items():
            cls.model_fields[current].validation_alias = AliasChoices(current, *olds)
        if old_names:
            cls.model_rebuild(force=True)

    @model_validator(mode="after")
    def _bounded(self) -> Options:
        """Refuses integers that no machine could handle: options also come from untrusted profiles and records."""
        for name, value in self:
            numbers = value if isinstance(value, tuple) else (value,)
            if any(isinstance(one, int) and abs(one) > MAX_OPTION for one in numbers):
                raise ValueError(f"{name} is beyond {MAX_OPTION:,}, the limit for whole numbers")
        return self


@dataclass(frozen=True)
class Requirement:
    """Another plugin that must be fitted before this one.

    A single requirement gives a plugin to take weights from: options that only prediction reads have their defaults. A
    sequence of requirements gives plugins that are ready to predict, with all options of the run; plugins that learn
    nothing are then allowed too.

    Attributes:
        name: the plugin's name. Its role is the key in the mapping that `Plugin.requires` returns.
        options: option values that the other plugin must have; its other options are those of the run.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


Need = tuple[Literal["external", "download"], str]


HUBS = ("hf-hub:", "hf_hub:", "http://", "https://")


def _remote(name: str, value: Any) -> Iterator[str]:
    """Yields `NAME=TEXT` for each text in an option's value that names a hub or an address."""
    values = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else (value,)
    for text in values:
        if text is not value and isinstance(text, Mapping | list | tuple):
            yield from _remote(name, text)
        elif isinstance(text, str):
            remote = text.strip().lower().startswith(HUBS) or (name == "pretrained" and text.strip() == "timm")
            yield from (f"{name}={text}",) if remote else ()


class Plugin(ABC):
    """Base class of all four roles. A plugin without a `fit` learns nothing and needs no `save` and `load`.

    Attributes:
        name: the name of its entry point.
        version: version of the method. Raise it when the plugin's results change.
        api_version: the `API_VERSION` that the plugin is written for. mitobench rejects a plugin written for another.
        Options: class of its options.
        argument: makes the class a family, whose members are written `NAME:ARGUMENT`: the name of the option that the
            text after the colon sets. None: the plugin takes no argument.
        example: an argument, for messages about a missing one.
        schedule: names of the options that count optimizer steps; `--scale` multiplies all of them.
        inference_options: names of the options that only prediction reads. Changing one reuses the existing fit.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    api_version: ClassVar[int] = 1
    Options: ClassVar[type[Options]] = Options
    argument: ClassVar[str | None] = None
    example: ClassVar[str] = "..."
    schedule: ClassVar[Collection[str]] = ()
    inference_options: ClassVar[Collection[str]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "at_prediction" in vars(cls):  # the attribute's name before `inference_options`
            warnings.warn(
                f"{cls.__name__}.at_prediction is now called inference_options.", DeprecationWarning, stacklevel=2
            )
            if "inference_options" not in vars(cls):
                cls.inference_options = vars(cls)["at_prediction"]

    def __init__(self, options: BaseModel | None = None, device: str = "cpu") -> None:
        self.options: Any = options if options is not None else self.Options()
        self.device = device

    def save(self, folder: Path) -> None:  # noqa: B027 - optional
        """Writes what `fit` learned into an empty folder, as .safetensors and .json files.

        A packed model may hold no others, and no links; an estimator is not packed and may write any. At the top of the
        folder, the names `manifest.json`, `facts.json` and `fit.log` are mitobench's own.
        """

    def load(self, folder: Path) -> None:  # noqa: B027 - optional
        """Reads what `save` wrote. Predictions must then equal those of the plugin that was saved."""

    @classmethod
    def requires(cls, options: Any) -> Mapping[str, Requirement | Sequence[Requirement]]:
        """Names the plugins that must be fitted before this one, by role; `fit` gets them in `context.upstream`."""
        return {}

    @classmethod
    def trusts(cls, options: Any) -> Sequence[Need]:
        """Returns the programs and downloads of these options, which need the user's permission.

        By default, these are the options that name a hub or an address. `mitobench run` allows the commands that the
        user typed; everything else needs `--allow-external` or `--allow-download`.

        Returns:
            (kind, text) for each. Kind `external`: it runs a program, and the text is the whole command. Kind
                `download`: it contacts a hub, and the text says which one and for what.
        """
        return [("download", text) for name, value in options for text in _remote(name, value)]

    @classmethod
    def trusts_saved(cls, options: Any, folder: Path) -> Sequence[Need]:
        """Returns what `trusts` does, for a plugin that `save` wrote to a folder. Called before `load`.

        A plugin whose folder says more than its options about programs and downloads, such as a union, overrides it.
        The folder may come from anybody.
        """
        return cls.trusts(options)

    @classmethod
    def pretrained(cls, options: Any) -> Path | None:
        """Returns the file of pretrained weights, which `fit` gets in `context.pretrained`; None means random weights.

        The file's SHA-256 is part of the fit's cache key. `mitobench.training.find_weights` looks for such a file.
        """
        return None

    def exportable(self) -> Any:
        """Returns the fitted network for `mitobench export`, as a `mitobench.training.Exportable`.

        Raises:
            PluginError: if the plugin has no network that can be exported. The message says why.
        """
        if not self.learns():
            raise PluginError(f"{self.name} learns nothing, so it has no network")
        raise PluginError(f"{self.name} does not say how its network is exported. Its author can define `exportable`.")

    def use_exported(self, run: Callable[[Any], Any]) -> None:
        """Predicts with another implementation of the network that `exportable` returns.

        Args:
            run: takes the input of that network, and returns its output.

        Raises:
            PluginError: if the plugin cannot use one.
        """
        raise PluginError(f"{self.name} cannot use an exported network")

    @classmethod
    def resolve(cls, argument: str) -> str:
        """Returns the full spelling of an argument: two spellings of one member must give the same.

        Args:
            argument: the text after the colon of `NAME:ARGUMENT`, as the user wrote it.

        Raises:
            MitobenchError: if the family does not know the argument. The message lists similar ones.
        """
        return argument

    @classmethod
    def describe(cls, options: Any) -> Mapping[str, Any]:
        """Returns facts for `mitobench info`, by name: number of parameters, um/px, licence of the weights, ...

        It may build the network, and must not open a connection. Only called for plugins and members of families, never
        for a family without its argument.
        """
        return {}

    @classmethod
    def is_path(cls, argument: str) -> bool:
        """Returns whether an argument of the family is a path. Paths named by records or models are never opened."""
        return False

    @classmethod
    def takes_over(cls, options: Any) -> bool:
        """Returns whether a fit with these options trains nothing: it only copies the network that `pretrained` names.

        Such a fit gets no boxes, and a verifier's no candidates on training frames.
        """
        return False

    @classmethod
    def learns(cls) -> bool:
        """Returns whether the class defines a `fit`: those of the roles are empty."""
        defining = next(base for base in cls.__mro__ if "fit" in vars(base))
        return defining.__module__.rpartition(".")[0] != __package__
