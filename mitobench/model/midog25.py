"""Runs a packed model in a container of the MIDOG 2025 contest, and writes what such a container is built from.

In the container: `python -m mitobench.model.midog25 MODEL`. It reads the image in
/input/images/histopathology-roi-cropout and writes /output/mitotic-figures.json.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mitobench.atomic import atomic_folder, write_text_atomic
from mitobench.datasets.files import IMAGE_SUFFIXES
from mitobench.datasets.images import frame_image
from mitobench.errors import MitobenchError
from mitobench.evaluate.midog25 import RESULT_FILE, accepted, contest_json, points_mm
from mitobench.model import card as cards
from mitobench.model import inputs
from mitobench.model.model import Model

IMAGES = Path("images/histopathology-roi-cropout")  # below /input
_PACKAGE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)

DOCKERFILE = """\
# Container for MIDOG 2025 (track 1, detection) on grand-challenge.org. Build and save it:
#   docker build --platform linux/amd64 --tag {tag} .
#   docker save {tag} | gzip > {tag}.tar.gz
# Try it with one image in test/input/{images} before you upload it:
#   docker run --rm --network none -v ./test/input:/input:ro -v ./test/output:/output {tag}
FROM python:3.11-slim
RUN groupadd --system user && useradd --system --create-home --gid user user
RUN pip install --no-cache-dir {requirements}
COPY model /opt/model
USER user
WORKDIR /tmp
# Finds mitoses with the packed model and writes /output/{result} in mm, candidates below the threshold included.
ENTRYPOINT ["python", "-m", "mitobench.model.midog25", "/opt/model"]
"""


def write_container(model: Path, out: Path) -> None:
    """Writes a Dockerfile with a copy of a packed model: `out/Dockerfile`, `out/model`.

    Args:
        model: folder written by `mitobench pack`.
        out: folder to create; must not exist or be empty.

    Raises MitobenchError if the model is not a packed model, or `out` holds files.
    """
    card = cards.read(model)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise MitobenchError(f"{out}: holds files. Give a new or an empty folder.")
    plugins = (card.plugins.detector, card.plugins.verifier, card.plugins.fuser)
    packages = sorted({"mitobench", *(plugin.package for plugin in plugins)})
    requirements = " ".join(_requirement(model, package) for package in packages)
    text = DOCKERFILE.format(tag="mitobench-midog25", images=IMAGES, result=RESULT_FILE, requirements=requirements)
    with atomic_folder(out) as new:
        shutil.copytree(model, new / "model")
        (new / "Dockerfile").write_text(text, encoding="utf-8")


def _requirement(model: Path, package: str) -> str:
    """A package for pip, with the version that is installed here. Raises MitobenchError for what pip would not take."""
    if not _PACKAGE.fullmatch(package):
        raise MitobenchError(f"{model}: its card names the package {package!r}, which is not a package name.")
    try:
        return f"{package}=={version(package)}"
    except PackageNotFoundError:
        return package


def process(model: Path, source: Path, target: Path) -> None:
    """Finds mitoses on the image in `source/images/histopathology-roi-cropout`; writes `target/mitotic-figures.json`.

    Raises MitobenchError if there is not exactly one image, or the contest's evaluator would refuse the result.
    """
    folder = source / IMAGES
    found = [path for path in sorted(folder.glob("*")) if path.suffix.lower() in IMAGE_SUFFIXES]
    if len(found) != 1:
        raise MitobenchError(f"{folder}: holds {len(found)} images. The contest gives one image to each job.")
    loaded = Model.load(model)
    mpp = resolution(found[0]) or loaded.card.mpp
    frame = inputs.frame(found[0], mpp)
    prediction = loaded.predict(frame)
    points = points_mm(prediction.detections.xy, prediction.score, prediction.is_mitosis, frame.mpp)
    content = accepted(contest_json(points), found[0].name)
    write_text_atomic(target / RESULT_FILE, json.dumps(content, indent=1, allow_nan=False) + "\n")


def resolution(path: Path) -> float | None:
    """Returns the um/px that an image gives; None if it gives none, or none between 0.1 and 1 um/px."""
    mpp = frame_image(path).mpp
    return mpp[0] if mpp else None


def main() -> None:
    """The container's command. Prints an error without a traceback and exits with 2."""
    try:
        process(Path(sys.argv[1]), Path("/input"), Path("/output"))
    except MitobenchError as reason:
        sys.stderr.write(f"error: {reason}\n")
        raise SystemExit(2) from reason


if __name__ == "__main__":
    main()
