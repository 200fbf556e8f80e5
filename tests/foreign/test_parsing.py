"""JSON and TOML with values that would cause errors later are refused when they are read."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitobench.errors import RecordError
from mitobench.foreign import load_json, load_toml, read_json, read_toml
from mitobench.foreign.limits import MAX_INTEGER, MAX_NESTING

JSON = {
    "nan": '{"a": NaN}',
    "infinity": '{"a": -Infinity}',
    "1e400": '{"a": 1e400}',
    "5,000 digits": '{"a": %s}' % ("9" * 5000),
    "5,000 digits behind the point": '{"a": 0.%s}' % ("9" * 5000),
    "beyond 64 bits": f'{{"a": {MAX_INTEGER + 1}}}',
    "deep lists": "[" * 100_000,
    "deep lists, closed": "[" * (MAX_NESTING + 1) + "]" * (MAX_NESTING + 1),
    "deep objects": '{"a":' * 100_000,
    "a key twice": '{"a": 1, "a": 2}',
    "one key of very many twice": "{" + ", ".join(f'"{name}": 1' for name in [*range(200_000), 199_999]) + "}",
    "half a surrogate pair": '{"a": "\\ud800"}',
    "half a surrogate pair as a key": '{"\\udc80": 1}',
    "a NUL": '{"a": "\\u0000"}',
    "nothing": "",
    "cut short": '{"a": ',
    "not UTF-8": b'{"a": "\xff"}',
}
TOML = {
    "nan": "a = nan",
    "infinity": "a = -inf",
    "1e400": "a = 1e400",
    "a date": "a = 1979-05-27",
    "a time": "a = 07:32:00",
    "a date and time": "a = 1979-05-27T07:32:00Z",
    "a date that is none": "a = 1979-13-27",
    "5,000 digits": f"a = {'9' * 5000}",
    "5,000 hexadecimal digits": f"a = 0x{'f' * 5000}",
    "beyond 64 bits": f"a = {MAX_INTEGER + 1}",
    "deep lists": f"a = {'[' * 100_000}",
    "deep tables": f"a = {'{a = ' * 1000}1{'}' * 1000}",
    "a long key": f"{'a.' * 200_000}a = 1",
    "a long quoted key": f"""{'"a" . ' * 100_000}a = 1""",
    "a long table": f"[{'a.' * 100_000}a]",
    "a key twice": "a = 1\na = 2",
    "a NUL": r'a = "\u0000"',
    "cut short": "a = ",
    "not UTF-8": b'a = "\xff"',
}


@pytest.mark.parametrize("text", JSON.values(), ids=JSON)
def test_invalid_json_is_rejected_with_one_short_message(text: str | bytes) -> None:
    with pytest.raises(RecordError, match=r"^x\.json") as refused:
        load_json(text, "x.json", RecordError)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("text", TOML.values(), ids=TOML)
def test_invalid_toml_is_rejected_with_one_short_message(text: str | bytes) -> None:
    with pytest.raises(RecordError, match=r"^x\.toml") as refused:
        load_toml(text, "x.toml", RecordError)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("value", ["NaN", "1e999", "9" * 30])
def test_the_error_names_the_line(value: str) -> None:
    with pytest.raises(RecordError, match=r"^x:3: "):
        load_json(f'{{"a": 1,\n\n"b": {value}}}', "x", RecordError)
    with pytest.raises(RecordError, match=r"^x:3: "):
        load_toml("a = 1\n[t]\nb = inf", "x", RecordError)


finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
leaves = st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | finite | text
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4))


@given(values)
def test_valid_values_are_read_unchanged(value: object) -> None:
    assert load_json(json.dumps(value)) == value
    assert repr(load_json(json.dumps(value, ensure_ascii=False).encode())) == repr(value)  # 1 is not 1.0, nor True


@given(st.text(max_size=200))
def test_any_text_is_a_value_or_one_kind_of_error(noise: str) -> None:
    for load in (load_json, load_toml):
        with suppress(RecordError):
            load(noise, "x", RecordError)


def test_numbers_keep_their_last_digit() -> None:
    assert load_json("[0.1, 1e-400, 17]") == [0.1, 0.0, 17]
    assert math.copysign(1, load_toml("a = -0.0")["a"]) == -1


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    """Some editors and export scripts on Windows write it."""
    (tmp_path / "a.geojson").write_text('{"a": 1}', encoding="utf-8-sig")
    (tmp_path / "a.toml").write_text("a = 1", encoding="utf-8-sig")
    assert read_json(tmp_path / "a.geojson", 100, "file") == {"a": 1}
    assert read_toml(tmp_path / "a.toml", 100, "file") == {"a": 1}
