"""`mitobench weights` has the subcommands that packages add; a broken one is listed as broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

COMMAND = """
def make(size: int = 3) -> None:
    \"\"\"Make weights of that size.\"\"\"
    print(f"made {size}")
"""


def test_a_package_adds_a_subcommand(install: Callable[..., None], mitobench: Callable[..., Any]) -> None:
    install("makers", {"mitobench.weights": {"make": "makers:make"}}, {"makers.py": COMMAND})
    shown = mitobench("weights", "--help")
    assert shown.code == 0
    assert "make" in shown.out
    assert "Make weights of that size." in shown.out
    answer = mitobench("weights", "make", "--size", "7")
    assert (answer.code, answer.out) == (0, "made 7\n")


def test_a_broken_subcommand_says_why_and_the_others_work(
    install: Callable[..., None], mitobench: Callable[..., Any]
) -> None:
    install("makers_too", {"mitobench.weights": {"make": "makers_too:make"}}, {"makers_too.py": COMMAND})
    install("torn", {"mitobench.weights": {"tear": "torn:tear"}}, {"torn.py": "raise RuntimeError('on purpose')"})
    assert mitobench("--help").code == 0
    shown = mitobench("weights", "--help")
    assert shown.code == 0
    assert "Broken: torn 1.0" in shown.out
    assert mitobench("weights", "make").out == "made 3\n"
    torn = mitobench("weights", "tear", "--any", "thing")
    assert torn.code == 2
    assert "package torn 1.0 is broken: RuntimeError: on purpose" in torn.err
    assert "Traceback" not in torn.err


def test_a_package_that_is_not_allowed_adds_none(
    install: Callable[..., None], mitobench: Callable[..., Any], monkeypatch: Any
) -> None:
    install("makers_three", {"mitobench.weights": {"make": "makers_three:make"}}, {"makers_three.py": COMMAND})
    monkeypatch.setenv("MITOBENCH_PACKAGES", "mitobench")
    assert mitobench("weights", "make").code == 2
    shown = mitobench("weights", "--help")
    assert shown.code == 0
    assert "mitobench-mmdet" in shown.out
