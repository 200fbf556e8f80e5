"""A headless Chromium. Without one these tests are skipped, except in CI, where they fail."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
# No network connection is attempted; root cannot use the sandbox.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    sync_api = _playwright()
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        _cannot("chromium is not installed (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield started
        started.close()


def _playwright() -> Any:
    try:
        from playwright import sync_api
    except ImportError:
        _cannot("playwright is not installed (pip install playwright)")
    return sync_api


def _cannot(why: str) -> None:
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"The page cannot be tested in a browser: {why}.")
