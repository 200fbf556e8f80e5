"""The message of a child process that failed is the one of its exception."""

from __future__ import annotations

import pytest

from mitobench.pipeline.stages.distributed_fit import _message

CALLS = """
-- Process 1 terminated with the following error:
Traceback (most recent call last):
  File "fit.py", line 3, in fit
    raise error
    ^^^^^^^^^^^
"""


@pytest.mark.parametrize("raised", ["ValueError: one line", "PluginError: two tensors:\n  a\n  b", "OSError"])
def test_all_lines_of_the_exception_are_kept(raised: str) -> None:
    assert _message(CALLS + raised + "\n") == raised


def test_a_child_without_a_traceback() -> None:
    assert _message("process 0 terminated with signal SIGKILL") == "process 0 terminated with signal SIGKILL"
