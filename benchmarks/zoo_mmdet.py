"""Tries every config that MMDetection ships: which ones fit, which are refused and why, and which fail.

    python benchmarks/zoo_mmdet.py --results build/zoo-mmdet.jsonl --write docs/zoo-mmdet.md

"Fits" means: two steps of training on patches of 128 px with random weights, and a search of one frame; with `--full`,
the weights are also saved and loaded, and the loaded network must predict the same. A model that several configs build
alike is tried once. Results are appended to a file, and a run that was stopped goes on where it was. Models run in a
process of their own, one after another; one that takes longer than the limit is stopped, and the page says so.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SIDE = 128  # px of a patch
SQUARE = 24  # px of a mitosis
STEPS = 2
WAIT = 20  # times the limit: a machine may be busy with other work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("build/zoo-mmdet.jsonl"))
    parser.add_argument("--write", type=Path, help="write the report to this file, from the results there are")
    parser.add_argument("--limit", type=float, default=120, help="seconds of CPU for one model")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop starting new models after that time")
    parser.add_argument("--only", default="", help="only configs whose name contains this text")
    parser.add_argument("--again", action="store_true", help="try again what was a fault or too slow")
    parser.add_argument("--full", action="store_true", help="also save, load and compare")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.full, args.limit)
        return
    args.results.parent.mkdir(parents=True, exist_ok=True)
    known = read(args.results)
    models = described(known, args.results)
    run(models, args)
    if args.write:
        args.write.write_text(report(models, read(args.results)), encoding="utf-8")


# ------------------------------------------------------------------------------------------------------------- models


def described(known: dict[str, dict[str, Any]], path: Path) -> dict[str, dict[str, Any]]:
    """Returns, for each config by name, its model's digest, signature and size, or why it is refused."""
    from mitobench_mmdet.zoo import configs, names
    from mitobench_mmdet.zoo.settled import digest

    cache = path.with_suffix(".configs.json")
    if cache.is_file():
        found: dict[str, dict[str, Any]] = json.loads(cache.read_text())
        return found
    found = {}
    for name in names.shipped():
        model = configs._model_or_reason(name)
        if isinstance(model, str):
            found[name] = {"refused": model}
        else:
            found[name] = {"digest": digest(model), "signature": signature(model), "type": model["type"]}
    cache.write_text(json.dumps(found))
    return found


def signature(model: Any) -> str:
    """Returns all types of a model, sorted: models with the same parts go through the same code."""
    types: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            types.add(str(value.get("type", "")))
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(inner)

    walk(model)
    return " ".join(sorted(types))


LARGE = (
    "x101",
    "r101",
    "swin-l",
    "swin-s",
    "s101",
    "2x101",
    "_x_",
    "_l_",
    "hrnetv2p-w40",
    "hourglass",
    "b5",
    "b4",
    "b3",
)


def ordered(models: dict[str, dict[str, Any]], only: str) -> list[str]:
    """Returns one config a model, those with parts that no earlier one has first, the smaller networks first."""
    of_digest: dict[str, list[str]] = defaultdict(list)
    for name, model in models.items():
        if "digest" in model and only in name:
            of_digest[model["digest"]].append(name)
    chosen = sorted((min(names, key=len) for names in of_digest.values()), key=lambda n: (cost(n), len(n), n))
    seen: Counter[str] = Counter()
    places = {}
    for name in chosen:
        places[name] = seen[models[name]["signature"]]
        seen[models[name]["signature"]] += 1
    return sorted(chosen, key=lambda name: (places[name], cost(name)))


def cost(name: str) -> int:
    return sum(part in name for part in LARGE)


# ------------------------------------------------------------------------------------------------------------ running


def run(models: dict[str, dict[str, Any]], args: argparse.Namespace) -> None:
    known = read(args.results)
    done = {digest for digest, result in known.items() if not (args.again and result["outcome"] != "fits")}
    todo = [name for name in ordered(models, args.only) if models[name]["digest"] not in done]
    end = time.monotonic() + 60 * args.minutes
    print(f"{len(models)} configs, {len(done)} models done, {len(todo)} to go", flush=True)
    while todo and time.monotonic() < end:
        with Child(args.full, args.limit) as worker:
            while todo and time.monotonic() < end:
                name = todo.pop(0)
                result = {"config": name, "digest": models[name]["digest"], **worker.attempt(name)}
                with args.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(result) + "\n")
                print(f"{len(todo):4} {result['outcome']:8} {name} {result.get('reason', '')[:150]}", flush=True)
                if result["outcome"] == "stopped" or result.get("ended"):
                    break


class Child:
    """A process that tries models, one line of its input and one of its output each."""

    def __init__(self, full: bool, limit: float) -> None:
        self.full, self.limit = full, limit

    def __enter__(self) -> Child:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--child", f"--limit={self.limit}", *(["--full"] if self.full else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()

    def attempt(self, name: str) -> dict[str, Any]:
        assert self.process.stdin
        try:
            self.process.stdin.write(name + "\n")
            self.process.stdin.flush()
            line = self.lines.get(timeout=WAIT * self.limit)  # of other processes' time too
        except queue.Empty:
            return {"outcome": "slow", "reason": f"took longer than {self.limit:g} s", "ended": True}
        except BrokenPipeError:
            line = ""
        if not line:
            return {"outcome": "fault", "reason": "the process died", "ended": True}
        result: dict[str, Any] = json.loads(line)
        return result


def child(full: bool, limit: float) -> None:
    import logging
    import signal
    import warnings

    def stop(*_: object) -> None:
        raise TimeoutError(f"took longer than {limit:g} s")

    import torch

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a network prints is not an answer
    import mitobench_mmdet.zoo.network  # noqa: F401 - whose time is not that of the first model

    signal.signal(signal.SIGPROF, stop)
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, limit)
        print(json.dumps(attempt(line.strip(), full)), file=answer, flush=True)


