"""The synthetic data sets: the same bytes for a seed, both real layouts, plausible imposters."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mitobench.datasets import mitos2012, mitos2014, synthetic
from mitobench.datasets.splits import assign, load_split
from mitobench.datasets.synthesis import MPP, Picture, Slide, make_frame, place_figures
from mitobench.errors import DataError, MitobenchError

pytestmark = pytest.mark.slow

READERS = [synthetic.Synthetic, synthetic.SyntheticCentroids]


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    """One frame from each of 30 slides."""
    return [make_frame(7, slide, 0) for slide in range(30)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small copy of both data sets."""
    folder = tmp_path_factory.mktemp("data") / "small"
    synthetic.write(folder, seed=3, frames=1, size=128)
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def figures(slide: int, number: int) -> np.ndarray:
    """Whether each figure of a frame in the default data sets is a mitosis. Much faster than making the frame."""
    return place_figures(np.random.default_rng([0, slide, number]), Slide.draw(0, slide), 256)[1]


class TestFrames:
    def test_same_seed_slide_and_number_give_the_same_frame(self) -> None:
        one, other = make_frame(0, 1, 2, size=128), make_frame(0, 1, 2, size=128)
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.mitoses.xy, other.mitoses.xy)

    @pytest.mark.parametrize("arguments", [(1, 1, 2), (0, 2, 2), (0, 1, 3)])
    def test_another_seed_slide_or_number_gives_another_frame(self, arguments: tuple[int, int, int]) -> None:
        assert not np.array_equal(make_frame(*arguments, size=128).image, make_frame(0, 1, 2, size=128).image)

    def test_pixels_are_rgb_of_the_size_asked_for(self) -> None:
        image = make_frame(0, 0, 0, size=96).image
        assert image.shape == (96, 96, 3)
        assert image.dtype == np.uint8

    def test_colours_are_those_of_haematoxylin_and_eosin(self, pictures: list[Picture]) -> None:
        red, green, blue = np.mean([np.median(p.image, axis=(0, 1)) for p in pictures], axis=0)
        assert red > blue > green

    def test_masks_lie_inside_the_frame_and_their_means_are_the_centroids(self, pictures: list[Picture]) -> None:
        for picture in pictures:
            assert picture.mitoses.masks is not None
            for mask, xy in zip(picture.mitoses.masks, picture.mitoses.xy, strict=True):
                assert mask.min() >= 0
                assert mask.max() < 256
                assert mask.mean(axis=0) == pytest.approx(xy)

    def test_masks_are_dark(self, pictures: list[Picture]) -> None:
        for picture in pictures:
            grey = picture.image.mean(axis=2)
            for mask in picture.mitoses.masks or ():
                assert grey[mask[:, 1], mask[:, 0]].mean() < 0.8 * np.median(grey)

    def test_mitoses_have_the_size_of_real_ones(self, pictures: list[Picture]) -> None:
        areas_um2 = [len(mask) * MPP**2 for picture in pictures for mask in picture.mitoses.masks or ()]
        assert 20 < np.median(areas_um2) < 45

    def test_every_kind_occurs(self, pictures: list[Picture]) -> None:
        assert {k for p in pictures for k in p.kinds} == {"metaphase", "anaphase", "ring", "clump"}
        kinds = {k for p in pictures for k in p.imposter_kinds}
        assert kinds == {"apoptotic", "pyknotic", "hyperchromatic", "spindle"}

    def test_some_frames_hold_no_mitosis(self, pictures: list[Picture]) -> None:
        assert 0 < sum(len(p.mitoses) == 0 for p in pictures) < len(pictures) / 3

    def test_slides_differ_in_staining(self, pictures: list[Picture]) -> None:
        medians = np.array([np.median(p.image, axis=(0, 1)) for p in pictures])
        assert (medians.std(axis=0) > 5).all()

    @pytest.mark.parametrize("feature", ["darkest", "dark area"])
    def test_darkness_and_size_do_not_separate_mitoses_from_imposters(
        self, pictures: list[Picture], feature: str
    ) -> None:
        values, is_mitosis = [], []
        for picture in pictures:
            density = -np.log10((picture.image.mean(axis=2) + 1) / 256)
            centres = np.concatenate([picture.mitoses.xy, picture.mitoses.imposters])
            for column, row in centres.round().astype(int):
                near = density[max(row - 16, 0) : row + 16, max(column - 16, 0) : column + 16]
                values.append(np.percentile(near, 99) if feature == "darkest" else (near > 0.55).sum())
            is_mitosis += [True] * len(picture.mitoses) + [False] * len(picture.mitoses.imposters)
        assert 0.3 < roc_auc_score(is_mitosis, values) < 0.7


