"""What is known of slides that were not trained on: how good the labels are, and what records of folds by slide say.

    python benchmarks/new_slides.py --data DATA                          the labels of MITOS 2014 alone
    python benchmarks/new_slides.py --data DATA LEADERBOARD/records      also the records of `cv-by-slide` there

**Labels.** Pathologists gave every mitosis and imposter a confidence. If another reader called each cell a mitosis as
often as its confidence says, `F1 of a second reader` is what that reader would reach: about what the labels allow. The
imposters of the Hamamatsu frames are those of the Aperio frames, scaled; how far this is off is measured on the
mitoses, whose positions are known in both.

**Records.** Counts are summed over the folds of a row. A slide with fewer than 20 mitoses says little about itself and
is only part of the sum. `without imposters`: false detections on annotated imposters are left out of the count.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from common import table
from scipy.spatial import cKDTree

from mitobench import datasets
from mitobench.api import Floats
from mitobench.datasets.dataset import Dataset, Item
from mitobench.datasets.folds import fold_of
from mitobench.evaluate.metrics import Counts
from mitobench.report.section_page import MANY
from mitobench.results import record
from mitobench.results.recompute import Recomputation
from mitobench.results.schema import Record

DATASET = "mitos2014"
CERTAIN = 1.0  # confidence of a figure without one
Imposter = tuple[str, int]  # frame, and index in it


@dataclass
class SlideCounts:
    """What one row found on one slide, and on which imposters its false detections lie."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    on_imposters: list[Imposter] = field(default_factory=list)

    def __add__(self, other: SlideCounts) -> SlideCounts:
        return SlideCounts(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.on_imposters + other.on_imposters
        )

    @property
    def mitoses(self) -> int:
        """Annotated mitoses."""
        return self.tp + self.fn

    def f1(self, imposters: bool = True) -> float | None:
        """Returns F1, with or without the false detections on annotated imposters."""
        fp = self.fp - (0 if imposters else len(self.on_imposters))
        return Counts(tp=self.tp, fp=fp, fn=self.fn).ratio("f1")


Row = Mapping[str, Mapping[str, SlideCounts]]  # by data set, by slide


def main() -> None:
    """Prints both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, nargs="*", help="folders of records")
    parser.add_argument("--data", type=Path, required=True, help="folder with MITOS 2014")
    arguments = parser.parse_args()
    whole = datasets.load(DATASET, arguments.data)
    print_labels(whole)
    seeds: dict[str, list[Row]] = defaultdict(list)
    for (name, seed), records in sorted(of_rows(arguments.records).items()):
        if wrong := why_not(records):
            print(f"\nNot shown: {name}, seed {seed}: {wrong}.")
        else:
            seeds[name].append(counted(records))
    for name, rows in seeds.items():
        if any(slides_of(row) != slides_of(rows[0]) for row in rows):
            print(f"\nNot shown: {name}: its seeds were not tested on the same slides.")
        else:
            print_row(name, rows, whole)


# ---------------------------------------------------------------------------------------------------- the labels


def print_labels(whole: Dataset) -> None:
    """Prints how many figures have which confidence, and how far imposters of Hamamatsu frames may be off."""
    items = whole.select(["H"]).items.values()
    mitosis = np.concatenate([_confidence(item.mitoses.confidence, len(item.mitoses)) for item in items])
    imposter = np.concatenate(
        [_confidence(item.mitoses.imposter_confidence, len(item.mitoses.imposters), 0.0) for item in items]
    )
    rows = [
        [kind, f"{value:g}", int((values == value).sum())]
        for kind, values in (("mitosis", mitosis), ("imposter", imposter))
        for value in sorted(set(values.tolist()), reverse=True)
    ]
    print(table(["figure", "confidence", "number"], rows))
    hits = mitosis.sum()
    print(f"F1 of a second reader: {2 * hits / (hits + imposter.sum() + len(mitosis)):.3f}")
    near = sum(_near(item, whole.card.radius_um) for item in items)
    print(f"Imposters with a mitosis within {whole.card.radius_um:g} um: {near} of {len(imposter)}")
    moved = np.array(list(displacements(whole)))
    if len(moved):
        tenth = np.quantile(moved, 0.9)
        print(
            f"Scaled positions of {len(moved)} mitoses are off by {np.median(moved):.1f} px (median), {tenth:.1f} (.9)"
        )


def _confidence(values: Floats | None, count: int, default: float = CERTAIN) -> Floats:
    return np.full(count, default) if values is None else np.nan_to_num(values, nan=default)


def _near(item: Item, radius_um: float) -> int:
    """Returns how many imposters have an annotated mitosis within the matching radius."""
    if not (len(item.mitoses) and len(item.mitoses.imposters)):
        return 0
    mpp = np.asarray(item.frame.mpp)
    distance, _ = cKDTree(item.mitoses.xy * mpp).query(item.mitoses.imposters * mpp)
    return int((distance < radius_um).sum())


def displacements(whole: Dataset) -> Iterator[float]:
    """Yields how far mitoses of Aperio frames, scaled to the Hamamatsu frame, are from the nearest one there, px."""
    for id, item in whole.items.items():
        other = whole.items.get("H" + id[1:]) if id.startswith("A") else None
        if other and len(item.mitoses) and len(other.mitoses):
            factor = np.array(other.frame.size) / np.array(item.frame.size)
            yield from cKDTree(other.mitoses.xy).query(item.mitoses.xy * factor)[0].tolist()


# --------------------------------------------------------------------------------------------------- the records


def of_rows(folders: Iterable[Path]) -> dict[tuple[str, int], list[tuple[Path, Record]]]:
    """Returns the records of folds by slide, by the row's name and seed."""
    rows: dict[tuple[str, int], list[tuple[Path, Record]]] = defaultdict(list)
    for path, found in (each for folder in folders for each in record.read_all(folder)):
        names = found.combination
        if (fold_of(names["protocol"]) or ("",))[0] == "cv-by-slide" and found.status == "ok":
            parts = [names[role] for role in ("estimator", "detector", "verifier", "fuser")]
            options = [found.profile, f"schedules x {found.scale:g}", *sorted(found.overrides)]
            row = f"{' + '.join(parts)}; trained on {', '.join(names['train_on'])}; {', '.join(options)}"
            rows[row, names["seed"]].append((path, found))
    return rows


