"""`NAME:ARGUMENT` names a member of a family wherever a plugin is named. The family here is a third party's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mitobench import discovery
from mitobench.benchmark import Benchmark, Grid
from mitobench.errors import MitobenchError
from mitobench.pipeline.settings import Settings
from mitobench.results import record

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toys")]

DARKER, DARKEST = "toy-family:darker", "toy-family:darkest"


@pytest.fixture
def prepare(small_data: Path, tmp_path: Path) -> Any:
    def prepare(detector: str, profile: str = 'title = "toys"\n', **options: Any) -> Benchmark:
        path = tmp_path / "toys.toml"
        path.write_text(profile)
        roles = {"estimator": "toy-boxes", "detector": detector, "verifier": "none", "fuser": "toy-sum"}
        return Benchmark.prepare(
            [Grid({role: names.split(",") for role, names in roles.items()})],
            **{"data": small_data, "datasets": ["synthetic"], "device": "cpu", "profile": str(path), **options},
            store=tmp_path / "store",
        )

    return prepare


def detectors(benchmark: Benchmark) -> list[str]:
    return [row.combination.detector for row in benchmark.plan.rows]


def options(benchmark: Benchmark) -> list[dict[str, Any]]:
    return [dict(row.refs["detector"].options) for row in benchmark.plan.rows]


class TestMembers:
    def test_two_members_of_a_family_are_two_combinations_of_one_run(self, prepare: Any) -> None:
        benchmark = prepare(f"{DARKER},{DARKEST}")
        assert detectors(benchmark) == [DARKER, DARKEST]
        assert len([stage for stage in benchmark.plan.stages.values() if stage.kind == "fit-detector"]) == 2

    def test_the_argument_sets_the_option_that_the_family_names(self, prepare: Any) -> None:
        assert [of["depth"] for of in options(prepare(f"{DARKER},{DARKEST}"))] == ["darker", "darkest"]

    def test_two_spellings_are_one_combination_under_the_full_name(self, prepare: Any) -> None:
        assert detectors(prepare(f"toy-family:80,{DARKER}")) == [DARKER]
        assert list(prepare("toy-family:80").plan.stages) == list(prepare(DARKER).plan.stages)

    def test_all_lists_no_family(self, prepare: Any) -> None:
        assert not [name for name in detectors(prepare("all")) if name.startswith("toy-family")]

    def test_members_are_measured_and_the_record_names_them_in_full(self, prepare: Any, tmp_path: Path) -> None:
        benchmark = prepare(f"toy-family:80,{DARKEST}")
        benchmark.run(tmp_path / "out")
        assert not benchmark.has_failures
        for (path, found), name in zip(benchmark.records, (DARKER, DARKEST), strict=True):
            assert found.combination["detector"] == name
            assert found.plugins["detector"].name == name
            assert ":" not in path.name
            assert record.read(path) == found


class TestOptions:
    def test_set_reaches_the_role_the_family_or_one_member(self, prepare: Any) -> None:
        both = f"{DARKER},{DARKEST}"
        assert [of["most"] for of in options(prepare(both, sets=["detector.most=7"]))] == [7, 7]
        assert [of["most"] for of in options(prepare(both, sets=["detector.toy-family.most=7"]))] == [7, 7]
        assert [of["most"] for of in options(prepare(both, sets=[f"detector.{DARKEST}.most=7"]))] == [40, 7]
        assert [of["most"] for of in options(prepare(both, sets=["detector.toy-family:100.most=7"]))] == [40, 7]

    def test_a_profile_has_a_table_of_the_family_and_of_members(self, prepare: Any) -> None:
        profile = (
            'title = "toys"\n[detector.toy-family]\nmost = 9\nshrink = 0.5\n[detector."toy-family:100"]\nmost = 8\n'
        )
        found = options(prepare(f"{DARKER},{DARKEST}", profile))
        assert [(of["most"], of["shrink"]) for of in found] == [(9, 0.5), (8, 0.5)]

    def test_the_argument_cannot_be_set_to_another(self, prepare: Any) -> None:
        with pytest.raises(MitobenchError, match=r"--set detector\.depth=dark: .*darker"):
            prepare(DARKER, sets=["detector.depth=dark"])

    def test_a_candidate_threshold_is_given_to_a_family_or_a_member(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        path.write_text(f'title = "mine"\n[pipeline.candidate_threshold]\ntoy-family = 0.3\n"{DARKEST}" = 0.4\n')
        pipeline = Settings.load(str(path)).pipeline()
        assert pipeline.for_detector(DARKER).candidate_threshold == 0.3
        assert pipeline.for_detector(DARKEST).candidate_threshold == 0.4


class TestWrongSpecs:
    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ("toy-family", "needs an argument, its depth. Write toy-family:DEPTH, for example toy-family:darker"),
            ("toy-family:", "needs an argument"),
            ("toy-family:black", "toy-family has no depth 'black'. Available: dark, darker, darkest"),
            ("toy-boxless:dark", "toy-boxless takes no argument. Write toy-boxless"),
            ("toy-famly:dark", "toy-family"),
        ],
    )
    def test_they_are_refused_with_what_to_write(self, prepare: Any, spec: str, message: str) -> None:
        with pytest.raises(MitobenchError) as raised:
            prepare(spec)
        assert message in str(raised.value)

    def test_an_override_of_an_unknown_family_names_similar_ones(self, prepare: Any) -> None:
        with pytest.raises(MitobenchError, match="toy-family"):
            prepare(DARKER, sets=["detector.toy-famly:dark.most=7"])


def test_a_member_is_a_class_of_its_own_with_a_complete_set_of_defaults() -> None:
    cls = discovery.load("detector", DARKER)
    assert cls is discovery.load("detector", "toy-family:80")
    assert cls.name == DARKER
    assert json.loads(cls.Options().model_dump_json())["depth"] == "darker"