class TestFolder:
    @pytest.mark.parametrize("reader", READERS)
    def test_what_is_read_is_what_was_made(self, folder: Path, reader: type[synthetic._SyntheticReader]) -> None:
        dataset = reader().read(folder)
        plan = next(plan for plan in synthetic.PLANS if plan.reader is reader)
        assert [plan.frame_id(slide, 0) for slide in plan.slides] == list(dataset.items)
        for slide, item in zip(plan.slides, dataset.items.values(), strict=True):
            picture = make_frame(3, slide, 0, size=128)
            assert np.array_equal(item.frame.read(), picture.image)
            assert item.mitoses.xy == pytest.approx(picture.mitoses.xy)
            assert item.mitoses.labelled
            assert item.part == ("test" if slide in plan.test else "train")
            if dataset.card.has_masks:
                for mask, made in zip(item.mitoses.masks or (), picture.mitoses.masks or (), strict=True):
                    assert np.array_equal(mask, made)
            if dataset.card.has_imposters:
                assert item.mitoses.masks is None
                assert item.mitoses.imposters == pytest.approx(picture.mitoses.imposters)

    @pytest.mark.parametrize("reader", READERS)
    def test_is_complete_and_without_anomalies(self, folder: Path, reader: type[synthetic._SyntheticReader]) -> None:
        dataset = reader().read(folder.parent)
        assert dataset.coverage is None
        assert dataset.notes == ()

    def test_a_missing_frame_is_reported(self, tmp_path: Path, folder: Path) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        next(copy.rglob("A00_00.bmp")).unlink()
        assert synthetic.Synthetic().read(copy).coverage == "8 of 9 A frames"

    @pytest.mark.parametrize("reader", READERS)
    def test_no_slide_is_in_two_parts(self, folder: Path, reader: type[synthetic._SyntheticReader]) -> None:
        dataset = reader().read(folder)
        split = assign(load_split(dataset.name, "by-slide"), dataset)
        assert not split.shares_groups
        assert len(split.groups["test"]) >= 5
        assert sorted(id for part in split.parts.values() for id in part) == list(dataset.items)
        assert set(split.groups["test"]) == set(dataset.card.test_groups)

    def test_same_seed_writes_the_same_bytes(self, tmp_path: Path, folder: Path) -> None:
        synthetic.write(tmp_path / "again", seed=3, frames=1, size=128)
        assert digests(tmp_path / "again") == digests(folder)

    @pytest.mark.parametrize("reader", READERS)
    def test_a_set_is_found_at_any_depth_and_from_its_own_folder(
        self, folder: Path, reader: type[synthetic._SyntheticReader]
    ) -> None:
        own = folder / reader.name
        assert reader().find(folder.parent) == reader().find(folder) == reader().find(own) == [own]

    def test_one_set_is_not_the_other(self, folder: Path) -> None:
        assert synthetic.Synthetic().find(folder / "synthetic-centroids") == []

    def test_is_never_mistaken_for_real_frames(self, folder: Path) -> None:
        assert mitos2012.Mitos2012().find(folder.parent) == []
        assert mitos2012.Mitos2012().find(folder / "synthetic" / "training_aperio") == []
        assert mitos2014.Mitos2014().find(folder) == []

    def test_two_sets_below_one_folder_are_refused(self, tmp_path: Path) -> None:
        for name in ("one", "two"):
            (tmp_path / name / "synthetic").mkdir(parents=True)
            (tmp_path / name / "synthetic.json").write_text("{}")
        with pytest.raises(DataError, match="more than once"):
            synthetic.Synthetic().read(tmp_path)

    def test_a_folder_without_a_set_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"synthetic\.json"):
            synthetic.Synthetic().read(tmp_path)

    def test_a_broken_marker_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "synthetic").mkdir()
        (tmp_path / "synthetic.json").write_text('{"sets": {}}')
        with pytest.raises(DataError, match=r"synthetic\.json: is not a valid marker"):
            synthetic.Synthetic().read(tmp_path)


