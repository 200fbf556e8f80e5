"""Checks the links of all pages to other sites, and lists those that fail. It opens connections; no build runs it.

    python docs/website/check_links.py

Exit code 1: a link failed. Some servers refuse programs: open such a page in a browser before you change its link.
"""

from __future__ import annotations

import re
import sys
import urllib.request
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATTERNS = ("*.md", "docs/**/*.md", "plugins/*/README.md", "benchmarks/README.md", "leaderboard/**/*.md")
LINK = re.compile(r"\]\((https?://[^)\s]+)\)")
HEADERS = {"User-Agent": "Mozilla/5.0 (link check of a documentation)"}
TIMEOUT_S = 30


def links() -> dict[str, list[str]]:
    """Returns all links to other sites, each with the pages that have it."""
    found: dict[str, list[str]] = defaultdict(list)
    for page in sorted({path for pattern in PATTERNS for path in ROOT.glob(pattern)}):
        for link in dict.fromkeys(LINK.findall(page.read_text(encoding="utf-8"))):
            found[link.partition("#")[0]].append(page.relative_to(ROOT).as_posix())
    return found


def problem(link: str) -> str | None:
    """Returns why a link fails; None if it leads somewhere."""
    try:
        with urllib.request.urlopen(urllib.request.Request(link, headers=HEADERS), timeout=TIMEOUT_S):
            return None
    except (OSError, ValueError) as reason:
        return str(reason)


def main() -> int:
    """Checks all links, eight at a time."""
    found = links()
    with ThreadPoolExecutor(8) as pool:
        problems = dict(zip(found, pool.map(problem, found), strict=True))
    failed = {link: reason for link, reason in problems.items() if reason}
    for link, reason in failed.items():
        print(f"{link}\n    {reason}; in {', '.join(found[link])}")
    print(f"{len(found)} links, {len(failed)} failed.")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
