"""Options and attributes that were renamed keep working under their old names: profiles, `--set`, records, models."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import tiny_runs
from pydantic import ValidationError
from records import ok

from mitobench import contract, discovery, registry
from mitobench.api import Context, Detections, Detector, Field, Frame, Options
from mitobench.errors import MitobenchError, PluginError
from mitobench.pipeline import renamed_options
from mitobench.pipeline.executors import ProgressListener
from mitobench.pipeline.settings import Settings, check_all_used
from mitobench.report.colours import labels
from mitobench.report.disambiguation import disambiguations
from mitobench.report.row import plugin
from mitobench.report.table import sections
from mitobench.reproduce import reproduce
from mitobench.results import record
from mitobench.results.check import check
from mitobench.results.current_names import current_options, current_overrides, current_variant
from mitobench.results.reproducibility import reproducibility
from mitobench.results.resource_estimate import resource_lines
from mitobench.results.schema import Record

pytestmark = pytest.mark.slow


class SpotOptions(Options):
    """Options of `spots`."""

    renamed: ClassVar[Mapping[str, str]] = {
        "fields": "fields_of_view",
        "members": "ensemble_size",
        "nets": "ensemble_size",
    }

    fields_of_view: tuple[int, ...] = Field((1,), description="factors")
    ensemble_size: int = Field(1, ge=1, description="networks")


class WiderOptions(SpotOptions):
    """Options of a plugin that inherits them."""

    width: float = 1.0


class Spots(Detector):
    """Finds nothing."""

    name, version = "spots", "1"
    Options: ClassVar[type[Options]] = SpotOptions

    def predict(self, frame: Frame) -> Detections:
        return Detections.none()


# ------------------------------------------------------------------------------------------------- mitobench.api


@pytest.mark.parametrize("cls", [SpotOptions, WiderOptions])
@pytest.mark.parametrize("old", ["members", "nets"])
def test_an_option_is_accepted_under_old_and_current_name(cls: type[SpotOptions], old: str) -> None:
    by_old, by_current = cls.model_validate({old: 3}), cls.model_validate({"ensemble_size": 3})
    assert by_old == by_current
    assert by_old.model_dump()["ensemble_size"] == 3
    assert old not in by_old.model_dump()


def test_json_is_read_as_strictly_under_the_old_name() -> None:
    assert SpotOptions.model_validate_json('{"fields": [1, 2]}', strict=True).fields_of_view == (1, 2)
    with pytest.raises(ValidationError):
        SpotOptions.model_validate_json('{"members": "2"}', strict=True)


def test_both_names_at_once_are_refused() -> None:
    with pytest.raises(ValidationError, match="members"):
        SpotOptions.model_validate({"members": 2, "ensemble_size": 2})


@pytest.mark.parametrize("renamed", [{"old": "unknown"}, {"side": "size"}], ids=["no such option", "still an option"])
def test_a_wrong_table_of_renamed_options_is_an_error_of_the_class(renamed: dict[str, str]) -> None:
    with pytest.raises(TypeError, match=r"Wrong\.renamed"):
        type(
            "Wrong",
            (Options,),
            {"renamed": renamed, "size": 1, "side": 2, "__annotations__": {"size": int, "side": int}},
        )


def test_an_attribute_of_a_plugin_written_before_is_read_under_its_old_name() -> None:
    with pytest.warns(DeprecationWarning, match=r"Old\.at_prediction is now called inference_options"):
        old = type("Old", (Spots,), {"at_prediction": ("ensemble_size",)})
    assert old.inference_options == ("ensemble_size",)


def test_the_current_attribute_wins_and_warns_of_nothing_where_it_is_alone() -> None:
    with pytest.warns(DeprecationWarning, match="at_prediction"):
        both = type("Both", (Spots,), {"at_prediction": ("members",), "inference_options": ("fields_of_view",)})
    assert both.inference_options == ("fields_of_view",)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        type("New", (Spots,), {"inference_options": ("fields_of_view",)})


def test_the_facts_of_a_context_are_its_training_info(tmp_path: Path) -> None:
    context = Context(0, "cpu", tmp_path)
    with pytest.warns(DeprecationWarning, match="training_info"):
        context.facts["patches"] = 12
    assert context.training_info == {"patches": 12}


# ------------------------------------------------------------------------------------------------- profiles, --set


@pytest.fixture
def notes(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What has been logged about renamed options since the test began."""
    renamed_options._note_renamed.cache_clear()
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture
def profile(tmp_path: Path) -> Callable[..., Path]:
    """Writes a profile with these lines in the table of `spots`."""

    def write(*lines: str, before: str = "") -> Path:
        path = tmp_path / "mine.toml"
        path.write_text("\n".join([before, "[detector.spots]", *lines, ""]))
        return path

    return write


def spots(path: Path, *sets: str) -> SpotOptions:
    options = Settings.load(str(path), sets).options("detector", Spots)
    assert isinstance(options, SpotOptions)
    return options