class TestWriting:
    def test_the_marker_holds_generator_seed_and_counts(self, folder: Path) -> None:
        marker = json.loads((folder / "synthetic.json").read_text())
        assert marker["generator"] == synthetic.version()
        assert marker["seed"] == 3
        assert marker["sets"]["synthetic"]["A"]["test"]["frames"] == 5

    def test_an_older_synthetic_set_is_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "set" / "synthetic").mkdir(parents=True)
        (tmp_path / "set" / "synthetic" / "old.bmp").touch()
        (tmp_path / "set" / "synthetic.json").write_text("{}")
        synthetic.write(tmp_path / "set", frames=1, size=64)
        assert not (tmp_path / "set" / "synthetic" / "old.bmp").exists()
        assert [path.name for path in tmp_path.iterdir()] == ["set"]

    @pytest.mark.parametrize("files", [["thesis.tex"], ["synthetic.json", "thesis.tex"]])
    def test_a_folder_that_holds_anything_else_is_refused_and_kept(self, tmp_path: Path, files: list[str]) -> None:
        for name in files:
            (tmp_path / name).write_text("mine")
        with pytest.raises(MitobenchError, match=r"thesis\.tex"):
            synthetic.write(tmp_path, frames=1, size=64)
        assert sorted(path.name for path in tmp_path.iterdir()) == files

    def test_nothing_is_left_when_writing_is_interrupted(self, tmp_path: Path) -> None:
        def stop(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            synthetic.write(tmp_path / "set", frames=1, size=64, progress=stop)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(("seed", "frames", "size"), [(-1, 1, 64), (0, 0, 64), (0, 101, 64), (0, 1, 32)])
    def test_a_bad_seed_or_size_is_refused(self, tmp_path: Path, seed: int, frames: int, size: int) -> None:
        with pytest.raises(MitobenchError, match="Give a seed from 0 to 4294967295, 1 to 100 frames"):
            synthetic.write(tmp_path / "set", seed, frames, size)

    def test_progress_counts_to_the_end(self, tmp_path: Path) -> None:
        seen: list[tuple[int, int]] = []
        synthetic.write(tmp_path / "set", frames=1, size=64, progress=lambda done, total: seen.append((done, total)))
        assert seen == [(done, 26) for done in range(1, 27)]


class TestDefaultSet:
    def test_cards_expect_what_the_default_set_holds(self) -> None:
        for plan in synthetic.PLANS:
            card = plan.reader.card()
            for part, expected in card.expected["A"].items():
                slides = [slide for slide in plan.slides if (slide in plan.test) == (part == "test")]
                held = np.concatenate([figures(slide, number) for slide in slides for number in range(plan.frames)])
                assert expected.frames == len(slides) * plan.frames
                assert expected.mitoses == held.sum()
                assert expected.imposters == ((~held).sum() if card.has_imposters else None)

    def test_is_made_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[Path] = []

        def write(folder: Path, seed: int) -> None:
            made.append(folder)
            folder.mkdir()
            (folder / "synthetic.json").touch()

        monkeypatch.setattr(synthetic, "write", write)
        monkeypatch.setenv("MITOBENCH_CACHE", str(tmp_path / "cache"))
        first, second = synthetic.ensure(), synthetic.ensure()
        assert made == [first] == [second]
        assert first.parent == tmp_path / "cache"

    def test_another_seed_has_a_folder_of_its_own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(synthetic, "write", lambda folder, seed: folder.mkdir())
        assert synthetic.ensure(tmp_path, 0) != synthetic.ensure(tmp_path, 1)
