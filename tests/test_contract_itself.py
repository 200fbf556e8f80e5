"""The checks for plugins find faults: toy plugins, each with one fault, and one without."""

import sys
import uuid

import pytest

from mitobench import contract
from mitobench.contract.subject import subject
from mitobench.errors import MitobenchError

pytestmark = pytest.mark.slow

LOADS = "loads and has a version"
OPTIONS = "all options have descriptions"
REQUIRES = "required plugins exist and can be fitted"
RESULTS = "fits and returns valid results"
EMPTY = "handles empty input"
SAVES = "returns the same results after saving and loading"
PACKED = "saves files that can be packed"
SEED = "returns the same results for the same seed"
FRAME_ORDER = "returns the same results whatever the order of frames"
CANDIDATE_ORDER = "scores candidates alike in any order"
UNCHANGED = "does not change its inputs"
JSON = "chosen values can be stored as json"
NO_MASKS = "fits without masks"
BY_FRAME = "fuses frame by frame"
EDGE_CASES = "fits on validation data with no candidates or one class"
ALL_THAT_PREDICT = {RESULTS, EMPTY, SAVES, SEED, FRAME_ORDER, UNCHANGED, NO_MASKS}
ALL_THAT_FIT = {*ALL_THAT_PREDICT, PACKED}

DETECTOR = """
import numpy as np
from mitobench import api

class Options(api.Options):
    side: float = api.Field(30.0, description="Side of a box, px.")

class Toy(api.Detector):
    name = "toy"
    version = "1"
    Options = Options

    def fit(self, train, val, context):
        self.learned = np.random.default_rng(context.seed).random()

    def predict(self, frame):
        return api.Detections.from_points([[20, 30], [60, 50]], [self.learned, 0.1], self.options.side)

    def save(self, folder):
        (folder / "toy.json").write_text(repr(self.learned))

    def load(self, folder):
        self.learned = float((folder / "toy.json").read_text())
"""

VERIFIER = """
from mitobench import api

class Toy(api.Verifier):
    name = "toy"
    version = "1"

    def score(self, frame, detections):
        return detections.score / 2
"""

ESTIMATOR = """
import numpy as np
from mitobench import api

class Toy(api.BoxEstimator):
    name = "toy"
    version = "1"

    def boxes(self, frame, mitoses):
        return api.clip_boxes(api.square_boxes(mitoses.xy, 20.0), frame.size)
"""

FUSER = """
from mitobench import api

class Toy(api.Fuser):
    name = "toy"
    version = "1"

    def fuse(self, detector, verifier):
        return detector + verifier
"""


@pytest.fixture
def toy(install):
    """Installs a module with a plugin `toy`, and returns its checks."""
    module = f"toy_{uuid.uuid4().hex}"

    def write(source, role="detector"):
        install("toys", {f"mitobench.{role}s": {"toy": f"{module}:Toy"}}, {f"{module}.py": source})
        subject.cache_clear()
        return contract.checks(role, "toy")

    yield write
    subject.cache_clear()


def failures(checks):
    """Returns the error message of every check that fails, by its title."""
    reasons = {}
    for check in checks:
        try:
            check()
        except MitobenchError as reason:
            reasons[check.title] = str(reason)
    return reasons


@pytest.mark.parametrize(
    ("role", "source"),
    [("estimator", ESTIMATOR), ("detector", DETECTOR), ("verifier", VERIFIER), ("fuser", FUSER)],
    ids=lambda part: part[:9],
)
def test_a_plugin_without_faults_passes_every_check(toy, role, source):
    assert failures(toy(source, role)) == {}


def test_a_plugin_that_raises_on_import_fails_every_check_and_is_named(toy):
    checks = toy("raise RuntimeError('no such library')")
    reasons = failures(checks)
    assert len(reasons) == len(checks)
    assert all("toy" in reason and "no such library" in reason for reason in reasons.values())


FIT = "def fit(self, train, val, context):"

