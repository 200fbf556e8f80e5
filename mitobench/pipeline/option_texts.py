"""Options in words: type, bounds, default and values, for `mitobench info` and for messages about wrong values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic.fields import FieldInfo


def type_of(option: FieldInfo) -> str:
    """Returns the type of an option with its bounds, for example `float >= 0.1, <= 1`."""
    annotation: Any = option.annotation
    name = annotation.__name__ if _is_plain(option) else str(annotation).replace("typing.", "")
    return f"{name} {', '.join(_bounds(option))}".rstrip()


def default_of(option: FieldInfo) -> str:
    """Returns `default VALUE`, as `--set` accepts the value, or `required`."""
    if option.is_required():
        return "required"
    return f"default {spelled_value(option.get_default(call_default_factory=True))}"


def allowed(option: FieldInfo) -> str:
    """Says what an option may be; of a choice or a list only the default, as pydantic names the choices."""
    if _is_plain(option):
        return f"Allowed: {type_of(option)}; {default_of(option)}."
    if option.is_required():
        return "It is required."
    return f"Its default is {spelled_value(option.get_default(call_default_factory=True))}."


def _is_plain(option: FieldInfo) -> bool:
    """Returns whether an option is of a simple type, such as float."""
    return isinstance(option.annotation, type) and not get_args(option.annotation)


def _bounds(option: FieldInfo) -> Iterator[str]:
    for bound in option.metadata:
        for attribute, sign in {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}.items():
            if hasattr(bound, attribute):
                yield f"{sign} {getattr(bound, attribute)}"


def spelled_value(value: Any) -> str:
    """Formats a value as `--set` accepts it."""
    return json.dumps(value, default=str)
