"""Errors in untrusted files are reported in short sentences without control characters."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from mitobench.errors import as_text, field_errors, nearest, raised_at, wrong_fields

CORE = Path(__file__).parents[1] / "mitobench"


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int
    name: str = ""


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    parts: list[Part]
    more: dict[str, int] = {}


def validation_error(content: object) -> ValidationError:
    with pytest.raises(ValidationError) as error:
        Whole.model_validate(content)
    return error.value


def test_each_field_is_named_with_what_is_wrong() -> None:
    reason = validation_error({"parts": [{"number": "many"}, {}]})
    message = "parts.0.number: Input should be a valid integer, unable to parse string as an integer"
    assert wrong_fields(reason) == f"{message}; parts.1.number: Field required"
    assert wrong_fields(reason, "combination.").startswith("combination.parts.0.number: ")
    assert [place for place, _ in field_errors(reason)] == [("parts", 0, "number"), ("parts", 1, "number")]


def test_of_many_wrong_fields_the_first_are_named_and_the_others_counted() -> None:
    message = wrong_fields(validation_error({"parts": [{}] * 1000}))
    assert message.count("Field required") == 5
    assert message.endswith("; and 995 more")


@pytest.mark.parametrize("name", ["\x1b]0;owned\x07", "a\nb", "\u202eabc", "x" * 10_000, "\udce9"])
def test_names_out_of_a_file_are_short_and_hold_no_control_character(name: str) -> None:
    message = wrong_fields(validation_error({"parts": [{"number": 1, name: 2}], "more": {name: name}}))
    assert message.isprintable()
    assert len(message) < 1000
    message.encode()


def test_what_was_given_is_not_repeated() -> None:
    assert "secret" not in wrong_fields(validation_error({"parts": "secret"}))


def test_an_error_of_the_whole_has_no_place() -> None:
    assert wrong_fields(validation_error(3)) == "Input should be a valid dictionary or instance of Whole"


def test_as_text_changes_only_what_is_no_text() -> None:
    assert as_text("Größe-核.png") == "Größe-核.png"
    assert as_text("caf\udce9") == "caf\\udce9"


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda path: str(path.relative_to(CORE)))
def test_no_other_module_takes_a_validation_error_apart(path: Path) -> None:
    called = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    own = {CORE / "errors.py", CORE / "pipeline" / "settings.py"}  # settings say where each option was given
    assert path in own or not any(ast.unparse(function).endswith(".errors") for function in called)


def test_of_very_many_names_only_similar_ones_are_listed() -> None:
    known = [f"network{number}" for number in range(500)]
    assert nearest("netwrk17", known).endswith("? 500 names are available.")
    assert nearest("netwrk17", known).startswith("Did you mean network17")
    assert nearest("xyz", known).startswith("Available: network0, ")


def test_names_in_another_letter_case_are_similar() -> None:
    known = ["ResNet", *(f"network{number}" for number in range(500))]
    assert nearest("NETWORK17", known).startswith("Did you mean network17 or ")
    assert nearest("resnet", known).startswith("Did you mean ResNet")


def test_an_unknown_key_gets_the_nearest_of_the_known_ones() -> None:
    reason = validation_error({"parts": [], "mroe": {}})
    assert (
        wrong_fields(reason, known=Whole.model_fields) == "mroe: unknown key. Did you mean more? Available: more, parts"
    )


def raised(source: str, file: str, module: str) -> BaseException:
    """The syntax error that code raises, as if it were in this file and module."""
    names = {"__name__": module}
    exec(compile(source, file, "exec"), names)
    with pytest.raises(SyntaxError) as error:
        names["fail"]()  # type: ignore[operator]
    return error.value


def test_the_place_of_an_error_is_in_the_code_of_the_package_not_in_a_library_below_a_folder_of_its_name() -> None:
    library: dict[str, object] = {"__name__": "torch.nn"}
    exec(compile("def forward(): raise ValueError('x')", "/a/mine/.venv/torch/nn.py", "exec"), library)
    names: dict[str, object] = {"__name__": "mine.plugin", "forward": library["forward"]}
    exec(compile("\ndef fail():\n    forward()", "/a/mine/plugin.py", "exec"), names)
    with pytest.raises(ValueError, match="x") as error:
        names["fail"]()  # type: ignore[operator]
    assert raised_at(error.value, "mine") == (Path("/a/mine/plugin.py"), 3)
    assert raised_at(error.value, "other") is None


def test_the_place_of_a_syntax_error_in_text_is_that_of_the_code_which_read_it() -> None:
    reason = raised("import ast\n\ndef fail():\n    ast.literal_eval('1 +')", "/a/mine.py", "mine")
    assert raised_at(reason, "mine") == (Path("/a/mine.py"), 4)


def test_the_place_of_a_syntax_error_in_a_file_is_there(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("x = 1\nx = (\n")
    source = f"def fail():\n    compile(open({str(broken)!r}).read(), {str(broken)!r}, 'exec')"
    assert raised_at(raised(source, "/a/mine.py", "mine"), "mine") == (broken, 2)