# Each fault is one change of the faultless toy: text to replace, its replacement, the checks that must then fail, and a
# word of their messages.
DETECTOR_FAULTS = {
    "undescribed option": ('description="Side of a box, px."', "gt=0", {OPTIONS}, "'side' has no description"),
    "unknown requirement": (
        "def fit(",
        "@classmethod\n    def requires(cls, options):\n"
        "        return {'detector': api.Requirement('no-such')}\n\n    def fit(",
        {REQUIRES, *ALL_THAT_FIT},
        "no-such",
    ),
    "NaN": ("[self.learned, 0.1]", "[np.nan, 0.1]", ALL_THAT_PREDICT, "NaN"),
    "wrong length": ("[self.learned, 0.1]", "[self.learned]", ALL_THAT_PREDICT, "shape"),
    "outside": ("[60, 50]", "[6000, 50]", ALL_THAT_PREDICT, "lies outside the frame"),
    "x and y swapped": ("[60, 50]", "[60, frame.size[0]]", ALL_THAT_PREDICT, "outside the frame"),
    "complex scores": ("[self.learned, 0.1]", "[self.learned + 1j, 0.1]", ALL_THAT_PREDICT, "complex"),
    "complex boxes": (
        "return api.Detections",
        "return api.Detections(*(np.full(shape, 5 + 1j) for shape in ((1, 2), (1, 4), 1)))\n        {}",
        ALL_THAT_PREDICT,
        "predict().score is not numeric: it has complex numbers",
    ),
    "other extra arrays on another frame": (
        "self.options.side)",
        "self.options.side, extra={frame.id: [1, 2]})",
        ALL_THAT_PREDICT - {EMPTY},
        "different `kind` or `extra`",
    ),
    "unsaved state": ("float((folder", "0 * float((folder", {SAVES}, "Save everything"),
    "running mean": (
        "return api.Det",
        "self.seen = [*self.__dict__.get('seen', []), frame.read().mean()]\n"
        "        return api.Detections.from_points([[20, 30]], [self.learned / np.mean(self.seen)])\n        {}",
        {FRAME_ORDER},
        "before it",
    ),
    "first frame": (
        "[self.learned, 0.1]",
        "[self.learned, self.__dict__.setdefault('shade', frame.read().mean())]",
        {FRAME_ORDER},
        "before it",
    ),
    "a table of numpy": (
        "toy.json",
        "toy.npz",
        {PACKED},
        "the detector saved a .npz, but a model folder may only hold",
    ),
    "a file without suffix": ("toy.json", "toy", {PACKED}, "saved a file without suffix"),
    "a link": (
        "def save(self, folder):",
        "{}\n        (folder / 'frame.json').symlink_to('/etc/hostname')",
        {PACKED},
        "saved a link",
    ),
    "a link to a folder": (
        "def save(self, folder):",
        "{}\n        (folder / 'frames').symlink_to('/')",
        {PACKED},
        "saved a link",
    ),
    "the name of a file of the harness": ("toy.json", "facts.json", {PACKED}, "toy saved facts.json, a name that"),
    "own randomness": ("default_rng(context.seed)", "default_rng()", {SEED}, "context.seed"),
    "changes annotation": (FIT, "{}\n        train[0].mitoses.xy[:] += 1", {UNCHANGED}, "fit()"),
    "changes pixels": ("def predict(self, frame):", "{}\n        frame.read()[:] = 0", {UNCHANGED}, "predict()"),
    "cannot do without mitoses": (
        FIT,
        "{}\n        [sample.mitoses.xy[0] for sample in train]",
        ALL_THAT_FIT,
        "IndexError",
    ),
}


def test_a_detector_gets_masks_as_in_a_run(toy):
    source = DETECTOR.replace(FIT, f"{FIT}\n        assert train[0].mitoses.masks is None, 'no masks, please'")
    reasons = failures(toy(source))
    assert set(reasons) == ALL_THAT_FIT - {NO_MASKS}
    assert all("no masks, please" in reason for reason in reasons.values())


def test_a_detector_that_needs_masks_fails(toy):
    source = DETECTOR.replace(FIT, f"{FIT}\n        assert train[0].mitoses.masks is not None, 'masks, please'")
    assert set(failures(toy(source))) == {NO_MASKS}


