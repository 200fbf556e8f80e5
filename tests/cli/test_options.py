"""Options that name plugins: repeatable, split at commas, with quotes around names that have commas. Empty paths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from mitobench.cli.options import decimal, specs
from mitobench.discovery import quoted


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (["a"], ["a"]),
        (["a,b", "c"], ["a", "b", "c"]),
        ([" a , b,"], ["a", "b"]),
        (['blobs,"external:find.sh a,b"'], ["blobs", "external:find.sh a,b"]),
        (['external:find "a,b" {image},blobs'], ['external:find "a,b" {image}', "blobs"]),
        (['"external:find ""a,b"" {image}"'], ['external:find "a,b" {image}']),
        (['external:"my tool" {image}'], ['external:"my tool" {image}']),
    ],
)
def test_specs_are_split_at_commas_outside_quotes(given: list[str] | None, expected: list[str] | None) -> None:
    assert specs(given, "--detector") == expected


@pytest.mark.parametrize("spec", ["blobs", "external:find a,b", 'external:find "a,b"', 'external:"my tool" -x ","'])
def test_a_quoted_spec_is_read_back(spec: str) -> None:
    assert specs([quoted(spec)], "--detector") == [spec]
    assert specs([f"{quoted(spec)},{quoted(spec)}"], "--detector") == [spec, spec]


@pytest.mark.parametrize("text", ["", " , ", '""', 'a,"b'])
def test_a_value_without_a_name_or_with_an_open_quote_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        specs([text], "--detector")


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "", "--out", "found"),
        ("predict", "a.png", "--out", ""),
        ("predict", "a.png", "", "--out", "found"),
        ("predict", "--example", "--out", "found", "--roi="),
        ("data", "check", ""),
    ],
)
def test_an_empty_path_is_refused_and_does_not_mean_the_current_folder(
    mitobench: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = mitobench(*arguments)
    assert answer.code == 2
    assert "the path is empty" in answer.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ("run",),
        ("run", "--part", "val"),
        ("matrix", "--dataset", "mitos2012", "--by", "scanner"),
        ("experiment", "real"),
        ("experiment", "table3"),
        ("reproduce", "record.json"),
    ],
)
@pytest.mark.parametrize("out", ["file", "file/deeper"])
def test_a_folder_that_cannot_be_written_is_an_error_before_any_data_is_read(
    mitobench: Callable[..., Any], tmp_path: Path, command: tuple[str, ...], out: str
) -> None:
    (tmp_path / "file").touch()
    answer = mitobench(*command, "--data", tmp_path / "nowhere", "--out", tmp_path / out)
    assert answer.code == 2
    assert f"--out {tmp_path / out}: cannot be written: Not a directory. Give another folder." in answer.err


def test_a_number_with_limits_is_called_an_integer(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("run", "--seeds", "a")
    assert answer.code == 2
    assert "'a' is not a valid integer." in answer.err


@pytest.mark.parametrize(
    ("given", "advice"), [("0,25", " Write 0.25."), ("1,000,000", ""), ("wide", ""), ("", ""), ("0,x", "")]
)
def test_a_decimal_comma_is_an_error_that_shows_the_point(given: str, advice: str) -> None:
    with pytest.raises(typer.BadParameter) as error:
        decimal(given)
    assert str(error.value) == f"{given}: is not a number.{advice}"
    assert decimal("0.25") == decimal(0.25) == 0.25
