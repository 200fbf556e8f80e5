"""Checks the files of a release: equal versions, a heading in the changelog, licences of all code that is shipped.

Usage: python .ci/release_contents.py DIST
"""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
WHEELS = {"mitobench", "mitobench_networks", "mitobench_mmdet"}
LICENCES = {  # of the core's code and of the page's libraries; `mitobench info` shows that of the bundled model
    "LICENSE",
    "mitobench/report/vendor/chart.js/LICENSE.md",
    "mitobench/report/vendor/chartjs-plugin-datalabels/LICENSE.md",
}
MAX_MB = 40  # of all files together


def problems(dist: Path) -> list[str]:
    """Returns what is wrong with the files in a folder, a line each."""
    wheels = {path.name.split("-")[0]: path for path in dist.glob("*.whl")}
    sources = list(dist.glob("*.tar.gz"))
    if set(wheels) != WHEELS or len(sources) != 1:
        return [f"{dist}: must hold one wheel each of {', '.join(sorted(WHEELS))}, and one sdist."]
    found = []
    versions = {path.name.split("-")[1] for path in wheels.values()} | {
        sources[0].name.split("-")[1][: -len(".tar.gz")]
    }
    if len(versions) != 1:
        found.append(f"Versions differ: {', '.join(sorted(versions))}. Set one in every package.")
    for version in versions:
        if not re.search(rf"^## \[{re.escape(version)}\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE):
            found.append(
                f"CHANGELOG.md has no heading ## [{version}]. Name the section of the release after its version."
            )
        if f'version: "{version}"' not in (ROOT / "CITATION.cff").read_text("utf-8"):
            found.append(f"CITATION.cff: its version is not {version}.")
    for name, path in wheels.items():
        with zipfile.ZipFile(path) as wheel:
            held = {re.sub(r"^[^/]*\.dist-info/(licenses/)?", "", file) for file in wheel.namelist()}
        wanted = LICENCES if name == "mitobench" else {"LICENSE"}
        found += [f"{path.name} lacks {file}." for file in sorted(wanted - held)]
        found += [f"{path.name} holds {file}, which is not part of a release." for file in held if "tests/" in file]
    with tarfile.open(sources[0]) as source:
        if not any(name.endswith("/pyproject.toml") for name in source.getnames()):
            found.append(f"{sources[0].name} lacks pyproject.toml.")
    megabytes = sum(path.stat().st_size for path in dist.iterdir()) / 1e6
    if megabytes > MAX_MB:
        found.append(f"{dist}: {megabytes:.0f} MB together, more than {MAX_MB}.")
    return found


def main() -> None:
    """Prints what is wrong; exits with 1 if anything is."""
    found = problems(Path(sys.argv[1]))
    print("\n".join(found) or f"{sys.argv[1]}: versions, changelog and licences agree")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