def attempt(name: str, full: bool) -> dict[str, Any]:
    """Fits a config for two steps. Returns what happened."""
    import gc
    import traceback

    from mitobench.errors import MitobenchError

    start = time.process_time()
    try:
        parameters = fitted(name, full)
    except MitobenchError as reason:
        return {"outcome": "fault", "reason": str(reason), "seconds": time.process_time() - start}
    except TimeoutError as reason:
        return {"outcome": "slow", "reason": str(reason)}
    except Exception as reason:
        last = traceback.extract_tb(reason.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        return {"outcome": "fault", "reason": f"{type(reason).__name__}: {reason} ({where})"}
    finally:
        gc.collect()
    return {"outcome": "fits", "parameters": parameters, "seconds": round(time.process_time() - start, 1)}


def fitted(name: str, full: bool) -> int:
    import numpy as np

    from mitobench import discovery
    from mitobench.api import Context, Frame, Mitoses, Sample

    pixels = np.full((SIDE, SIDE, 3), 230, np.uint8)
    xy = np.array([[60.0, 60.0], [30.0, 100.0]])
    for x, y in xy.astype(int):
        pixels[y - SQUARE // 2 : y + SQUARE // 2, x - SQUARE // 2 : x + SQUARE // 2] = (60, 30, 90)
    frame = Frame("f", "toy", "g", "A", (0.25, 0.25), (SIDE, SIDE), lambda: pixels)
    sample = Sample(frame, Mitoses(xy), np.hstack([xy - SQUARE / 2, xy + SQUARE / 2]))
    empty = Sample(frame, Mitoses(np.zeros((0, 2))), np.zeros((0, 4)))
    cls: Any = discovery.load("detector", f"mmdet:{name}")
    settings = {"pretrained": "none", "iterations": STEPS, "batch_size": 2, "patch": SIDE, "positive_share": 0.5}
    detector = cls(cls.Options(**settings, lr_steps=(), warmup=0, score_floor=0.0))
    with tempfile.TemporaryDirectory() as folder:
        context = Context(seed=0, device="cpu", work=Path(folder, "work"))
        detector.fit([sample, empty], [], context)
        found = detector.predict(frame)
        if full:
            Path(folder, "saved").mkdir()
            detector.save(Path(folder, "saved"))
            loaded = cls(detector.options)
            loaded.load(Path(folder, "saved"))
            again = loaded.predict(frame)
            if not (np.array_equal(found.boxes, again.boxes) and np.array_equal(found.score, again.score)):
                raise AssertionError("the loaded network predicts something else")
        if not np.isfinite(found.score).all():
            raise AssertionError("scores are not finite")
        return int(context.training_info["parameters"])


# ------------------------------------------------------------------------------------------------------------- report


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Returns the last result of each model by digest."""
    if not path.is_file():
        return {}
    results = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {result["digest"]: result for result in results}


def outcomes(models: dict[str, dict[str, Any]], results: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Yields (config, outcome, detail) of all configs."""
    for name, model in sorted(models.items()):
        if "refused" in model:
            yield name, "refused", model["refused"]
            continue
        result = results.get(model["digest"])
        if result is None:
            yield name, "not tried", ""
        elif result["outcome"] == "fits":
            yield name, "fits", f"{result['parameters'] / 1e6:.1f} M parameters, {result['seconds']:.0f} s of CPU"
        else:
            yield name, result["outcome"], result["reason"].replace("\n", " ").replace("|", "/")[:200]


def report(models: dict[str, dict[str, Any]], results: dict[str, dict[str, Any]]) -> str:
    """Returns the page: counts, reasons, and a row a config."""
    rows = list(outcomes(models, results))
    count = Counter(outcome for _, outcome, _ in rows)
    tried = count["fits"] + count["fault"]
    digests = {model["digest"] for model in models.values() if "digest" in model}
    done = Counter(results[digest]["outcome"] for digest in digests & results.keys())
    ended = done["fits"] + done["fault"]
    refused = Counter(detail for _, outcome, detail in rows if outcome == "refused")
    lines = [
        "# Which configs of MMDetection work",
        "",
        "Written by `python benchmarks/zoo_mmdet.py --write docs/zoo-mmdet.md`. To use one: `--detector mmdet:NAME`.",
        "",
        f"MMDetection's wheel ships {len(models)} configs. {len(models) - count['refused']} of them are box detectors;",
        f"under mitobench's settings they build {len(digests)} different models.",
        f'"Fits" means two steps of training at {SIDE} px from random weights and a search of a frame, on a CPU.',
        "",
        "| | configs | different models |",
        "|---|---|---|",
        f"| fits | {count['fits']} | {done['fits']} |",
        f"| fault | {count['fault']} | {done['fault']} |",
        f"| stopped at the time limit | {count['slow']} | {done['slow']} |",
        f"| not tried yet | {count['not tried']} | {len(digests) - done.total()} |",
        f"| refused, with the reason | {count['refused']} | – |",
        "",
        f"Of the models whose trial ended, {done['fits'] / max(1, ended):.0%} fit ("
        f"{count['fits'] / max(1, tried):.0%} of the configs).",
        "",
        "## Refused",
        "",
        "| reason | configs |",
        "|---|---|",
        *(f"| {reason} | {number} |" for reason, number in refused.most_common()),
        "",
        "## Box detectors",
        "",
        "| config | | |",
        "|---|---|---|",
        *(f"| `{name}` | {outcome} | {detail} |" for name, outcome, detail in rows if outcome != "refused"),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