def test_each_result_is_computed_once(toy):
    """The fitted instance is asked about three frames and a blank one, each of the others about two.

    The others are loaded, loaded for another order of frames, fitted again, and fitted without masks.
    """
    counted = DETECTOR.replace(
        "return api.Det", "calls.append((id(self), frame.id))\n        kept.append(self)\n        return api.Det"
    )
    checks = toy("calls, kept = [], []\n" + counted)
    assert failures(checks) == {}
    calls = sys.modules[subject("detector", "toy").cls.__module__].calls
    assert len(calls) == len(set(calls)) == 3 + 1 + 4 * 2


@pytest.mark.parametrize("fault", DETECTOR_FAULTS)
def test_a_detector_with_one_fault_fails_the_checks_for_it(toy, fault):
    old, new, expected, word = DETECTOR_FAULTS[fault]
    assert old in DETECTOR
    reasons = failures(toy(DETECTOR.replace(old, new.format(old) if "{}" in new else new)))
    assert set(reasons) == expected
    assert all(word in reason for reason in reasons.values())


@pytest.mark.parametrize(
    "boxes",
    [
        "api.square_boxes(mitoses.xy, 20.0)[::-1]",
        "np.tile([0.0, 0, 5, 5], (len(mitoses), 1))",
        "np.concatenate([mitoses.xy[:, ::-1] - 5, mitoses.xy[:, ::-1] + 5], axis=1)",
    ],
)
def test_boxes_of_other_mitoses_fail(toy, boxes):
    source = ESTIMATOR.replace(
        "api.clip_boxes(", f"api.clip_boxes({boxes}, frame.size)\n        return api.clip_boxes("
    )
    reasons = failures(toy(source, "estimator"))
    assert set(reasons) == ALL_THAT_PREDICT - {EMPTY, NO_MASKS}
    assert all("in the order of mitoses.xy" in reason for reason in reasons.values())


def test_a_plugin_without_a_version_does_not_load(toy):
    reasons = failures(toy(DETECTOR.replace('version = "1"', "version = None")))
    assert "has no `version`" in reasons[LOADS]


def test_an_option_without_a_default_does_not_load(toy):
    reasons = failures(toy(DETECTOR.replace("30.0, description", "description")))
    assert "has no default for side" in reasons[LOADS]


def test_a_verifier_that_drops_a_candidate_fails(toy):
    reasons = failures(toy(VERIFIER.replace("detections.score / 2", "detections.score[:-1]"), "verifier"))
    assert "shape" in reasons[RESULTS]


def test_a_verifier_that_returns_logits_fails(toy):
    reasons = failures(toy(VERIFIER.replace("detections.score / 2", "10 * detections.score - 5"), "verifier"))
    assert "Apply a sigmoid" in reasons[RESULTS]


def test_a_verifier_that_needs_a_candidate_fails(toy):
    source = VERIFIER.replace("detections.score / 2", "detections.score / detections.score.max()")
    assert set(failures(toy(source, "verifier"))) == {EMPTY}


@pytest.mark.parametrize("scores", ["sorted(detections.score)", "[n / 99 for n in range(len(detections))]"])
def test_a_verifier_that_scores_places_in_the_order_fails(toy, scores):
    reasons = failures(toy(VERIFIER.replace("detections.score / 2", scores), "verifier"))
    assert set(reasons) == {CANDIDATE_ORDER}


@pytest.mark.parametrize(("file", "failing"), [("sides.txt", set()), ("fit.log", {PACKED})])
def test_an_estimator_may_save_other_files_as_it_is_not_packed(toy, file, failing):
    source = ESTIMATOR + (
        "\n    def fit(self, train, val, context): pass"
        f"\n    def save(self, folder): (folder / '{file}').write_text('20')\n"
    )
    assert set(failures(toy(source, "estimator"))) == failing


def test_an_estimator_that_keeps_a_side_from_the_first_frame_fails(toy):
    side = "self.__dict__.setdefault('side', 20.0 + len(mitoses))"
    assert set(failures(toy(ESTIMATOR.replace("20.0", side), "estimator"))) == {FRAME_ORDER}


def test_a_verifier_sees_no_labels(toy):
    source = VERIFIER.replace("detections.score / 2", "detections.score * detections.is_mitosis")
    assert "is_mitosis" in failures(toy(source, "verifier"))[RESULTS]


