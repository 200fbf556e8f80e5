"""Packages bring options for profiles on their own cards; `max_steps` shortens the schedules of all other plugins.

The package here is a third party's, with a family.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mitobench import discovery
from mitobench.errors import MitobenchError, PluginError
from mitobench.pipeline.settings import Settings

MODULE = """
from mitobench.api import Detections, Detector, Field, Options

class ShapesOptions(Options):
    shape: str = Field("", description="Shape to look for.")
    iterations: int = Field(6_000, ge=1, description="Steps.")
    lr_steps: tuple[int, ...] = Field((4_000, 5_000), description="Steps at which the rate falls.")
    warmup: int = Field(0, ge=0, description="Steps of warm-up.")
    lr: float = Field(0.1, gt=0, description="Rate.")

class Shapes(Detector):
    name = "shapes"
    version = "1"
    Options = ShapesOptions
    argument = "shape"
    example = "round"
    schedule = ("iterations", "lr_steps", "warmup")
    uses_boxes = False

    def fit(self, train, val, context):
        context.training_info["iterations"] = self.options.iterations

    def predict(self, frame):
        return Detections.from_points([[20, 20], [60, 40]], [0.9, 0.4])
"""
CARD = """\
role = "detector"
title = "Shapes"

[profile.smoke]
iterations = 20
lr = 0.5

[profile.cpu]
iterations = 300

