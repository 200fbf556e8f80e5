"""Checks the links of all pages, those outside the site (README.md) too, and lists those that fail.

    python docs/website/check_links.py --internal    links and anchors within the repository; `make docs` runs this
    python docs/website/check_links.py               also links to other sites: opens connections, so no build runs it

Exit code 1: a link failed. Some servers refuse programs: open such a page in a browser before you change its link.
"""

from __future__ import annotations

import argparse
import re
import sys
import urllib.request
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATTERNS = ("*.md", "docs/**/*.md", "plugins/*/README.md", "benchmarks/README.md", "leaderboard/**/*.md")
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
HEADERS = {"User-Agent": "Mozilla/5.0 (link check of a documentation)"}
TIMEOUT_S = 30


def links() -> dict[str, list[Path]]:
    """Returns all links, each with the pages that have it; those to other sites without their anchor."""
    found: dict[str, list[Path]] = defaultdict(list)
    for page in sorted({path for pattern in PATTERNS for path in ROOT.glob(pattern)}):
        for link in dict.fromkeys(LINK.findall(CODE.sub("", page.read_text(encoding="utf-8")))):
            found[link.partition("#")[0] if "://" in link else link].append(page)
    return found


def dead(page: Path, link: str) -> bool:
    """Returns whether a link within the repository leads nowhere, or to a heading that its page does not have."""
    file, _, anchor = link.partition("#")
    target = page.parent / file if file else page
    if not target.exists():
        return True
    headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
    return bool(anchor) and anchor not in map(slug, headings)


def slug(heading: str) -> str:
    """Returns the anchor that code hosts give a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def problem(link: str) -> str | None:
    """Returns why a link to another site fails; None if it leads somewhere."""
    try:
        with urllib.request.urlopen(urllib.request.Request(link, headers=HEADERS), timeout=TIMEOUT_S):
            return None
    except (OSError, ValueError) as reason:
        return str(reason)


def main() -> int:
    """Checks all links; those to other sites eight at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--internal", action="store_true", help="open no connection")
    found = links()
    inside = [(link, page) for link, pages in found.items() for page in pages if "://" not in link]
    failed = [
        f"{page.relative_to(ROOT)}: the link to {link} leads nowhere" for link, page in inside if dead(page, link)
    ]
    outside = [] if parser.parse_args().internal else [link for link in found if "://" in link]
    with ThreadPoolExecutor(8) as pool:
        for link, reason in zip(outside, pool.map(problem, outside), strict=True):
            pages = ", ".join(str(page.relative_to(ROOT)) for page in found[link])
            failed += [f"{pages}: {link}: {reason}"] if reason else []
    print(
        *failed,
        f"{len(inside)} links within the repository, {len(outside)} to other sites, {len(failed)} failed.",
        sep="\n",
    )
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
