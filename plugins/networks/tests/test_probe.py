"""`probe:MODEL`: where an encoder comes from, what is embedded, and the logistic regression. Nothing is downloaded."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from mitobench import discovery
from mitobench.api import Candidates, Context, Embeddings, Frame, MitobenchError, Mitoses, PluginError, Sample
from mitobench.benchmark import Benchmark, Grid
from mitobench.datasets import synthetic
from mitobench.model import Model, pack
from mitobench.pipeline.executors import ProgressListener
from mitobench.reproduce import reproduce
from mitobench_networks.probe import encoder, head, source, verifier
from mitobench_networks.probe.config import EncoderConfig

pytestmark = pytest.mark.slow

HUB = "hf-hub:Some-Lab/Encoder"
REVISION = "0123456789abcdef0123456789abcdef01234567"
ARGUMENTS = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2, "init_values": 1e-5}
ARCHITECTURE = "vit_tiny_patch16_224"


@pytest.fixture(autouse=True)
def _no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> Any:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.delenv(source.ALLOW_DOWNLOAD, raising=False)


def small_network(seed: int = 5) -> torch.nn.Module:
    torch.manual_seed(seed)
    network: torch.nn.Module = timm.create_model(ARCHITECTURE, num_classes=0, **ARGUMENTS)
    return network


def write_repository(folder: Path, **changes: Any) -> Path:
    """Writes what timm pushes to a hub: config.json and model.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "architecture": ARCHITECTURE,
        "num_classes": 0,
        "num_features": 16,
        "model_args": ARGUMENTS,
        "pretrained_cfg": {
            "tag": "lab",
            "input_size": [3, 32, 32],
            "fixed_input_size": True,
            "mean": [0.7, 0.6, 0.7],
            "std": [0.2, 0.3, 0.2],
            "classifier": "head",
        },
    }
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    save_file(small_network().state_dict(), folder / "model.safetensors")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_repository(tmp_path / "encoder")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hugging Face cache, with one repository laid out as huggingface_hub does it."""
    root = tmp_path / "hub"
    repository = root / "models--Some-Lab--Encoder"
    written = write_repository(tmp_path / "pushed")
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(REVISION)
    snapshot, blobs = repository / "snapshots" / REVISION, repository / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted(written.iterdir())):
        path.rename(blobs / f"blob{number}")
        (snapshot / path.name).symlink_to(Path("..", "..", "blobs", f"blob{number}"))
    monkeypatch.setenv("HF_HUB_CACHE", str(root))
    return root


def frame(pixels: np.ndarray, mpp: float = 0.25, id: str = "f") -> Frame:
    return Frame(id, "d", "g", "A", (mpp, mpp), (pixels.shape[1], pixels.shape[0]), lambda: pixels)


def noise(side: int = 120, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)


def probe(model: str, folder: Path, **options: Any) -> Any:
    """A probe that has read its encoder, as in a stage of embeddings."""
    cls: Any = discovery.load("verifier", f"probe:{model}")
    made = cls(cls.Options(**options), "cpu")
    folder.mkdir(parents=True)
    description = json.loads(json.dumps(cls.describe_encoder(made.options)))
    made.write_encoder(folder, description, cls.pretrained(made.options))
    made.read_encoder(folder)
    return made


class TestSpecs:
    @pytest.mark.parametrize(
        ("argument", "message"),
        [
            ("resnet81", r"timm has no network 'resnet81'.*resnet18"),
            ("resnet18.nowhere", r"timm has no weights 'resnet18\.nowhere'.*resnet18\.a1_in1k"),
            ("hf-hub:encoder", "is not a repository. Write probe:hf-hub:ORG/NAME"),
            ("hf-hub:a/../../b", "is not a repository"),
            ("", "needs an argument, its model"),
        ],
    )
    def test_an_encoder_that_cannot_be_is_refused(self, argument: str, message: str) -> None:
        with pytest.raises(MitobenchError, match=message):
            discovery.load("verifier", f"probe:{argument}")

    @pytest.mark.parametrize(
        ("argument", "full"),
        [
            ("resnet18", "resnet18"),
            (f"{HUB}@v1.0", f"{HUB}@v1.0"),
            ("./encoders/mine/", "encoders/mine"),
            ("./mine", "./mine"),
            ("/encoders/mine/model.safetensors", "/encoders/mine"),
            ("./model.safetensors", "."),
        ],
    )
    def test_two_spellings_of_an_encoder_are_one(self, argument: str, full: str) -> None:
        assert source.spelled(argument) == full
        assert source.spelled(full) == full

    @pytest.mark.parametrize(
        ("argument", "path"),
        [("resnet18.a1_in1k", False), (HUB, False), ("./mine", True), ("a/b", True), ("~/mine", True), ("/a", True)],
    )
    def test_a_path_differs_from_a_name_and_a_repository(self, argument: str, path: bool) -> None:
        assert verifier.Probe.is_path(argument) is path

    def test_a_spec_is_known_before_its_folder_is_there(self) -> None:
        """A packed model brings its encoder, and needs neither folder nor repository."""
        assert discovery.load("verifier", "probe:./not/here").name == "probe:not/here"


class TestNetworkOfTimm:
    def test_without_weights_it_is_random_and_the_same_each_time(self, tmp_path: Path) -> None:
        torch.manual_seed(1)
        one = probe("test_resnet", tmp_path / "a", pretrained="none")
        torch.manual_seed(2)
        two = probe("test_resnet", tmp_path / "b", pretrained="none")
        xy = np.array([[60.0, 60.0]])
        assert np.array_equal(one.embed(frame(noise()), xy), two.embed(frame(noise()), xy))

    def test_a_file_of_weights_is_used_without_the_classifier(self, tmp_path: Path) -> None:
        torch.manual_seed(7)
        theirs = timm.create_model("test_resnet", num_classes=10).eval()
        save_file(theirs.state_dict(), tmp_path / "weights.safetensors")
        made = probe("test_resnet", tmp_path / "e", pretrained=str(tmp_path / "weights.safetensors"), patch=32)
        pixels = noise(32)
        images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        config = made._encoder.config
        mean, std = (torch.tensor(values)[:, None, None] for values in (config.mean, config.std))
        with torch.inference_mode():
            expected = theirs.forward_head(theirs.forward_features((images - mean) / std), pre_logits=True).numpy()
        assert made.embed(frame(pixels), np.array([[15.5, 15.5]])) == pytest.approx(expected, abs=1e-5)

    def test_a_file_of_another_architecture_lists_the_tensors(self, tmp_path: Path) -> None:
        save_file(timm.create_model("test_efficientnet").state_dict(), tmp_path / "other.safetensors")
        with pytest.raises(PluginError, match=r"missing conv1\.0\.weight; .*unexpected conv_stem\.weight"):
            probe("test_resnet", tmp_path / "e", pretrained=str(tmp_path / "other.safetensors"))

    def test_a_pickle_is_refused(self, tmp_path: Path) -> None:
        torch.save({}, tmp_path / "weights.pth")
        with pytest.raises(MitobenchError, match=r"\.safetensors"):
            probe("test_resnet", tmp_path / "e", pretrained=str(tmp_path / "weights.pth"))

    def test_a_network_that_does_not_pool_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(PluginError, match=r"does not pool its features: an image gives \(101, 64\)"):
            probe("test_vit", tmp_path / "e", pretrained="none", model_args={"global_pool": ""})

    def test_arguments_that_a_network_does_not_take_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(
            PluginError, match="The size of test_resnet with reg_tokens=4 cannot be known before it is built"
        ):
            probe("test_resnet", tmp_path / "e", pretrained="none", model_args={"reg_tokens": 4})


class TestFolder:
    def test_its_weights_and_its_description_are_used(self, folder: Path, tmp_path: Path) -> None:
        made = probe(str(folder), tmp_path / "e")
        assert made._encoder.config.mean == (0.7, 0.6, 0.7)
        assert made._encoder.config.side == 32
        ours, theirs = made._encoder.network.state_dict(), small_network().state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
        assert made.embed(frame(noise()), np.array([[50.0, 50.0], [2.0, 3.0]])).shape == (2, 16)

    def test_the_written_encoder_is_such_a_folder(self, folder: Path, tmp_path: Path) -> None:
        one = probe(str(folder), tmp_path / "e")
        two = probe(str(tmp_path / "e"), tmp_path / "again")
        assert one._encoder.config == two._encoder.config
        assert {p.name for p in (tmp_path / "e").iterdir()} == {"config.json", "model.safetensors"}

    def test_an_argument_of_the_option_overrides_that_of_the_file(self, folder: Path) -> None:
        config = EncoderConfig.of_folder(folder, {"init_values": 0.5, "mlp_layer": "SwiGLUPacked"})
        assert config.arguments == {**ARGUMENTS, "init_values": 0.5, "mlp_layer": "SwiGLUPacked"}

    def test_layers_of_pathology_encoders_can_be_built(self) -> None:
        arguments = {**ARGUMENTS, "mlp_layer": "SwiGLUPacked", "act_layer": "silu", "reg_tokens": 4}
        network = encoder.Encoder(EncoderConfig.of_timm(ARCHITECTURE, arguments)).network
        assert "SwiGLU" in str(network) or "GluMlp" in str(network)
        assert "SiLU" in str(network)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"architecture": None}, "names no `architecture`"),
            ({"architecture": "my_network"}, "timm has no network 'my_network'"),
            ({"architecture": "hf-hub:evil/repo"}, "timm has no network"),
            ({"model_args": {"pretrained": True}}, "takes no argument 'pretrained'"),
            ({"model_args": {"checkpoint_path": "/etc/passwd"}}, "takes no argument 'checkpoint_path'"),
            ({"model_args": {"mlp_layer": "load_pretrained"}}, "mlp_layer 'load_pretrained': must be one of Mlp"),
            ({"model_args": {"depth": 10**9}}, "depth 1000000000: must be at most 64"),
            ({"model_args": {"norm_layer": "os.system"}}, "arguments.norm_layer"),
            ({"model_args": {"embed_dim": 10**9}}, "embed_dim 1000000000: must be at most 16384"),
            ({"model_args": {"depths": [2, 999]}}, "depths 999: must be at most 64"),
            ({"model_args": [1]}, "must be objects"),
            ({"pretrained_cfg": {"input_size": [1, 32, 32]}}, "square images of three channels"),
            ({"pretrained_cfg": {"std": [0, 1, 1]}}, "std.0"),
        ],
    )
    def test_a_description_that_is_wrong_or_hostile_is_refused(
        self, tmp_path: Path, changes: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(PluginError, match=message):
            EncoderConfig.of_folder(write_repository(tmp_path / "bad", **changes), {})

    def test_a_network_larger_than_any_file_is_refused_before_it_is_built(self, tmp_path: Path) -> None:
        large = {"embed_dim": 16_384, "depth": 16, "num_heads": 2}
        bad = write_repository(tmp_path / "bad", model_args=large)
        with pytest.raises(PluginError, match=r"would have [\d,]+ bytes"):
            encoder.Encoder(EncoderConfig.of_folder(bad, {}))

    def test_what_is_missing_is_named(self, tmp_path: Path, folder: Path) -> None:
        with pytest.raises(
            PluginError, match=r"does not exist\. Give a folder with config\.json and model.safetensors"
        ):
            source.config(str(tmp_path / "nowhere"), {})
        with pytest.raises(PluginError, match=r"has no config\.json"):
            source.config(str(tmp_path), {})
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        with pytest.raises(PluginError, match=r"has pytorch_model\.bin, which could run code.*no model\.safetensors"):
            source.weights(str(folder), "auto")
        (folder / "config.json").write_text("{")
        with pytest.raises(PluginError, match="is not JSON"):
            source.config(str(folder), {})

    def test_tensors_of_another_network_are_listed(self, folder: Path, tmp_path: Path) -> None:
        tensors = small_network().state_dict()
        wrong = {**tensors, "pos_embed": tensors["pos_embed"][:, :5].contiguous(), "more": torch.zeros(2)}
        del wrong["cls_token"]
        save_file(wrong, folder / "model.safetensors")
        with pytest.raises(
            PluginError, match=r"missing cls_token; unexpected more; pos_embed is \(1, 5, 16\), must be"
        ):
            probe(str(folder), tmp_path / "e")


class TestRepository:
    def test_it_is_read_from_the_cache(self, cache: Path, tmp_path: Path) -> None:
        made = probe(HUB, tmp_path / "e")
        assert torch.equal(made._encoder.network.pos_embed, small_network().state_dict()["pos_embed"])
        pinned = probe(f"{HUB}@{REVISION}", tmp_path / "pinned")
        assert pinned._encoder.config == made._encoder.config

    @pytest.mark.parametrize(("model", "shown"), [("hf-hub:Some-Lab/Other", ""), (f"{HUB}@v2", " --revision v2")])
    def test_one_that_is_not_there_is_not_downloaded(self, cache: Path, model: str, shown: str) -> None:
        with pytest.raises(PluginError) as raised:
            source.config(model, {})
        message = str(raised.value)
        assert f"is not in the local Hugging Face cache, {cache}" in message
        assert f"config.json model.safetensors{shown}`, or give --allow-download." in message
        assert "ask for access on https://huggingface.co/Some-Lab/" in message

    def test_a_pickle_alone_is_refused(self, cache: Path) -> None:
        snapshot = cache / "models--Some-Lab--Encoder" / "snapshots" / REVISION
        (snapshot / "model.safetensors").rename(snapshot / "pytorch_model.bin")
        with pytest.raises(PluginError, match=r"has pytorch_model\.bin.*Convert the weights"):
            source.weights(HUB, "auto")

    @pytest.mark.parametrize(("allowed", "local"), [(None, True), ("0", True), ("1", False)])
    def test_only_the_user_allows_a_download(
        self, cache: Path, monkeypatch: pytest.MonkeyPatch, allowed: str | None, local: bool
    ) -> None:
        calls: list[bool] = []

        def download(repository: str, name: str, *, local_files_only: bool, **others: Any) -> str:
            calls.append(local_files_only)
            return str(cache / "models--Some-Lab--Encoder" / "snapshots" / REVISION / name)

        monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
        if allowed is not None:
            monkeypatch.setenv(source.ALLOW_DOWNLOAD, allowed)
        source.config(HUB, {})
        assert calls == [local]

    @pytest.mark.parametrize(
        ("error", "message"),
        [
            ("GatedRepoError", r"Ask for access on https://huggingface\.co/Some-Lab/Encoder, then sign in"),
            ("RepositoryNotFoundError", "the hub has no repository Some-Lab/Encoder"),
            ("RevisionNotFoundError", "has no revision v1"),
            ("RemoteEntryNotFoundError", r"the repository has no config\.json"),
            (None, "cannot be read: OSError: broken"),
        ],
    )
    def test_what_the_hub_refuses_says_what_to_do(
        self, monkeypatch: pytest.MonkeyPatch, error: str | None, message: str
    ) -> None:
        from huggingface_hub import errors

        def download(*arguments: Any, **named: Any) -> str:
            if error is None:
                raise OSError("broken")
            kind = getattr(errors, error)
            raise kind.__new__(kind)

        monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
        monkeypatch.setenv(source.ALLOW_DOWNLOAD, "1")
        with pytest.raises(PluginError, match=message):
            source.config(f"{HUB}@v1", {})


class TestEmbedding:
    def test_the_number_of_patches_at_once_changes_nothing(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = probe(str(folder), tmp_path / "e", mpp=0.5)
        xy = np.random.default_rng(0).uniform(0, 119, (9, 2))
        whole = made.embed(frame(noise()), xy)
        monkeypatch.setattr(verifier, "BATCH", 2)
        assert made.embed(frame(noise()), xy) == pytest.approx(whole, abs=1e-5)

    def test_no_points_give_no_embeddings_of_the_same_width(self, folder: Path, tmp_path: Path) -> None:
        assert probe(str(folder), tmp_path / "e").embed(frame(noise()), np.zeros((0, 2))).shape == (0, 16)

    @pytest.mark.parametrize(("views", "same"), [(1, False), (4, True), (8, True)])
    def test_with_views_a_turned_patch_has_the_same_embedding(self, tmp_path: Path, views: int, same: bool) -> None:
        made = probe("test_resnet", tmp_path / "e", pretrained="none", views=views, patch=33)
        pixels, centre = noise(33), np.array([[16.0, 16.0]])
        turned = np.ascontiguousarray(np.rot90(pixels))
        one, two = made.embed(frame(pixels), centre), made.embed(frame(turned), centre)
        assert np.allclose(one, two, atol=1e-4) is same

    def test_with_eight_views_a_mirrored_patch_has_the_same_embedding(self, folder: Path, tmp_path: Path) -> None:
        made = probe(str(folder), tmp_path / "e", views=8, patch=33)
        pixels, centre = noise(33), np.array([[16.0, 16.0]])
        mirrored = np.ascontiguousarray(pixels[:, ::-1])
        assert np.allclose(made.embed(frame(pixels), centre), made.embed(frame(mirrored), centre), atol=1e-4)

    def test_an_encoder_of_one_size_gets_patches_of_that_size(self, folder: Path, tmp_path: Path) -> None:
        made = probe(str(folder), tmp_path / "e", patch=100)
        sides = []
        made._encoder.network.register_forward_pre_hook(lambda module, given: sides.append(given[0].shape[-1]))
        made.embed(frame(noise()), np.array([[50.0, 50.0]]))
        assert sides == [32]
        wrong = probe(str(folder), tmp_path / "f", enlarged=64)
        with pytest.raises(PluginError, match="needs images of 32 px, not of enlarged=64"):
            wrong.embed(frame(noise()), np.array([[50.0, 50.0]]))

    @pytest.mark.parametrize(("enlarged", "side"), [(None, 48), (96, 96)])
    def test_others_get_the_patch_or_its_enlargement(self, tmp_path: Path, enlarged: int | None, side: int) -> None:
        made = probe("test_resnet", tmp_path / "e", pretrained="none", patch=48, enlarged=enlarged)
        sides = []
        made._encoder.network.register_forward_pre_hook(lambda module, given: sides.append(given[0].shape[-1]))
        made.embed(frame(noise()), np.array([[50.0, 50.0]]))
        assert sides == [side]

    def test_patches_are_centred_on_the_point_at_any_resolution(self, tmp_path: Path) -> None:
        made = probe("test_resnet", tmp_path / "e", pretrained="none", patch=16, mpp=0.5)
        made._encoder = Darkest(made._encoder.config)
        pixels = np.full((120, 160, 3), 255, np.uint8)
        pixels[78:82, 38:42] = 0
        found = made.embed(frame(pixels), np.array([[39.5, 79.5], [79.5, 39.5]]))
        assert found.tolist() == [[7.5, 7.5], [0.0, 0.0]]


class Darkest:
    """Gives the centre (x, y) of the dark pixels of a patch; 0 if there are none."""

    def __init__(self, config: EncoderConfig) -> None:
        self.config = replace_width(config)

    def __call__(self, patches: torch.Tensor, side: int) -> torch.Tensor:
        rows = []
        for patch in patches:
            y, x = torch.nonzero(patch.float().mean(dim=2) < 128, as_tuple=True)
            rows.append([x.float().mean(), y.float().mean()] if len(x) else [0.0, 0.0])
        return torch.tensor(rows)


def replace_width(config: EncoderConfig) -> EncoderConfig:
    return config.model_copy(update={"width": 2})


class TestHead:
    def data(self, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(3)
        labels = rng.random(count) < 0.1
        features = rng.normal(size=(count, 5)) * [1, 10, 100, 1, 0] + np.outer(labels, [2, 0, 0, 0, 0])
        return features.astype(np.float32), labels

    def fit(self, **options: Any) -> tuple[head.Head, dict[str, Any]]:
        return head.fit(*self.data(), **{"C": 1.0, "class_weight": "balanced", "max_iter": 1000, **options})

    def test_it_separates_and_ignores_the_scale_of_the_numbers(self) -> None:
        fitted, info = self.fit()
        features, labels = self.data()
        score = fitted.probability(features)
        assert score[labels].mean() > 0.7 > 0.4 > score[~labels].mean()
        assert info["converged"]
        assert np.isfinite(score).all()

    def test_it_computes_what_scikit_learn_does(self) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        features, labels = self.data()
        scaler = StandardScaler().fit(features)
        theirs = LogisticRegression(C=0.3, max_iter=1000).fit(scaler.transform(features), labels)
        ours, _ = self.fit(C=0.3, class_weight=None)
        expected = theirs.predict_proba(scaler.transform(features))[:, 1]
        assert ours.probability(features) == pytest.approx(expected, abs=1e-3)

    def test_two_fits_are_equal_and_saving_keeps_every_bit(self, tmp_path: Path) -> None:
        features, _ = self.data()
        one, two = self.fit()[0], self.fit()[0]
        one.save(tmp_path)
        loaded = head.Head.load(tmp_path)
        for other in (two, loaded):
            assert np.array_equal(one.probability(features), other.probability(features))

    def test_a_solver_that_is_stopped_early_says_so(self) -> None:
        assert self.fit(max_iter=1)[1] == {"steps": 1, "converged": False}

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"scale": torch.zeros(5)}, "holds numbers that no fit gives"),
            ({"weights": torch.full((5,), torch.nan)}, "holds numbers that no fit gives"),
            ({"weights": torch.ones(4)}, "is not a head of a probe"),
            ({"intercept": torch.ones(2)}, "is not a head of a probe"),
            ({"more": torch.ones(5)}, "is not a head of a probe"),
        ],
    )
    def test_a_changed_file_is_refused(self, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
        fitted, _ = self.fit()
        tensors = {name: torch.from_numpy(array) for name, array in vars(fitted).items()}
        save_file({**tensors, **changes}, tmp_path / head.FILE)
        with pytest.raises(PluginError, match=message):
            head.Head.load(tmp_path)

    def test_embeddings_of_another_encoder_are_refused(self) -> None:
        with pytest.raises(PluginError, match="gives 7 numbers, but the probe was fitted on 5"):
            self.fit()[0].probability(np.zeros((2, 7), np.float32))


def sample(mitoses: int, imposters: int, candidates: list[bool], score: float = 0.5) -> Sample:
    """Mitoses have embeddings near 1, everything else near -1."""
    rng = np.random.default_rng(mitoses + 10 * imposters)

    def near(labels: np.ndarray) -> np.ndarray:
        return (np.where(labels, 1, -1)[:, None] + rng.normal(0, 0.3, (len(labels), 3))).astype(np.float32)

    points, labels = np.zeros((len(candidates), 2)), np.array(candidates, dtype=bool)
    found = Candidates(points, np.zeros((len(candidates), 4)), np.full(len(candidates), score), labels)
    annotated = Mitoses(np.zeros((mitoses, 2)), None, np.zeros((imposters, 2)))
    embedded = Embeddings(near(np.ones(mitoses, bool)), near(np.zeros(imposters, bool)), near(labels))
    return Sample(frame(noise(8)), annotated, None, found, embedded)


class TestFit:
    def fitted(self, samples: list[Sample], tmp_path: Path, **options: Any) -> tuple[Any, Context]:
        cls: Any = discovery.load("verifier", "probe:test_resnet")
        made, context = cls(cls.Options(pretrained="none", **options)), Context(0, "cpu", tmp_path)
        made.fit(samples, [], context)
        return made, context

    def test_it_learns_from_all_that_is_annotated_and_detected(self, tmp_path: Path) -> None:
        made, context = self.fitted([sample(2, 1, [True, False, False]), sample(0, 3, [])], tmp_path, C=1.0)
        assert context.training_info["patches"] == {"mitoses": 3, "others": 6}
        score = made.score_embedded(None, np.array([[1, 1, 1], [-1, -1, -1]], np.float32))
        assert score[0] > 0.8 > 0.2 > score[1]

    def test_candidates_below_the_floor_are_left_out(self, tmp_path: Path) -> None:
        samples = [sample(2, 1, [True, False], score=0.5)]
        _, context = self.fitted(samples, tmp_path, candidates_floor=0.5)
        assert context.training_info["patches"] == {"mitoses": 2, "others": 1}

    @pytest.mark.parametrize("samples", [[sample(0, 2, [False])], [sample(2, 0, [True])]], ids=["others", "mitoses"])
    def test_one_class_alone_is_refused(self, samples: list[Sample], tmp_path: Path) -> None:
        with pytest.raises(PluginError, match="needs patches of mitoses and of other things"):
            self.fitted(samples, tmp_path)

    def test_the_seed_changes_nothing(self, tmp_path: Path) -> None:
        samples = [sample(3, 2, [True, False, False])]
        cls: Any = discovery.load("verifier", "probe:test_resnet")
        rows = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
        scores = []
        for seed in (0, 1):
            made = cls(cls.Options(pretrained="none"))
            made.fit(samples, [], replace(Context(0, "cpu", tmp_path), seed=seed))
            scores.append(made.score_embedded(None, rows))
        assert np.array_equal(*scores)


@pytest.mark.thorough
def test_a_run_with_a_repository_is_reproduced_and_its_model_needs_no_cache(cache: Path, tmp_path: Path) -> None:
    synthetic.write(tmp_path / "data", seed=1, frames=2, size=128)
    roles = {"detector": ["blobs"], "verifier": [f"probe:{HUB}"], "fuser": ["linear"], "estimator": ["fixed"]}
    benchmark = Benchmark.prepare(
        [Grid(roles)],
        data=tmp_path / "data",
        datasets=["synthetic"],
        profile="smoke",
        device="cpu",
        seeds=[0, 1],
        store=tmp_path / "store",
    )
    benchmark.run(tmp_path / "out")
    assert not benchmark.has_failures, [found.reason for _, found in benchmark.records]
    (path, found), _ = benchmark.records
    assert f"probe:{HUB} started from model.safetensors" in found.notes
    assert len(list((tmp_path / "store" / "stages" / "encoder").iterdir())) == 1
    saved = [p.name for p in (tmp_path / "store" / "stages" / "fit-verifier").rglob("*.safetensors")]
    assert saved == ["head.safetensors"] * 2
    again = reproduce(
        path,
        data=tmp_path / "data",
        show_progress=lambda _: contextlib.nullcontext(ProgressListener()),
        notify=lambda _: None,
    )
    assert (again.verdict, again.differing, again.changed) == ("equal", [], [])
    cache.rename(tmp_path / "gone")
    card = pack(path, tmp_path / "store", tmp_path / "model")
    assert {"encoder/config.json", "encoder/model.safetensors", "verifier/head.safetensors"} <= card.files.keys()
    key = benchmark.workspace.part(["synthetic"], "test")[0]
    assert len(Model.load(tmp_path / "model").predict(benchmark.workspace.item(key).frame))
