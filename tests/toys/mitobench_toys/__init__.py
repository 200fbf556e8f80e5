"""A package of small, fast plugins for the tests. Some are wrong in a way that the harness must handle."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mitobench.api import (
    BoxEstimator,
    Context,
    Detections,
    Detector,
    EmbeddingVerifier,
    Field,
    File,
    Frame,
    Fuser,
    MitobenchError,
    Mitoses,
    Options,
    Requirement,
    Sample,
    Validation,
    Verifier,
    mask_box,
)
from mitobench.methods.external import External
from mitobench.methods.linear import Linear

Floats = NDArray[np.float64]


def darkness(frame: Frame, xy: Floats) -> Floats:
    """1 - brightness around each point, [N]."""
    smooth = ndimage.uniform_filter(frame.read().mean(axis=2), 7)
    x, y = np.clip(np.rint(xy).astype(int), 0, np.array(frame.size) - 1).T
    return 1 - smooth[y, x] / 255


class ToyBoxes(BoxEstimator):
    """20 x 20 px around every mitosis."""

    name, version = "toy-boxes", "1"

    def boxes(self, frame: Frame, mitoses: Mitoses) -> Floats:
        assert mitoses.masks is None, "an estimator that does not need masks is not shown any"
        boxes = np.concatenate([mitoses.xy - 10, mitoses.xy + 10], axis=1)
        return np.clip(boxes, 0, np.tile(frame.size, 2))


class ToyBlobs(ToyBoxes):
    """The same; reports a blob for every second mitosis."""

    name = "toy-blobs"

    def covered(self, frame: Frame, mitoses: Mitoses) -> NDArray[np.bool_]:
        return np.arange(len(mitoses)) % 2 == 0


class ToyMasks(BoxEstimator):
    """Boxes of masks."""

    name, version, needs_masks = "toy-masks", "1", True

    def boxes(self, frame: Frame, mitoses: Mitoses) -> Floats:
        return np.array([mask_box(mask) for mask in mitoses.masks or ()]).reshape(-1, 4)


class ToyDark(Detector):
    """Finds dark blobs; learns their size from the boxes."""

    name, version = "toy-dark", "1"
    inference_options = ("most",)

    class Options(Options):
        """Options of `toy-dark`."""

        renamed: ClassVar[Mapping[str, str]] = {"limit": "most"}

        most: int = Field(40, ge=1, description="greatest number of candidates a frame")
        shrink: float = Field(1.0, gt=0, description="factor on the side of the boxes")

    side = 20.0

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        boxes = np.concatenate([sample.boxes for sample in train if sample.boxes is not None])
        self.side = float((boxes[:, 2:] - boxes[:, :2]).mean()) * self.options.shrink
        context.training_info["boxes"] = len(boxes)
        context.progress(1, 1)

    def predict(self, frame: Frame) -> Detections:
        smooth = ndimage.gaussian_filter(255 - frame.read().mean(axis=2), 3)
        peaks = (smooth == ndimage.maximum_filter(smooth, 15)) & (smooth > 60)
        y, x = np.nonzero(peaks)
        best = np.argsort(-smooth[y, x], kind="stable")[: self.options.most]
        xy = np.stack([x, y], axis=1).astype(float)[best]
        return Detections.from_points(xy, smooth[y, x][best] / 255, self.side)

    def save(self, folder: Path) -> None:
        (folder / "side.json").write_text(json.dumps(self.side))

    def load(self, folder: Path) -> None:
        self.side = json.loads((folder / "side.json").read_text())


class ToyFamily(ToyDark):
    """A family of a third party: `toy-family:dark`, `toy-family:darker` and `toy-family:darkest`."""

    name, version = "toy-family", "1"
    argument, example = "depth", "darker"
    uses_boxes = False
    depths: ClassVar[Mapping[str, float]] = {"dark": 60, "darker": 80, "darkest": 100}

    class Options(ToyDark.Options):
        """Options of `toy-family`."""

        depth: str = Field("", description="dark, darker or darkest")

    @classmethod
    def resolve(cls, argument: str) -> str:
        """Accepts the number in place of the word, so that there are two spellings."""
        words = {**{word: word for word in cls.depths}, **{f"{grey:g}": word for word, grey in cls.depths.items()}}
        if argument not in words:
            raise MitobenchError(f"toy-family has no depth {argument!r}. Available: {', '.join(cls.depths)}.")
        return words[argument]

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        context.progress(1, 1)

    def predict(self, frame: Frame) -> Detections:
        found = super().predict(frame)
        return found[found.score * 255 > self.depths[self.options.depth]]


class ToyBoxless(ToyDark):
    """The same for every estimator."""

    name, uses_boxes = "toy-boxless", False

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        assert all(sample.boxes is None for sample in train), "what is not used is not there"


class ToyChild(ToyDark):
    """Starts from a fitted toy-dark."""

    name = "toy-child"

    class Options(Options):
        """Options of `toy-child`."""

        most: int = Field(20, ge=1, description="greatest number of candidates a frame")

    @classmethod
    def requires(cls, options: Any) -> Mapping[str, Requirement]:
        return {"detector": Requirement("toy-dark")}

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        parent = context.upstream["detector"]
        assert isinstance(parent, ToyDark)
        self.side = parent.side


class ToyPretrained(ToyDark):
    """Starts from a file with the side of its boxes."""

    name = "toy-pretrained"

    class Options(ToyDark.Options):
        """Options of `toy-pretrained`."""

        pretrained: str = Field("none", description="a file, or none")

    @classmethod
    def pretrained(cls, options: Any) -> Path | None:
        return None if options.pretrained == "none" else Path(options.pretrained)

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        if context.pretrained is not None:
            self.side = float(context.pretrained.read_text())


class ToyNoFacts(ToyDark):
    """Puts a value into `training_info` that is not JSON."""

    name = "toy-unserializable"

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        context.training_info["nothing"] = float("nan")


class ToyNaN(ToyDark):
    """Returns a score that is not a number."""

    name = "toy-nan"

    def predict(self, frame: Frame) -> Detections:
        return Detections.from_points([[5.0, 5.0]], [np.nan])


class ToyFails(ToyDark):
    """Raises in `fit`."""

    name = "toy-fails"

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        raise RuntimeError("this toy fails on purpose")


class ToySlow(ToyDark):
    """Takes a second to fit, and logs every fit in a file."""

    name = "toy-slow"

    class Options(ToyDark.Options):
        """Options of `toy-slow`."""

        diary: str = Field("", description="file that gets a line for every fit")

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        with open(self.options.diary, "a") as diary:
            diary.write("fit\n")
        time.sleep(1)
        super().fit(train, val, context)


class ToyBusy(ToyBoxless):
    """Computes for a while in `fit`."""

    name = "toy-busy"

    class Options(ToyDark.Options):
        """Options of `toy-busy`."""

        seconds: float = Field(1.0, ge=0, description="CPU time of a fit")

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        end = time.process_time() + self.options.seconds
        while time.process_time() < end:
            sum(range(10_000))


class ToyWaits(ToyDark):
    """Writes the number of its process into a file, and does not end a fit before it was started a second time."""

    name = "toy-waits"

    class Options(ToyDark.Options):
        """Options of `toy-waits`."""

        diary: str = Field("", description="file that gets a line for every fit")

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        with open(self.options.diary, "a") as diary:
            diary.write(f"{os.getpid()}\n")
        end = time.monotonic() + 120
        while len(Path(self.options.diary).read_text().splitlines()) < 2 and time.monotonic() < end:
            time.sleep(0.1)
        super().fit(train, val, context)


class ToyFull(ToyDark):
    """Finds the disk full when it saves its fit."""

    name = "toy-full"

    def save(self, folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class ToyExits(ToyDark):
    """Ends the process with SystemExit."""

    name = "toy-exits"

    def predict(self, frame: Frame) -> Detections:
        sys.exit(0)


class ToyCarded(ToyDark):
    """Has a card that is not valid TOML."""

    name = "toy-carded"


class ToyDies(ToyDark):
    """Ends the process at once, like a crash in a library."""

    name = "toy-dies"

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        os._exit(9)


class ToyVersionless(Detector):
    """Has no version."""

    name = "toy-versionless"

    def predict(self, frame: Frame) -> Detections:
        return Detections.none()


class ToyDemanding(ToyDark):
    """Has an option without a default."""

    name = "toy-demanding"

    class Options(Options):
        """Options of `toy-demanding`."""

        needed: int = Field(description="has no default")


class ToyConfused(ToyDark):
    """Raises in `requires`."""

    name = "toy-confused"

    @classmethod
    def requires(cls, options: Any) -> Mapping[str, Requirement]:
        raise KeyError("confused")


class ToyNegative(ToyDark):
    """Scores are logarithms of probabilities: below 0."""

    name = "toy-negative"

    def predict(self, frame: Frame) -> Detections:
        found = super().predict(frame)
        return Detections(found.xy, found.boxes, np.log(found.score))


class ToyMean(Verifier):
    """Darkness against the mean of mitoses and imposters."""

    name, version = "toy-mean", "1"
    middle = 0.5

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        scores = []
        for sample in train:
            assert sample.candidates is not None
            found = darkness(sample.frame, sample.candidates.xy)
            scores += [(s, m) for s, m in zip(found, sample.candidates.is_mitosis, strict=True)]
        means = [np.mean([s for s, m in scores if m == which] or [0.5]) for which in (True, False)]
        self.middle = float(np.mean(means))

    def score(self, frame: Frame, detections: Detections) -> Floats:
        return 1 / (1 + np.exp(-10 * (darkness(frame, detections.xy) - self.middle)))

    def save(self, folder: Path) -> None:
        (folder / "middle.json").write_text(json.dumps(self.middle))

    def load(self, folder: Path) -> None:
        self.middle = json.loads((folder / "middle.json").read_text())


class ToyShort(ToyMean):
    """Drops a detection, which is forbidden."""

    name = "toy-short"

    def score(self, frame: Frame, detections: Detections) -> Floats:
        return super().score(frame, detections)[1:]


class ToyProbe(EmbeddingVerifier):
    """Its frozen encoder is the weight of the darkness, and its head a threshold on the embedding."""

    name, version = "toy-probe", "1"
    encoder_options = ("shade", "pretrained")
    embedding_options = ("offset",)

    class Options(Options):
        """Options of `toy-probe`."""

        shade: float = Field(1.0, gt=0, description="factor of the encoder")
        pretrained: str = Field("none", description="a file with the weight, or none")
        offset: float = Field(0.0, description="px that points are moved by before they are embedded")
        steepness: float = Field(10.0, gt=0, description="of the head")

    middle = 0.5

    @classmethod
    def pretrained(cls, options: Any) -> Path | None:
        return None if options.pretrained == "none" else Path(options.pretrained)

    @classmethod
    def describe_encoder(cls, options: Any) -> dict[str, Any]:
        return {"layers": ["darkness"]}

    def write_encoder(self, folder: Path, description: Mapping[str, Any], weights: Path | None) -> None:
        assert description == {"layers": ["darkness"]}
        weight = self.options.shade * (float(weights.read_text()) if weights else 1.0)
        (folder / "encoder.json").write_text(json.dumps(weight))

    def read_encoder(self, folder: Path) -> None:
        self.weight = json.loads((folder / "encoder.json").read_text())

    def embed(self, frame: Frame, xy: Floats) -> NDArray[np.float32]:
        dark = self.weight * darkness(frame, xy + self.options.offset)
        return np.stack([dark, np.ones(len(dark))], axis=1).astype(np.float32)

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        assert not hasattr(self, "weight"), "a fit needs no encoder"
        of = {True: [np.zeros(0)], False: [np.zeros(0)]}
        for sample in (*train, *val):
            assert sample.candidates is not None
            assert sample.embeddings is not None
            assert sample.embeddings.mitoses.shape == (len(sample.mitoses), 2)
            assert sample.embeddings.imposters.shape == (len(sample.mitoses.imposters), 2)
            assert sample.embeddings.candidates.shape == (len(sample.candidates), 2)
            for which in (True, False):
                of[which].append(sample.embeddings.candidates[sample.candidates.is_mitosis == which, 0])
            of[True].append(sample.embeddings.mitoses[:, 0])
        jitter = np.random.default_rng(context.seed).normal(0, 0.01)
        self.middle = float(np.mean([np.concatenate(of[which]).mean() for which in (True, False)])) + jitter

    def score_embedded(self, detections: Detections, embeddings: NDArray[np.float32]) -> Floats:
        dark = embeddings[:, 0].astype(np.float64)
        return 1 / (1 + np.exp(-self.options.steepness * (dark - self.middle)))

    def save(self, folder: Path) -> None:
        (folder / "middle.json").write_text(json.dumps(self.middle))

    def load(self, folder: Path) -> None:
        self.middle = json.loads((folder / "middle.json").read_text())


class ToyNet(Verifier):
    """A tiny network, trained by the real loop with a checkpoint at every step."""

    name, version = "toy-net", "1"

    class Options(Options):
        """Options of `toy-net`."""

        pretrained: str = Field("none", description="weights to start from")
        iterations: int = Field(40, ge=0, description="optimizer steps; 0: the network that `pretrained` names")
        pause: float = Field(0.0, ge=0, description="s to wait before an item is drawn")

    schedule = ("iterations",)

    @classmethod
    def takes_over(cls, options: Options) -> bool:
        return not options.iterations

    @classmethod
    def pretrained(cls, options: Options) -> Path | None:
        from mitobench.training import find_weights

        return find_weights(options.pretrained, "toy")

    def network(self) -> Any:
        import torch
        from torch import nn

        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1)).to(self.device)

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        import torch

        from mitobench.training import Supervised, copy_trained, runner

        self.net = self.network()
        if not self.options.iterations:
            return copy_trained(context.pretrained, self.net)
        runner.CHECKPOINT_SECONDS = 0.0
        rows = [
            (darkness(s.frame, s.candidates.xy), s.candidates.score, s.candidates.is_mitosis)
            for s in train
            if s.candidates is not None
        ]
        dark, score, label = (np.concatenate([row[i] for row in rows]) for i in range(3))
        inputs = np.stack([dark, score, dark * score], axis=1).astype(np.float32)
        loss = torch.nn.functional.binary_cross_entropy_with_logits
        runner.train(
            Supervised(self.net, lambda out, target: loss(out[:, 0], target)),
            _Rows(inputs, label.astype(np.float32), self.options.pause),
            context,
            iterations=self.options.iterations,
            batch_size=8,
            optimizer={"type": "AdamW", "lr": 1e-2},
        )

    def score(self, frame: Frame, detections: Detections) -> Floats:
        import torch

        dark = darkness(frame, detections.xy)
        inputs = np.stack([dark, detections.score, dark * detections.score], axis=1).astype(np.float32)
        with torch.no_grad():
            logits = self.net.eval()(torch.from_numpy(inputs).to(self.device))
        return torch.sigmoid(logits[:, 0]).double().cpu().numpy()

    def save(self, folder: Path) -> None:
        from mitobench.training import save_weights

        save_weights(self.net, folder)

    def load(self, folder: Path) -> None:
        from mitobench.training import load_weights

        self.net = self.network()
        load_weights(self.net, folder)


class _Rows:
    def __init__(self, inputs: NDArray[np.float32], targets: NDArray[np.float32], pause: float) -> None:
        self.inputs, self.targets, self.pause = inputs, targets, pause

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        time.sleep(self.pause)
        i = rng.integers(len(self.inputs))
        return {"inputs": self.inputs[i], "targets": self.targets[i]}


class ToySum(Fuser):
    """A weighted sum; the weight by validation F1."""

    name, version = "toy-sum", "1"
    w = 0.5

    def fit(self, validation: Validation) -> None:
        grid = [0.0, 0.25, 0.5, 0.75, 1.0]
        self.w = max(grid, key=lambda w: validation.best_f1(w * validation.detector + (1 - w) * validation.verifier))

    def fuse(self, detector: Floats, verifier: Floats) -> Floats:
        return self.w * detector + (1 - self.w) * verifier

    def chosen(self) -> dict[str, Any]:
        return {"w": self.w}

    def save(self, folder: Path) -> None:
        (folder / "w.json").write_text(json.dumps(self.w))

    def load(self, folder: Path) -> None:
        self.w = json.loads((folder / "w.json").read_text())


class ToyVerifierOnly(Fuser):
    """The verifier's score."""

    name, version, needs_verifier = "toy-verifier-only", "1", True

    def fuse(self, detector: Floats, verifier: Floats) -> Floats:
        return verifier


class ToyConfigured(ToyDark):
    """Reads the side of its boxes from a file."""

    name = "toy-configured"

    class Options(ToyDark.Options):
        """Options of `toy-configured`."""

        config: File | None = Field(None, description="a file that holds the side of a box, px")

    def predict(self, frame: Frame) -> Detections:
        if self.options.config is not None:
            self.side = float(self.options.config.read_bytes().split(b"\0")[0])
        return super().predict(frame)


class ToyLinear(Linear):
    """Inherits from a built-in fuser, but is another plugin."""

    name = "toy-linear"


class ToyProgram(External):
    """The family `external` under another name."""

    name = "toy-program"


class ToyHub(ToyBoxless):
    """A family whose members are on a hub. It opens no socket: it writes down that it would have."""

    name = "toy-hub"
    argument, example = "place", "hf-hub:ORG/NAME"

    class Options(ToyDark.Options):
        """Options of `toy-hub`."""

        place: str = Field("", description="where the weights are")
        pretrained: str = Field("none", description="weights to start from")

    @classmethod
    def pretrained(cls, options: Any) -> Path | None:
        with open("contacted.txt", "a") as diary:
            diary.write(f"{options.place} {options.pretrained}\n")
        return None
