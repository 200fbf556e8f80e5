"""Options come from class defaults, the profile and --set, in that order. Types are checked; errors name the place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from mitobench import discovery
from mitobench.api import Detections, Detector, Field, Frame, Options
from mitobench.discovery import ROLES
from mitobench.errors import MitobenchError
from mitobench.pipeline import renamed_options
from mitobench.pipeline.overrides import Override
from mitobench.pipeline.settings import Settings, check_all_used


class BlobOptions(Options):
    iterations: int = Field(100, ge=1, description="steps")
    lr: float = 0.5
    optimizer: Literal["sgd", "adamw"] = "sgd"
    tile: int | None = None
    layers: tuple[int, ...] = (1, 2)
    mirror: bool = True


class Blob(Detector):
    name = "blob"
    version = "1"
    Options: ClassVar[type[Options]] = BlobOptions

    def predict(self, frame: Frame) -> Detections:
        return Detections.none()


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(
        'title = "Mine"\n\n[detector.blob]\niterations = 7\noptimizer = "adamw"\n\n'
        "[pipeline]\ncandidate_threshold = 0.5\n"
    )
    return path


def blob(profile: Path, *sets: str) -> BlobOptions:
    options = Settings.load(str(profile), sets).options("detector", Blob)
    assert isinstance(options, BlobOptions)
    return options


def test_the_profile_overrides_defaults_and_set_overrides_the_profile(profile: Path) -> None:
    assert blob(profile) == BlobOptions(iterations=7, optimizer="adamw")
    assert blob(profile, "detector.iterations=9").iterations == 9
    assert blob(profile, "detector.iterations=9", "detector.iterations=11").iterations == 11


@pytest.mark.parametrize(
    ("text", "option", "value"),
    [
        ("detector.iterations=500", "iterations", 500),
        ("detector.lr=1e-3", "lr", 0.001),
        ("detector.optimizer=sgd", "optimizer", "sgd"),
        ('detector.optimizer="sgd"', "optimizer", "sgd"),
        ("detector.tile=null", "tile", None),
        ("detector.tile=64", "tile", 64),
        ("detector.layers=[3,4,5]", "layers", (3, 4, 5)),
        ("detector.mirror=false", "mirror", False),
        ("detector.blob.mirror=false", "mirror", False),
    ],
)
def test_a_set_has_the_options_type(profile: Path, text: str, option: str, value: object) -> None:
    found = getattr(blob(profile, text), option)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("detector.iterations=many", "valid integer"),
        ("detector.iterations=0", "greater than or equal to 1"),
        ("detector.iterations=1.5", "valid integer"),
        ("detector.lr=fast", "valid number"),
        ("detector.optimizer=rmsprop", "'sgd' or 'adamw'"),
        ("detector.layers=3", "valid array"),
    ],
)
def test_a_set_of_the_wrong_type_names_option_and_value(profile: Path, text: str, message: str) -> None:
    with pytest.raises(MitobenchError, match=message) as error:
        blob(profile, text)
    assert f"--set {text}: " in str(error.value)
    assert "(given: " in str(error.value)


def test_an_error_about_a_value_says_what_is_allowed(profile: Path) -> None:
    with pytest.raises(
        MitobenchError, match=r"valid number \(given: 'nan'\)\. Allowed: float[ >0-9.]*; default [\d.]+\.$"
    ):
        blob(profile, "detector.lr=nan")
    with pytest.raises(MitobenchError, match=r"'sgd' or 'adamw' \(given: 'rmsprop'\)\. Its default is \S+\.$"):
        blob(profile, "detector.optimizer=rmsprop")


def test_a_set_for_another_plugin_or_role_changes_nothing(profile: Path) -> None:
    assert blob(profile, "detector.other.iterations=9", "verifier.iterations=9") == blob(profile)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a detector named `blob` the only installed plugin."""
    monkeypatch.setattr(discovery, "names", lambda role: ["blob"] if role == "detector" else [])


@pytest.mark.usefixtures("installed")
def test_an_error_about_a_set_of_an_unknown_option_lists_similar_options(profile: Path) -> None:
    settings = Settings.load(str(profile), ["detector.iteratoins=9"])
    with pytest.raises(MitobenchError, match="no detector of this run has an option 'iteratoins'") as error:
        check_all_used([(settings, [("detector", Blob)])])
    assert "Did you mean iterations?" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "detector.blobs.floor=0.1",
            "this run has no blobs; its detector is blob. Leave the option out, or add the plugin",
        ),
        ("verifier.none.x=1", "this run has no none; it has no verifier"),
        (
            "detector.union:blobs.merge_um=1",
            "--set detector.union:blobs.merge_um=1: union:blobs: has one member, blobs",
        ),
    ],
)
def test_a_set_for_a_plugin_that_does_not_run_says_so(text: str, message: str) -> None:
    with pytest.raises(MitobenchError, match=message):
        check_all_used([(Settings.load("smoke", [text]), [("detector", Blob)])])