def test_a_profile_may_use_the_old_name_and_is_noted_once(profile: Any, notes: Callable[[], list[str]]) -> None:
    path = profile("members = 2", "fields = [1, 2]")
    assert spots(path) == spots(path) == SpotOptions(ensemble_size=2, fields_of_view=(1, 2))
    assert notes() == [
        "Option `members` of spots is now called `ensemble_size`.",
        "Option `fields` of spots is now called `fields_of_view`.",
    ]


def test_the_current_name_is_noted_by_nothing(profile: Any, notes: Callable[[], list[str]]) -> None:
    assert spots(profile("ensemble_size = 2")).ensemble_size == 2
    assert notes() == []


def test_a_profile_that_gives_both_names_is_refused(profile: Any) -> None:
    with pytest.raises(MitobenchError, match=r"mine\.toml: \[detector\.spots\] gives ensemble_size twice"):
        spots(profile("members = 2", "ensemble_size = 3"))


@pytest.mark.parametrize("where", ["detector", "detector.spots"])
def test_an_override_may_use_either_name_and_the_last_wins(profile: Any, where: str) -> None:
    path = profile("ensemble_size = 2")
    assert spots(path, f"{where}.members=4").ensemble_size == 4
    assert spots(path, f"{where}.members=4", f"{where}.ensemble_size=5").ensemble_size == 5
    assert spots(path, f"{where}.ensemble_size=5", f"{where}.members=4").ensemble_size == 4


def test_a_wrong_value_names_the_override_as_it_was_given(profile: Any) -> None:
    with pytest.raises(MitobenchError, match=r"--set detector\.members=0: .*greater than or equal to 1"):
        spots(profile(), "detector.members=0")


def test_a_record_of_the_run_has_the_current_name(profile: Any) -> None:
    given = Settings.load(str(profile()), ["detector.members=4", "detector.spots.fields=[2]", "detector.members=5"])
    texts = [override.text for override in given.touching([("detector", "spots", SpotOptions)])]
    assert texts == ["detector.spots.fields_of_view=[2]", "detector.ensemble_size=5"]


def test_a_profile_based_on_another_may_use_the_old_name_for_what_that_one_sets(tmp_path: Path) -> None:
    pytest.importorskip("mitobench_networks")
    resnet = discovery.load("verifier", "resnet18")
    (tmp_path / "own.toml").write_text('based_on = "cpu"\n\n[verifier.resnet18]\nturns = "none"\n')
    options: Any = Settings.load(str(tmp_path / "own.toml")).options("verifier", resnet)
    base: Any = Settings.load("cpu").options("verifier", resnet)
    assert (options.train_rotations, base.train_rotations) == ("none", "all")
    assert options.tta_views == base.tta_views


def test_an_option_that_another_plugin_requires_may_have_its_old_name(profile: Any) -> None:
    options: Any = Settings.load(str(profile())).options("detector", Spots, {"members": 6})
    assert options.ensemble_size == 6