def why_not(records: Sequence[tuple[Path, Record]]) -> str | None:
    """Returns why the folds of a row and seed cannot be summed: one is missing, or there twice; None if they can."""
    folds = Counter((found.combination["dataset"], found.combination["protocol"]) for _, found in records)
    of = {dataset: (fold_of(protocol) or ("", 0, 0))[2] for dataset, protocol in folds}
    wanted = {(dataset, f"cv-by-slide-{number}of{n}") for dataset, n in of.items() for number in range(1, n + 1)}
    odd = sorted({" ".join(one) for one in wanted ^ set(folds)} | {" ".join(one) for one in folds if folds[one] > 1})
    return f"missing or there twice: {', '.join(odd)}" if odd else None


def counted(records: Sequence[tuple[Path, Record]]) -> Row:
    """Returns the counts of the folds of one row and seed, by data set and slide."""
    row: dict[str, dict[str, SlideCounts]] = defaultdict(lambda: defaultdict(SlideCounts))
    for path, found in records:
        assert found.chosen is not None
        threshold = found.chosen.point.threshold
        rule = str(found.pipeline["matcher"]), float(found.pipeline["radius_um"])
        for frame in Recomputation.read(path, found).frames():
            kept = frame.above(np.inf if threshold is None else threshold)
            match = kept.match(*rule)
            nearest = kept.nearest_imposter(rule[1])
            on = [(frame.frame, int(index)) for index in nearest[match.false & (nearest >= 0)]]
            tp, fn = int(match.found.sum()), int((~match.found).sum())
            slides = row[found.combination["dataset"]]
            slides[frame.group] = slides[frame.group] + SlideCounts(tp, int(match.false.sum()), fn, on)
    return row


def slides_of(row: Row) -> set[tuple[str, str]]:
    """Returns the tested slides with their data sets."""
    return {(dataset, slide) for dataset, slides in row.items() for slide in slides}


def print_row(name: str, seeds: Sequence[Row], whole: Dataset) -> None:
    """Prints F1 of a row by data set and by slide, as the mean over its seeds, and what its false detections are."""
    print(f"\n{name}; {len(seeds)} seed{'s' * (len(seeds) > 1)}\n")
    lines = []
    sets = {dataset: [seed[dataset] for seed in seeds] for dataset in seeds[0]}
    for dataset, of_seeds in sets.items():
        lines += [_line(f"{dataset}, slide {slide}", [seed[slide] for seed in of_seeds]) for slide in of_seeds[0]]
        lines.append(_line(f"{dataset}, all", [_sum(seed.values()) for seed in of_seeds]))
    if len(sets) > 1:
        lines.append(_line("all", [_sum(one for part in seed.values() for one in part.values()) for seed in seeds]))
    print(table(["", "mitoses", "tp", "fp", "on imposters", "F1", "F1 without imposters"], lines))
    by_slide = [_mean_f1([seed[dataset][slide] for seed in seeds]) for dataset, slide in _large(seeds[0])]
    if by_slide:
        print(
            f"{len(by_slide)} slides with {MANY} mitoses or more: mean F1 {np.mean(by_slide):.3f}, "
            f"worst {min(by_slide):.3f}"
        )
    if DATASET in sets:
        print_imposters([_sum(seed.values()).on_imposters for seed in sets[DATASET]], whole)


def _sum(counts: Iterable[SlideCounts]) -> SlideCounts:
    return sum(counts, SlideCounts())


def _large(row: Row) -> list[tuple[str, str]]:
    """Returns data set and name of the slides with many mitoses."""
    return [(dataset, slide) for dataset, slides in row.items() for slide, n in slides.items() if n.mitoses >= MANY]


def _mean_f1(seeds: Sequence[SlideCounts], imposters: bool = True) -> float:
    return float(np.mean([one.f1(imposters) or 0.0 for one in seeds]))


def _line(name: str, seeds: Sequence[SlideCounts]) -> list[str]:
    means = [np.mean(values) for values in zip(*((s.tp, s.fp, len(s.on_imposters)) for s in seeds), strict=True)]
    f1 = (_mean_f1(seeds, imposters) for imposters in (True, False))
    return [name, str(seeds[0].mitoses), *(f"{value:.4g}" for value in means), *(f"{value:.3f}" for value in f1)]


def print_imposters(seeds: Sequence[Sequence[Imposter]], whole: Dataset) -> None:
    """Prints on how many annotated imposters false detections lie, by their confidence, in any and in every seed."""
    found = [set(seed) for seed in seeds]
    every, any_ = set.intersection(*found), set.union(*found)
    confidence = {one: _confidence_of(one, whole) for one in any_}
    rows = [
        [f"{value:g}", *(sum(confidence[one] == value for one in group) for group in (any_, every))]
        for value in sorted(set(confidence.values()), reverse=True)
    ]
    print(table(["confidence of the imposter", "called mitosis by any seed", "by every seed"], rows))


def _confidence_of(imposter: Imposter, whole: Dataset) -> float:
    mitoses = whole.items[imposter[0]].mitoses
    return float(_confidence(mitoses.imposter_confidence, len(mitoses.imposters), 0.0)[imposter[1]])


if __name__ == "__main__":
    main()