@pytest.mark.parametrize("location", ["--set", "--sweep"])
def test_a_set_where_no_plugin_of_the_role_has_options_says_so(location: str) -> None:
    settings = Settings.load("smoke", [Override.parse("verifier.x=1", location)])
    with pytest.raises(MitobenchError) as raised:
        check_all_used([(settings, [("verifier", discovery.load("verifier", "none"))])])
    assert str(raised.value) == (
        f"{location} verifier.x=1: no verifier of this run (none) has options. Leave the option out, or add a verifier "
        "that has it: --verifier NAME. `mitobench info NAME` shows the options."
    )


def test_a_profile_with_an_unknown_member_of_a_family_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[detector."union:blobs+blubs"]\nmerge_um = 2.0\n')
    with pytest.raises(
        MitobenchError, match=r"mine.toml: \[detector.union:blobs\+blubs\]: .*: Unknown detector 'blubs'"
    ):
        Settings.load(str(path)).check_names()


def test_a_profile_changes_options_of_the_one_it_is_based_on(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('based_on = "cpu"\n[detector.frcnn]\nwidth = 0.25\n[pipeline]\ncandidate_threshold = 0.5\n')
    mine, cpu = Settings.load(str(path)), Settings.load("cpu")
    assert mine.files[0] == cpu.files[0]
    assert [table for _, table in mine.files[1].entries("detector", "frcnn")] == [{"width": 0.25}]
    assert (mine.profile, mine.pipeline().candidate_threshold) == ("mine.toml", 0.5)
    assert mine.pipeline().choose_by == cpu.pipeline().choose_by == "average-precision"


@pytest.mark.usefixtures("installed")
def test_plugins_of_the_profile_that_it_is_based_on_need_not_be_installed(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('based_on = "paper"\n[detector.blob]\nlr = 0.25\n')
    mine = Settings.load(str(path))
    assert "frcnn" in mine.pipeline().model_dump()["candidate_threshold"]
    mine.check_names()


@pytest.mark.parametrize(("base", "message"), [("cpo", "Did you mean cpu"), ("modern", "itself based on another")])
def test_an_invalid_based_on_is_reported(base: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'based_on = "{base}"\n')
    with pytest.raises(MitobenchError, match=message):
        Settings.load(str(path))


def test_an_unknown_plugin_in_a_users_profile_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('title = "Mine"\n\n[detector.blobz]\nfloor = 0.5\n')
    with pytest.raises(MitobenchError, match=r"\[detector.blobz\]: unknown detector 'blobz'"):
        Settings.load(str(path)).check_names()


@pytest.mark.usefixtures("installed")
def test_sets_that_are_used_raise_no_error(profile: Path) -> None:
    settings = Settings.load(str(profile), ["detector.iterations=9", "pipeline.candidate_threshold=0.1"])
    assert settings.pipeline().candidate_threshold == 0.1
    check_all_used([(settings, [("detector", Blob)])])


@pytest.mark.usefixtures("installed")
def test_it_is_enough_that_one_grid_uses_a_set_that_several_have(profile: Path) -> None:
    with_blob, without = Settings.load(str(profile), ["detector.lr=1"]), Settings.load(str(profile), ["detector.lr=1"])
    check_all_used([(without, []), (with_blob, [("detector", Blob)])])
    with pytest.raises(MitobenchError, match=r"detector\.lr=1: no detector of this run has options"):
        check_all_used([(without, []), (Settings.load(str(profile)), [("detector", Blob)])])


@pytest.mark.usefixtures("installed")
def test_a_set_of_an_unknown_option_of_the_pipeline_is_reported(profile: Path) -> None:
    with pytest.raises(MitobenchError, match=r"no pipeline of this run has an option .candidate.\. Did you mean"):
        check_all_used([(Settings.load(str(profile), ["pipeline.candidate=in-sample"]), [])])


@pytest.mark.parametrize("text", ["iterations=5", "detector.iterations", "detector.=5", "detector.a.b.c=5", "=5", ""])
def test_an_error_about_a_malformed_set_shows_the_form(profile: Path, text: str) -> None:
    form = r"Give ROLE\.OPTION=VALUE, ROLE\.PLUGIN\.OPTION=VALUE or .*, for example detector\.iterations=500"
    with pytest.raises(MitobenchError, match=form):
        Settings.load(str(profile), [text])


def test_an_error_about_a_set_of_an_unknown_role_lists_similar_roles(profile: Path) -> None:
    with pytest.raises(MitobenchError, match=r"'detecter' is not a role\. Did you mean:? detector"):
        Settings.load(str(profile), ["detecter.iterations=5"])


def test_an_error_about_an_unknown_option_in_a_profile_names_the_place(profile: Path) -> None:
    profile.write_text("[detector.blob]\niteratoins = 7\n")
    with pytest.raises(MitobenchError, match=r"mine\.toml: \[detector\.blob\] iteratoins: unknown option") as error:
        blob(profile)
    assert "Did you mean iterations?" in str(error.value)


def test_an_error_about_a_wrong_type_in_a_profile_names_the_place(profile: Path) -> None:
    profile.write_text('[detector.blob]\niterations = "many"\nlr = "fast"\n')
    with pytest.raises(MitobenchError) as error:
        blob(profile)
    first, second = str(error.value).splitlines()
    assert first.startswith(f"{profile}: [detector.blob] iterations: ")
    assert "(given: 'many'). Allowed: int >= 1; default " in first
    assert second.startswith(f"{profile}: [detector.blob] lr: ")


def test_an_error_about_an_unknown_table_in_a_profile_lists_similar_tables(profile: Path) -> None:
    profile.write_text("[detectors.blob]\niterations = 7\n")
    with pytest.raises(MitobenchError, match=r"mine\.toml: unknown table \[detectors\]\. Did you mean detector"):
        Settings.load(str(profile))


def test_an_error_about_a_profile_that_is_not_toml_names_the_line(profile: Path) -> None:
    profile.write_text("[detector.blob]\niterations =\n")
    with pytest.raises(MitobenchError, match=r"mine\.toml: is not valid TOML: .*line 2"):
        Settings.load(str(profile))


def test_a_missing_profile_is_reported(tmp_path: Path) -> None:
    with pytest.raises(MitobenchError, match=r"none\.toml: cannot be read: No such file"):
        Settings.load(str(tmp_path / "none.toml"))


def test_an_error_about_an_unknown_profile_lists_all_profiles() -> None:
    with pytest.raises(MitobenchError, match="registry/profiles has no 'papr'"):
        Settings.load("papr")


@pytest.mark.parametrize("value", ["validation", 0, 0.88, -3.5])
def test_the_candidate_threshold_is_a_number_or_validation(profile: Path, value: object) -> None:
    assert (
        Settings.load(str(profile), [f"pipeline.candidate_threshold={value}"]).pipeline().candidate_threshold == value
    )


@pytest.mark.parametrize("value", ["high", "true", "NaN"])
def test_other_values_of_the_candidate_threshold_are_errors(profile: Path, value: str) -> None:
    with pytest.raises(MitobenchError, match=f"--set pipeline.candidate_threshold={value}: "):
        Settings.load(str(profile), [f"pipeline.candidate_threshold={value}"]).pipeline()


TABLE = 'pipeline.candidate_threshold={"blob": 0.88, "other": null}'


@pytest.mark.parametrize(("detector", "value"), [("blob", 0.88), ("other", None), ("third", "validation")])
def test_a_candidate_threshold_of_one_detector_applies_to_no_other(profile: Path, detector: str, value: object) -> None:
    options = Settings.load(str(profile), [TABLE]).pipeline()
    assert options.for_detector(detector).candidate_threshold == value


def test_a_candidate_threshold_that_is_not_a_table_applies_to_every_detector(profile: Path) -> None:
    assert Settings.load(str(profile)).pipeline().for_detector("blob").candidate_threshold == 0.5


@pytest.mark.parametrize("value", ['{"blob": "high"}', '{"blob": [0.5]}', "[0.5]", '{"blob": {"blob": 1}}'])
def test_a_table_of_candidate_thresholds_is_checked(profile: Path, value: str) -> None:
    with pytest.raises(MitobenchError, match=r"--set pipeline\.candidate_threshold="):
        Settings.load(str(profile), [f"pipeline.candidate_threshold={value}"]).pipeline()


@pytest.mark.usefixtures("installed")
def test_an_error_about_a_candidate_threshold_of_an_unknown_detector_lists_similar_names(profile: Path) -> None:
    settings = Settings.load(str(profile), ['pipeline.candidate_threshold={"blub": 0.5}'])
    with pytest.raises(MitobenchError, match=r"candidate_threshold=.*'blub'.*Did you mean blob"):
        settings.check_names()
    profile.write_text("[pipeline]\ncandidate_threshold = { blub = 0.5 }\n")
    with pytest.raises(MitobenchError, match=r"mine\.toml: \[pipeline\] candidate_threshold: .*'blub'"):
        Settings.load(str(profile)).check_names()


def test_the_papers_candidate_threshold_applies_only_to_its_detector() -> None:
    options = Settings.load("paper").pipeline()
    found = {name: options.for_detector(name).candidate_threshold for name in ("frcnn", "rpn", "blobs")}
    assert found == {"frcnn": 0.88, "rpn": "validation", "blobs": "validation"}


@pytest.fixture
def notes(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Returns the logged messages about renamed options; clears the memory of those already logged."""
    renamed_options._note_renamed.cache_clear()
    return lambda: [record.getMessage() for record in caplog.records]


def test_the_old_name_of_an_option_still_works_and_is_noted_once(profile: Path, notes: Callable[[], list[str]]) -> None:
    profile.write_text("[pipeline]\ngate = 0.25\n")
    assert Settings.load(str(profile)).pipeline().candidate_threshold == 0.25
    given = Settings.load(str(profile), ["pipeline.gate=0.75"])
    assert given.pipeline().candidate_threshold == 0.75
    assert [override.text for override in given.overrides] == ["pipeline.candidate_threshold=0.75"]
    assert notes() == ["Option `gate` of the pipeline is now called `candidate_threshold`."]


def test_an_option_under_both_of_its_names_is_an_error(profile: Path) -> None:
    profile.write_text("[pipeline]\ngate = 0.25\ncandidate_threshold = 0.5\n")
    with pytest.raises(MitobenchError, match=r"mine\.toml: \[pipeline\] gives candidate_threshold twice"):
        Settings.load(str(profile))


def test_the_pipeline_has_no_plugins(profile: Path) -> None:
    with pytest.raises(MitobenchError, match=r"Give pipeline\.OPTION=VALUE"):
        Settings.load(str(profile), ["pipeline.blob.candidate_threshold=0.5"])


def test_touching_returns_the_last_override_of_each_option_that_a_plugin_has(profile: Path) -> None:
    texts = ["detector.iterations=5", "detector.blob.lr=0.1", "detector.lr=0.2", "verifier.lr=0.3", "detector.x.lr=1"]
    given = Settings.load(str(profile), texts)

    def touching(*plugins: tuple[str, str, type[Options] | None]) -> list[str]:
        return [override.text for override in given.touching(plugins)]

    assert touching(("detector", "blob", BlobOptions)) == ["detector.iterations=5", "detector.lr=0.2"]
    assert touching(("detector", "blob", Options)) == []
    assert touching(("detector", "x", BlobOptions)) == ["detector.iterations=5", "detector.x.lr=1"]
    assert touching(("verifier", "blob", None)) == ["verifier.lr=0.3"]


def test_without_a_candidate_threshold_nothing_is_dropped(profile: Path) -> None:
    assert Settings.load(str(profile), ["pipeline.candidate_threshold=null"]).pipeline().candidate_threshold is None


@pytest.mark.parametrize(("value", "folds"), [("in-sample", 0), ("out-of-fold(3)", 3), ("out-of-fold(20)", 20)])
def test_candidates_are_in_sample_or_out_of_fold(profile: Path, value: str, folds: int) -> None:
    assert Settings.load(str(profile), [f"pipeline.candidates={value}"]).pipeline().folds == folds


@pytest.mark.parametrize("value", ["out-of-fold", "out-of-fold(1)", "out-of-fold(0)", "oof(5)"])
def test_other_values_of_candidates_are_errors(profile: Path, value: str) -> None:
    with pytest.raises(MitobenchError, match=r"--set pipeline\.candidates="):
        Settings.load(str(profile), [f"pipeline.candidates={value}"]).pipeline()


def test_options_that_another_plugin_requires_override_all_others(profile: Path) -> None:
    settings = Settings.load(str(profile), ["detector.iterations=9"])
    assert settings.options("detector", Blob, {"iterations": 3}).model_dump()["iterations"] == 3


def scheduled(profile: Path, scale: float, *sets: str) -> BlobOptions:
    class Scheduled(Blob):
        schedule = ("iterations", "layers")

    options = Settings.load(str(profile), sets, scale).options("detector", Scheduled)
    assert isinstance(options, BlobOptions)
    return options


def test_scale_multiplies_all_options_of_the_schedule(profile: Path) -> None:
    options = scheduled(profile, 0.1, "detector.iterations=500", "detector.layers=[0, 40, 333]")
    assert (options.iterations, options.layers) == (50, (0, 4, 33))
    assert options.lr == 0.5


def test_scale_keeps_positive_options_at_least_1(profile: Path) -> None:
    options = scheduled(profile, 1e-6, "detector.iterations=500", "detector.layers=[0, 40]")
    assert (options.iterations, options.layers) == (1, (0, 1))


def test_scale_does_not_change_a_plugin_without_a_schedule(profile: Path) -> None:
    assert Settings.load(str(profile), [], 0.1).options("detector", Blob) == blob(profile)


def test_a_profile_names_the_default_plugins(install: Callable[..., None]) -> None:
    install(
        "all",
        {f"mitobench.{role}s": {"fcn": "x:Y", "frcnn": "x:Y", "resnet50": "x:Y", "linear": "x:Y"} for role in ROLES},
    )
    settings = Settings.load("smoke")
    assert [settings.default(role) for role in ROLES] == [
        (name, None) for name in ("fcn", "frcnn", "resnet50", "linear")
    ]


def test_the_first_installed_default_is_used_and_reported(install: Callable[..., None], tmp_path: Path) -> None:
    install("some", {"mitobench.detectors": {"third": "x:Y", "fourth": "x:Y"}})
    path = tmp_path / "mine.toml"
    path.write_text('[defaults]\ndetector = ["first", "second", "third", "fourth"]\n')
    name, note = Settings.load(str(path)).default("detector")
    assert name == "third"
    assert note == "Default detector: third, because first and second of profile mine.toml are not installed."


def test_an_error_about_a_missing_default_lists_what_is_available(install: Callable[..., None], tmp_path: Path) -> None:
    install("some", {"mitobench.detectors": {"third": "x:Y", "fourth": "x:Y"}})
    path = tmp_path / "mine.toml"
    path.write_text('[defaults]\ndetector = "first"\n')
    with pytest.raises(MitobenchError) as error:
        Settings.load(str(path)).default("detector")
    assert str(error.value) == (
        f"{path}: none of the default detectors is installed (first). Give --detector NAME. Available: fourth, third."
    )


def test_a_users_profile_inherits_the_defaults_of_its_base_or_of_paper(
    install: Callable[..., None], tmp_path: Path
) -> None:
    others = [role for role in ROLES if role != "verifier"]
    names = ("mine", "fcn", "fixed", "frcnn", "blobs", "linear")
    install("all", {f"mitobench.{role}s": dict.fromkeys(names, "x:Y") for role in ROLES})
    (tmp_path / "plain.toml").write_text('[defaults]\nverifier = "mine"\n')
    (tmp_path / "based.toml").write_text('based_on = "cpu"\n[defaults]\nverifier = "mine"\n')
    for name, base in (("plain", "paper"), ("based", "cpu")):
        mine, its_base = Settings.load(str(tmp_path / f"{name}.toml")), Settings.load(base)
        assert mine.default("verifier") == ("mine", None)
        assert [mine.default(role)[0] for role in others] == [its_base.default(role)[0] for role in others]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("defaults = 3", "defaults must be a table: [defaults]."),
        ('[defaults]\ndetecter = "blobs"', "[defaults] detecter: unknown role. Did you mean detector"),
        ("[defaults]\ndetector = 3", "[defaults] detector: must be a plugin's name"),
        ("[defaults]\ndetector = []", "[defaults] detector: must be a plugin's name"),
        ('[defaults]\ndetector = ["a", 3]', "[defaults] detector: must be a plugin's name"),
    ],
)
def test_errors_about_invalid_defaults_name_the_place(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(MitobenchError) as error:
        Settings.load(str(path))
    assert f"{path}: {message}" in str(error.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("detector.iterations", "the value is missing"),
        ("iterations=5", "the role or the option is missing in 'iterations'"),
        ("detector.a.b.c=5", "the part before = must be two or three names"),
        ("detector.=5", "the part before = must be two or three names"),
    ],
)
def test_the_missing_part_of_an_override_is_named(text: str, problem: str) -> None:
    with pytest.raises(MitobenchError) as error:
        Override.parse(text)
    assert str(error.value).startswith(f"--set {text}: {problem}")
    assert "ROLE.PLUGIN.OPTION=VALUE" in str(error.value)