[member."square".profile.smoke]
iterations = 30
"""


@pytest.fixture(autouse=True)
def imported_again() -> Iterator[None]:
    """Makes each test import its own copy of the package."""
    yield
    sys.modules.pop("shape_package", None)


@pytest.fixture
def shapes(install: Callable[..., None]) -> Callable[[str], None]:
    def shapes(card: str = CARD) -> None:
        install(
            "shape-detectors",
            {"mitobench.detectors": {"shapes": "shape_package:Shapes"}},
            {"shape_package/__init__.py": MODULE, "shape_package/shapes.toml": card},
        )

    return shapes


def options(settings: Settings, spec: str = "shapes:round") -> Any:
    return settings.options("detector", discovery.load("detector", spec))


class TestMerging:
    def test_a_package_has_options_for_a_profile(self, shapes: Callable[[], None]) -> None:
        shapes()
        found = options(Settings.load("smoke"))
        assert (found.iterations, found.lr, found.lr_steps) == (20, 0.5, (4_000, 5_000))
        assert options(Settings.load("cpu")).iterations == 300

    def test_a_member_has_its_own_above_those_of_the_family(self, shapes: Callable[[], None]) -> None:
        shapes()
        found = options(Settings.load("smoke"), "shapes:square")
        assert (found.iterations, found.lr) == (30, 0.5)

    def test_a_profile_of_the_registry_a_users_file_and_set_win(
        self, shapes: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shapes()
        mine = tmp_path / "mine.toml"
        mine.write_text('based_on = "smoke"\n[detector.shapes]\nlr = 0.7\n')
        found = options(Settings.load(str(mine)))
        assert (found.iterations, found.lr) == (20, 0.7)
        assert options(Settings.load(str(mine), ["detector.lr=0.8"])).lr == 0.8
        from mitobench import registry

        (tmp_path / "registry" / "profiles").mkdir(parents=True)
        (tmp_path / "registry" / "profiles" / "smoke.toml").write_text("[detector.shapes]\niterations = 25\n")
        monkeypatch.setattr(registry, "ROOT", tmp_path / "registry")
        found = options(Settings.load("smoke"))
        assert (found.iterations, found.lr) == (25, 0.5)

    def test_the_profile_that_another_is_based_on_counts_too(self, shapes: Callable[[], None]) -> None:
        shapes()
        assert options(Settings.load("modern")).iterations == 300, "modern is based on cpu"

    def test_a_users_file_that_is_based_on_nothing_has_class_defaults(
        self, shapes: Callable[[], None], tmp_path: Path
    ) -> None:
        shapes()
        (tmp_path / "smoke.toml").write_text('title = "mine"\n')
        assert options(Settings.load(str(tmp_path / "smoke.toml"))).iterations == 6_000

    @pytest.mark.parametrize(
        ("card", "message"),
        [
            ("[profile.smoke]\niteratoins = 3\n", r"shapes.toml \[profile.smoke\] iteratoins: unknown option. Did you"),
            ("[profile.smoke]\niterations = 'many'\n", r"shapes.toml \[profile.smoke\] iterations: .*valid integer"),
            ("[profile]\nsmoke = 3\n", r"profile.smoke must be a table"),
            ("profile = 3\n", r"profile must be a table"),
            ("member = 3\n", r"member must be a table"),
            ("[member]\nround = 3\n", r"member must be a table"),
            ("no end = [", r"not valid"),
        ],
    )
    def test_a_wrong_card_is_named_with_the_place(self, shapes: Callable[[str], None], card: str, message: str) -> None:
        shapes(card)
        with pytest.raises(MitobenchError, match=message):
            options(Settings.load("smoke"))

    def test_a_card_that_is_not_toml_breaks_its_own_plugin_only(self, shapes: Callable[[str], None]) -> None:
        shapes("no end = [")
        with pytest.raises(PluginError, match="card of detector 'shapes:round' in package shape-detectors"):
            options(Settings.load("smoke"))


class TestPluginsWithoutOptions:
    def test_their_schedules_are_shortened_by_one_factor_and_the_output_says_so(
        self, shapes: Callable[[str], None]
    ) -> None:
        shapes('title = "Shapes"\n')
        settings = Settings.load("smoke")
        found = options(settings)
        assert (found.iterations, found.lr_steps, found.warmup, found.lr) == (150, (100, 125), 0, 0.1)
        note = settings.note_on("detector", discovery.load("detector", "shapes:round"))
        assert note is not None
        assert "Profile smoke has no options for shapes:round" in note
        assert "iterations 6000 -> 150" in note

    def test_set_still_wins(self, shapes: Callable[[str], None]) -> None:
        shapes('title = "Shapes"\n')
        assert options(Settings.load("smoke", ["detector.iterations=9"])).iterations == 9

    def test_other_profiles_shorten_nothing(self, shapes: Callable[[str], None]) -> None:
        shapes('title = "Shapes"\n')
        settings = Settings.load("cpu")
        assert options(settings).iterations == 6_000
        assert settings.note_on("detector", discovery.load("detector", "shapes:round")) is None

    def test_a_profile_based_on_smoke_shortens_too_and_may_change_the_number(
        self, shapes: Callable[[str], None], tmp_path: Path
    ) -> None:
        shapes('title = "Shapes"\n')
        mine = tmp_path / "mine.toml"
        mine.write_text('based_on = "smoke"\n')
        assert options(Settings.load(str(mine))).iterations == 150
        mine.write_text('based_on = "smoke"\nmax_steps = 60\n')
        assert options(Settings.load(str(mine))).iterations == 60

    @pytest.mark.parametrize("value", ["0", "true", "1.5", '"many"'])
    def test_a_wrong_number_of_steps_is_refused(self, tmp_path: Path, value: str) -> None:
        mine = tmp_path / "mine.toml"
        mine.write_text(f"max_steps = {value}\n")
        with pytest.raises(MitobenchError, match="max_steps must be a whole number"):
            Settings.load(str(mine))


@pytest.mark.slow
def test_smoke_gives_every_installed_plugin_a_short_schedule() -> None:
    """None of the numbers in a schedule is greater than the longest that the profile itself gives a network."""
    settings = Settings.load("smoke")
    longest = 400
    checked = 0
    for role in discovery.ROLES:
        for name in discovery.names(role):
            try:
                cls = discovery.load(role, discovery.example(role, name))
            except PluginError:
                continue
            found = settings.options(role, cls)
            for option in cls.schedule:
                value = getattr(found, option)
                assert max(value if isinstance(value, tuple) else (value,), default=0) <= longest, f"{name}.{option}"
                checked += 1
    if not checked:
        pytest.skip("no plugin with a schedule is installed")


@pytest.mark.usefixtures("small_data")
def test_a_run_says_that_a_schedule_was_shortened(
    install: Callable[..., None], mitobench: Callable[..., Any], small_data: Path, tmp_path: Path
) -> None:
    core = {
        "mitobench.detectors": {"shapes": "shape_package:Shapes"},
        "mitobench.estimators": {"fixed": "mitobench.methods.fixed:Fixed"},
        "mitobench.verifiers": {"none": "mitobench.methods.none:NoVerifier"},
        "mitobench.fusers": {"detector-only": "mitobench.methods.detector_only:DetectorOnly"},
        "mitobench.datasets": {"synthetic": "mitobench.datasets.synthetic:Synthetic"},
    }
    install("shape-detectors", core, {"shape_package.py": MODULE})
    done = mitobench(
        *("run", "-d", "shapes:round", "-v", "none", "-f", "detector-only", "--profile", "smoke", "--dry-run"),
        *("--data", small_data, "--dataset", "synthetic", "--store", tmp_path / "store"),
    )
    assert done.code == 0, done.err
    assert done.out.count("its schedule is shortened to at most 150 steps") == 1