@pytest.mark.usefixtures("toys")
def test_an_unknown_option_is_answered_with_current_names(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("")
    given = Settings.load(str(tmp_path / "own.toml"), ["detector.limits=3"])
    with pytest.raises(MitobenchError, match=r"has an option 'limits'.*most, shrink"):
        check_all_used([(given, [("detector", discovery.load("detector", "toy-dark"))])])


# ------------------------------------------------------------------------------------------------- cards, packages


@pytest.mark.parametrize("role", discovery.ROLES)
def test_cards_of_installed_plugins_list_their_renamed_options(role: str) -> None:
    for name in discovery.names(role):
        renamed = dict(discovery.family(role, name).Options.renamed)
        assert discovery.renamed_options(role, name) == renamed, name


def test_the_card_of_a_plugin_that_is_not_installed_is_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITOBENCH_PACKAGES", "none")
    discovery.found.cache_clear()
    try:
        assert discovery.names("verifier") == []
        assert discovery.renamed_options("verifier", "resnet18")["members"] == "ensemble_size"
    finally:
        discovery.found.cache_clear()


@pytest.mark.parametrize("name", ["../methods/resnet18", "unknown", "", "a\0b", "resnet18"])
def test_a_name_without_a_card_of_its_role_has_no_renamed_options(name: str) -> None:
    assert discovery.renamed_options("fuser", name) == {}


@pytest.mark.usefixtures("toys")
def test_the_contract_compares_card_and_options(monkeypatch: pytest.MonkeyPatch) -> None:
    (check_card,) = (c for c in contract.checks("detector", "toy-dark") if "card" in c.title)
    check_card()
    monkeypatch.setattr(discovery, "renamed_options", lambda role, name: {})
    with pytest.raises(PluginError, match=r'toy-dark\.toml differ.*renamed = \{ limit = "most" \}'):
        check_card()


def test_the_options_of_a_model_that_was_packed_before_are_read() -> None:
    pytest.importorskip("mitobench_networks")
    stored = {"members": 3, "mining": 1, "test_turns": 8, "turns": "all"}
    options: Any = discovery.load("verifier", "efficientnet-lite0").Options.model_validate(stored)
    assert (options.ensemble_size, options.tta_views, options.train_rotations) == (3, 8, "all")
    assert options.hard_negative_rounds == 1


# ------------------------------------------------------------------------------------------------- records

OLD = {"members": 2, "mining": 1, "patch": 64, "test_turns": 8, "width": 0.5}
NEW = {"ensemble_size": 2, "hard_negative_rounds": 1, "patch": 64, "tta_views": 8, "width": 0.5}


def verified_by(options: dict[str, Any], overrides: tuple[str, ...] = (), **changes: Any) -> Record:
    """A record with these options of resnet18; `ensemble_size`, under either name, is shown in tables."""
    made = ok(verifier="resnet18", **changes)
    variant = {name: value for name, value in options.items() if name in ("members", "ensemble_size")}
    entry = made.plugins["verifier"].model_copy(update={"options": options, "variant": variant})
    return made.model_copy(update={"plugins": {**made.plugins, "verifier": entry}, "overrides": list(overrides)})


def test_an_old_record_and_a_new_one_are_seeds_of_one_row() -> None:
    old, new = verified_by(OLD, seed=0).sealed(), verified_by(NEW, seed=1).sealed()
    assert old.series == new.series
    ((row,),) = ([*section.rows] for section in sections([old, new]))
    assert row.seeds == [0, 1]
    assert plugin(old, "verifier") == plugin(new, "verifier") == "resnet18 (ensemble_size 2)"


def test_what_a_record_stores_stays_as_it_is() -> None:
    old = verified_by(OLD, ("verifier.members=2",))
    before = old.model_dump()
    assert old.identity != verified_by(NEW).identity  # and with it the file's name
    assert current_options("verifier", old.plugins["verifier"]) == NEW
    assert current_variant("verifier", old.plugins["verifier"]) == {"ensemble_size": 2}
    assert old.model_dump() == before


def test_other_values_are_other_rows_whatever_the_names() -> None:
    assert verified_by(OLD).series != verified_by({**NEW, "ensemble_size": 3}).series


def test_a_plugin_of_the_same_option_without_a_card_keeps_it() -> None:
    made = verified_by(OLD)
    unknown = made.plugins["verifier"].model_copy(update={"name": "unheard-of"})
    assert current_options("verifier", unknown) == OLD


@pytest.mark.parametrize(
    ("text", "current"),
    [
        ("verifier.members=2", "verifier.ensemble_size=2"),
        ("verifier.resnet18.members=2", "verifier.resnet18.ensemble_size=2"),
        ("verifier.other.members=2", "verifier.other.members=2"),
        ("detector.members=2", "detector.members=2"),
        ("verifier.ensemble_size=2", "verifier.ensemble_size=2"),
        ("pipeline.candidates=in-sample", "pipeline.candidates=in-sample"),
        ("members", "members"),
    ],
)
def test_overrides_are_shown_with_current_names(text: str, current: str) -> None:
    assert current_overrides(verified_by(OLD, (text,))) == [current]


def test_a_renamed_option_does_not_distinguish_rows() -> None:
    old, new = verified_by(OLD).sealed(), verified_by({**NEW, "lr": 0.1}).sealed()
    (section,) = sections([old, new])
    shown = disambiguations(section.rows)
    assert sorted(shown.values()) == ["verifier lr 0.1", "verifier lr –"]
    assert not any("members" in name for name in labels(section).values())


def test_doing_it_again_under_new_names_changes_nothing() -> None:
    assert reproducibility(verified_by(OLD), verified_by(NEW)).changed == []


def test_the_resources_of_an_old_record_are_estimated() -> None:
    assert "verifier resnet18: ensemble_size 2, patch 64, hard_negative_rounds 1." in [
        *resource_lines(verified_by(OLD))
    ]


@pytest.mark.usefixtures("toys")
def test_an_old_record_is_right_and_is_reproduced(small_data: Path, tmp_path: Path) -> None:
    """Made under the current name, then given the old one, as records from before the rename have it."""
    (path,) = tiny_runs.run(tmp_path / "board", small_data, sets=["detector.most=9"])

    def as_it_was(content: dict[str, Any]) -> None:
        for entry in tiny_runs.of_detector(content):
            entry["options"]["limit"] = entry["options"].pop("most", 40)
        content["plugins"]["detector"]["variant"] = {"limit": content["plugins"]["detector"]["options"]["limit"]}
        content["overrides"] = ["detector.limit=9"]

    old = tiny_runs.forge(path, as_it_was)
    assert check(old).problems == []
    assert plugin(record.read(old), "detector") == "toy-dark (most 9)"
    found = reproduce(
        old, data=small_data, show_progress=lambda _: contextlib.nullcontext(ProgressListener()), notify=lambda _: None
    )
    assert (found.verdict, found.differing, found.changed) == ("equal", [], [])
    assert found.again is not None
    assert found.again.plugins["detector"].options["most"] == 9


def test_no_profile_and_no_experiment_of_the_registry_uses_an_old_name() -> None:
    old = {
        name
        for role in discovery.ROLES
        for plugin in discovery.names(role)
        for name in discovery.renamed_options(role, plugin)
    }
    for path in (registry.ROOT / "profiles").glob("*.toml"):
        tables = registry.read_toml(path)
        given = {option for role in discovery.ROLES for table in tables.get(role, {}).values() for option in table}
        assert not given & old, path
