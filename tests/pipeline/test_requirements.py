"""A plugin is walked with all that it requires; one that cannot be loaded is left to the plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mitobench import discovery
from mitobench.api import Requirement
from mitobench.errors import MitobenchError, PluginError
from mitobench.pipeline.requirements import loadable, with_required
from mitobench.pipeline.settings import Settings

pytestmark = pytest.mark.usefixtures("toys")


def names(*sets: str, detector: str = "toy-child") -> list[tuple[str, str]]:
    return [(role, cls.name) for role, cls, _ in with_required(Settings.load("smoke", sets), "detector", detector)]


@pytest.fixture
def child_requires(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Replaces what `toy-child` requires; an error is raised."""

    def child_requires(wanted: Any) -> None:
        def requires(options: Any) -> Any:
            if isinstance(wanted, Exception):
                raise wanted
            return {"detector": wanted}

        monkeypatch.setattr(discovery.load("detector", "toy-child"), "requires", requires)

    return child_requires


def test_a_plugin_comes_before_those_that_it_requires(child_requires: Callable[[Any], None]) -> None:
    assert names() == [("detector", "toy-child"), ("detector", "toy-dark")]
    child_requires((Requirement("toy-boxless"), Requirement("toy-dark", {"most": 3})))
    assert [name for _, name in names()] == ["toy-child", "toy-boxless", "toy-dark"]
    *_, (_, _, options) = with_required(Settings.load("smoke", ["detector.most=9"]), "detector", "toy-child")
    assert options.model_dump()["most"] == 3


def test_a_wrong_option_of_the_plugin_is_the_users_error() -> None:
    with pytest.raises(MitobenchError, match=r"--set detector\.toy-child\.most=0") as raised:
        names("detector.toy-child.most=0")
    assert not isinstance(raised.value, PluginError)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Requirement("toy-none"), "detector 'toy-child' requires 'toy-none': Unknown detector 'toy-none'"),
        (Requirement("toy-dark", {"mots": 3}), "detector 'toy-child' requires 'toy-dark': .* unknown option"),
        (Requirement("toy-broken"), "detector 'toy-child' requires 'toy-broken': .*on purpose"),
        (KeyError("on purpose"), r"detector 'toy-child': requires\(\) raised KeyError: 'on purpose'"),
    ],
)
def test_what_cannot_be_required_breaks_the_plugin(
    wanted: Any, message: str, child_requires: Callable[[Any], None]
) -> None:
    child_requires(wanted)
    with pytest.raises(PluginError, match=message):
        names()
    roles = {"detector": ["toy-child", "toy-broken", "toy-dark"]}
    loaded = {cls.name for _, cls, _ in loadable(Settings.load("smoke"), roles)}
    assert loaded == {"toy-child", "toy-dark"}


def test_what_a_plugin_says_to_the_user_is_raised_as_it_is(child_requires: Callable[[Any], None]) -> None:
    child_requires(MitobenchError("toy-child needs a parent: --set detector.parent=NAME."))
    with pytest.raises(MitobenchError, match=r"^toy-child needs a parent: --set detector\.parent=NAME\.$"):
        names()
