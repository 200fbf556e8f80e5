"""A plugin's methods while a run is planned: a message for the user stays, other errors name plugin and method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mitobench import discovery
from mitobench.errors import MitobenchError, PluginError
from mitobench.pipeline.plugin_ref import PluginRef

pytestmark = pytest.mark.usefixtures("toys")

CALLS = {
    "requires": lambda ref: ref.requires(),
    "trusts": lambda ref: ref.trusts(),
    "takes_over": lambda ref: ref.takes_over,
    "describe_encoder": lambda ref: ref.describe_encoder(),
    "pretrained": lambda ref: PluginRef.of("verifier", ref.cls(), ref.typed_options(), "source"),
}


@pytest.fixture
def ref() -> PluginRef:
    cls = discovery.load("verifier", "toy-probe")
    return PluginRef.of("verifier", cls, cls.Options(), "source")


@pytest.mark.parametrize("method", CALLS)
def test_an_error_names_plugin_and_method(method: str, ref: PluginRef, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(options: Any) -> Any:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(ref.cls(), method, fails)
    with pytest.raises(PluginError) as raised:
        CALLS[method](ref)
    assert str(raised.value) == f"verifier 'toy-probe': {method}() raised ZeroDivisionError: on purpose."


@pytest.mark.parametrize("method", CALLS)
def test_a_message_for_the_user_stays_as_it_is(method: str, ref: PluginRef, monkeypatch: pytest.MonkeyPatch) -> None:
    message = MitobenchError(f"{Path('weights.pth')}: is missing. Put it there.")

    def refuses(options: Any) -> Any:
        raise message

    monkeypatch.setattr(ref.cls(), method, refuses)
    with pytest.raises(MitobenchError) as raised:
        CALLS[method](ref)
    assert raised.value is message


def test_a_description_that_is_not_json_is_the_plugins_error(ref: PluginRef, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ref.cls(), "describe_encoder", lambda options: {"side": object()})
    with pytest.raises(PluginError, match=r"verifier 'toy-probe': describe_encoder\(\) raised TypeError"):
        ref.describe_encoder()