def test_a_fuser_cannot_require(toy):
    source = FUSER + (
        "\n    @classmethod\n    def requires(cls, options):\n        return {'detector': api.Requirement('toy')}\n"
    )
    assert "a fuser cannot require a detector" in failures(toy(source, "fuser"))[REQUIRES]


@pytest.mark.parametrize(
    "fused",
    [
        "(detector - detector.min(initial=1)) / (np.ptp(detector) if len(detector) else 1) + verifier",
        "np.argsort(np.argsort(detector)) / max(len(detector), 1) + verifier",
        "detector + verifier / (1 + len(verifier))",
    ],
)
def test_a_fuser_that_compares_candidates_of_several_frames_fails(toy, fused):
    source = "import numpy as np\n" + FUSER.replace("detector + verifier", fused)
    assert set(failures(toy(source, "fuser"))) == {BY_FRAME}


def test_a_fuser_that_compares_them_with_those_of_validation_passes(toy):
    source = FUSER.replace("detector + verifier", "detector / self.most + verifier") + (
        "\n    def fit(self, validation): self.most = validation.detector.max(initial=0.1)"
        "\n    def save(self, folder): (folder / 'most.json').write_text(repr(float(self.most)))"
        "\n    def load(self, folder): self.most = float((folder / 'most.json').read_text())\n"
    )
    assert failures(toy(source, "fuser")) == {}


def test_a_fuser_whose_chosen_values_are_not_json_fails(toy):
    source = FUSER + "\n    def chosen(self):\n        return {'w': float('nan')}\n"
    assert set(failures(toy(source, "fuser"))) == {JSON, EDGE_CASES}


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("self.w = validation.detector.max()", "no candidates"),
        ("self.w = 1 / max((~validation.is_mitosis).sum().item(), not len(validation.detector))", "mitoses only"),
        ("self.w = 1 / max(validation.is_mitosis.sum().item(), not len(validation.detector))", "no mitoses"),
    ],
)
def test_a_fuser_that_cannot_be_fitted_on_such_validation_data_fails(toy, line, kind):
    source = f"{FUSER}\n    def fit(self, validation):\n        {line}\n"
    reasons = failures(toy(source, "fuser"))
    assert set(reasons) == {EDGE_CASES}
    assert f" fails on validation data with {kind}: " in reasons[EDGE_CASES]


def test_an_unexpected_error_is_reported_with_file_and_line_of_the_plugin(toy):
    reasons = failures(toy(DETECTOR.replace("return api.Det", "np.zeros(3).reshape(2)\n        return api.Det")))
    line = DETECTOR.splitlines().index("    def predict(self, frame):") + 2
    assert "ValueError: cannot reshape" in reasons[RESULTS]
    assert f".py:{line})" in reasons[RESULTS]


def test_a_plugin_that_ends_the_process_fails_with_its_file_and_line(toy):
    exits = DETECTOR.replace("return api.Det", "raise SystemExit('no licence')\n        return api.Det")
    reasons = failures(toy(exits))
    line = DETECTOR.splitlines().index("    def predict(self, frame):") + 2
    assert set(reasons) == ALL_THAT_PREDICT
    assert "SystemExit: no licence" in reasons[RESULTS]
    assert f".py:{line})" in reasons[RESULTS]


def test_a_fuser_that_ends_the_process_on_validation_data_without_candidates_fails(toy):
    source = f"{FUSER}\n    def fit(self, validation):\n        if not len(validation.detector): raise SystemExit(3)\n"
    reasons = failures(toy(source, "fuser"))
    assert set(reasons) == {EDGE_CASES}
    assert "no candidates: SystemExit: 3 (" in reasons[EDGE_CASES]


def test_the_name_of_a_check_includes_the_plugin_and_what_is_checked(toy):
    assert str(toy(DETECTOR)[0]) == f"detector toy: {LOADS}"


def test_the_role_is_found_by_the_name(toy):
    toy(VERIFIER, "verifier")
    assert contract.find_role("toy") == "verifier"


def test_an_unknown_plugin_is_reported_with_the_nearest(toy):
    toy(VERIFIER, "verifier")
    with pytest.raises(MitobenchError, match="Did you mean toy"):
        contract.find_role("toi")
