"""`external` runs any program as a detector, and every way in which a program can fail is one clear error."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mitobench import discovery
from mitobench.api import Detections, Frame, MitobenchError, PluginError
from mitobench.methods import external
from mitobench.pipeline.plugin_ref import PluginRef


def load(command: str) -> Any:
    return discovery.load("detector", f"external:{command}")


@pytest.fixture
def picture() -> Frame:
    """96 x 64 px, one of them white."""
    pixels = np.zeros((64, 96, 3), dtype=np.uint8)
    pixels[20, 70] = 255
    return Frame("f", "toy", "f", "A", (0.25, 0.25), (96, 64), partial(np.copy, pixels))


Run = Callable[..., Detections]


@pytest.fixture
def run(tmp_path: Path, picture: Frame) -> Run:
    """Runs a shell script as the program; `$1` is the image, `$2` the file to write if `arguments` has {out}."""

    def run(script: str, arguments: str = "{image}", **options: Any) -> Detections:
        path = tmp_path / "program.sh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        cls = load(f"{path} {arguments}")
        found: Detections = cls(cls.Options(**options)).predict(picture)
        return found

    return run


class TestCommand:
    def test_two_spellings_are_one(self) -> None:
        assert load("find  {image}   'a b'").name == load("find {image} a\\ b").name == "external:find {image} 'a b'"

    @pytest.mark.parametrize("word", ["a,b", "a+b", "it's", 'say "no"', "a\\b", "", "ü", "a;b", "$x", "*"])
    def test_the_full_spelling_gives_the_same_words_again(self, word: str) -> None:
        argument = load(f"find {shlex.quote(word)} {{image}}").name.partition(":")[2]
        assert shlex.split(argument) == ["find", word, "{image}"]
        assert discovery.separate(argument, ",") == discovery.separate(argument, "+") == [argument]
        assert load(argument).name == f"external:{argument}"

    @pytest.mark.parametrize(
        ("command", "message"),
        [
            ("find", "the command has no {image}"),
            ("{image}", "names no program before {image}. Write external:PROGRAM {image}"),
            ("{image} find {image}", "names no program before {image}"),
            ("find 'a {image}", "cannot be split into words: No closing quotation"),
            ("find {image} " + "a" * 5000, "at most 4096 characters"),
            ("find {image}\0", "at most 4096 characters, none of them NUL"),
        ],
    )
    def test_a_command_that_cannot_work_is_refused(self, command: str, message: str) -> None:
        with pytest.raises(MitobenchError, match=message):
            load(command)

    def test_no_shell_reads_it(self, run: Run, tmp_path: Path) -> None:
        run('echo x,y,score; echo "$2" > ' + str(tmp_path / "seen"), "{image} '$(touch " + str(tmp_path / "no") + ")'")
        assert (tmp_path / "seen").read_text().startswith("$(touch")
        assert not (tmp_path / "no").exists()


class TestKey:
    def options(self, command: str, **options: Any) -> Any:
        cls = load(command)
        return PluginRef.of("detector", cls, cls.Options(**options), "source").key_options

    def test_the_content_of_every_word_that_is_a_file_is_part_of_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("mine.py").write_text("one")
        before = self.options("python mine.py {image}")
        assert before["words"][0] is None
        assert before["words"][1].startswith("sha256 ")
        Path("mine.py").write_text("two")
        assert self.options("python mine.py {image}") != before
        Path("mine.py").write_text("one")
        assert self.options("python mine.py {image}") == before

    def test_so_is_that_of_a_program_on_the_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        finder = tmp_path / "finder"
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        absent = self.options("finder {image}")
        finder.write_text("one")
        finder.chmod(0o755)
        one = self.options("finder {image}")
        finder.write_text("other")
        other = self.options("finder {image}")
        assert len({absent["program"], one["program"], other["program"]}) == 3
        assert self.options("finder {image}", program=one["program"]) == other, "of a record made elsewhere"
        finder.write_text("one")
        assert self.options("finder {image}") == one

    @pytest.mark.parametrize("name", ["python", "python3.12", "bash", "java"])
    def test_an_interpreter_counts_by_its_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        before = self.options(f"{name} mine {{image}}")
        (tmp_path / name).write_text("another version")
        (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        assert self.options(f"{name} mine {{image}}") == before

    def test_a_program_that_changes_during_the_run_is_noticed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        finder = tmp_path / "finder"
        finder.write_text("one")
        finder.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        cls = load("finder {image}")
        ref = PluginRef.of("detector", cls, cls.Options(), "source")
        finder.write_text("other")
        with pytest.raises(PluginError, match="its program was changed during the run"):
            ref.create("cpu")

    def test_so_is_that_of_other_files(self, tmp_path: Path) -> None:
        weights = tmp_path / "weights.bin"
        weights.write_bytes(b"\0")
        before = self.options("find {image}", files=[str(weights)])
        weights.write_bytes(b"\1")
        assert self.options("find {image}", files=[str(weights)]) != before

    def test_a_file_that_changes_during_the_run_is_noticed(self, tmp_path: Path) -> None:
        (tmp_path / "mine.py").write_text("one")
        cls = load(f"python {tmp_path / 'mine.py'} {{image}}")
        ref = PluginRef.of("detector", cls, cls.Options(), "source")
        (tmp_path / "mine.py").write_text("two")
        with pytest.raises(PluginError, match=r"mine\.py was changed during the run"):
            ref.create("cpu")

    def test_it_must_have_a_value_for_each_word(self) -> None:
        with pytest.raises(ValueError, match="one value for each of the 2 words"):
            load("find {image}").Options(words=(None,))


class TestAnswer:
    def test_points_get_a_box_and_boxes_are_kept(self, run: Run) -> None:
        found = run("echo x,y,score; echo 10,20,0.5", box_um=5)
        assert found.xy.tolist() == [[10, 20]]
        assert found.boxes.tolist() == [[0, 10, 20, 30]]
        found = run("echo score,x,y,x1,y1,x2,y2; echo 0.5,10,20,5,6,7,8")
        assert (found.xy.tolist(), found.boxes.tolist(), found.score.tolist()) == ([[10, 20]], [[5, 6, 7, 8]], [0.5])

    def test_the_answer_may_go_to_a_file_and_standard_output_is_then_free(self, run: Run) -> None:
        found = run('echo loading...; printf "\\357\\273\\277x,y,score\\r\\n1,2,3\\r\\n\\r\\n" > "$2"', "{image} {out}")
        assert found.score.tolist() == [3]

    def test_a_header_alone_means_nothing_found(self, run: Run) -> None:
        assert len(run("echo x,y,score")) == 0

    @pytest.mark.parametrize("mpp", [None, 0.5, 0.1])
    def test_whole_numbers_are_centres_of_pixels_of_the_image_that_the_program_saw(
        self, picture: Frame, mpp: float | None, tmp_path: Path
    ) -> None:
        script = tmp_path / "find.py"
        script.write_text(
            "import sys\nimport numpy as np\nfrom PIL import Image\n"
            "pixels = np.asarray(Image.open(sys.argv[1]).convert('L'), float)\n"
            "assert abs(float(sys.argv[2]) - %r) < 1e-6\n"
            "y, x = np.indices(pixels.shape)\n"
            "print('x,y,score')\n"
            "print(f'{(x * pixels).sum() / pixels.sum()},{(y * pixels).sum() / pixels.sum()},1')\n" % (mpp or 0.25)
        )
        cls = load(f"{{python}} {script} {{image}} {{mpp}}")
        found = cls(cls.Options(mpp=mpp)).predict(picture)
        np.testing.assert_allclose(found.xy, [[70, 20]], atol=0.6)

    def test_it_sees_the_pixels_of_the_frame(self, run: Run, picture: Frame, tmp_path: Path) -> None:
        run(f'cp "$1" {tmp_path / "copy.png"}; echo x,y,score')
        with Image.open(tmp_path / "copy.png") as image:
            np.testing.assert_array_equal(np.asarray(image), picture.read())


@pytest.mark.slow
class TestFailures:
    @pytest.mark.parametrize(
        ("script", "message"),
        [
            ("exit 3", "ended with exit code 3; it wrote nothing to standard error"),
            ("echo one >&2; echo two >&2; exit 1", "exit code 1; the end of its standard error: one | two"),
            ("for i in 1 2 3 4 5 6 7 8; do echo $i >&2; done; exit 1", "standard error: 4 | 5 | 6 | 7 | 8"),
            ("printf 'a\\033[2Jb\\n' >&2; exit 1", "a\\x1b[2Jb"),
            ("kill -9 $$", "ended with signal 9"),
            ("true", "line 1 of the CSV from standard output: it is empty; if nothing is found, write the header"),
            ("echo Loading model; echo x,y,score", "line 1 of the CSV from standard output: the header must be x,y,"),
            ("echo x,y", "the header must be"),
            ("echo x,y,score,x1", "the header must be"),
            ("echo x,y,score; echo 1,2", "line 2 of the CSV from standard output: 2 values for 3 columns: '1,2'"),
            ("echo x,y,score; echo; echo 1,2,a", "line 3 of the CSV from standard output: not only numbers"),
            ("echo x,y,score; echo 1,2,nan", "line 2 of the CSV from standard output: a number that is not finite"),
            ("echo x,y,score; echo 1,2,0.5; echo 200,2,0.5", "line 3 of the CSV from standard output: a centre outside "
             "the image of 96 x 64 px"),
            ("echo x,y,score; echo 1,-2,0.5", "a centre outside"),
            ("echo x,y,score,x1,y1,x2,y2; echo 1,2,0.5,5,5,5,9", "line 2 of the CSV from standard output: a box with"),
            ("echo x,y,score; echo '\"1,2,3'", "line 2 of the CSV from standard output: unexpected end of data"),
            ("printf 'x,y,score\\n\\377\\n'", "is not UTF-8 text (byte 10)"),
        ],
    )  # fmt: skip
    def test_they_are_one_line_that_says_what_and_where(self, run: Run, script: str, message: str) -> None:
        with pytest.raises(PluginError) as raised:
            run(script)
        assert message in str(raised.value)
        assert "\n" not in str(raised.value)

    def test_a_program_that_does_not_exist(self, picture: Frame) -> None:
        with pytest.raises(PluginError, match="no-such-program cannot be started: No such file or directory"):
            load("no-such-program {image}")().predict(picture)

    def test_a_program_that_is_not_executable(self, picture: Frame, tmp_path: Path) -> None:
        (tmp_path / "mine.sh").write_text("#!/bin/sh\necho x,y,score\n")
        with pytest.raises(PluginError, match=r"mine\.sh is not executable. Run `chmod \+x`"):
            load(f"{tmp_path / 'mine.sh'} {{image}}")().predict(picture)

    def test_a_file_that_is_not_written(self, run: Run) -> None:
        with pytest.raises(PluginError, match=r"did not write the CSV to \{out\}; .*oh no"):
            run("echo oh no >&2", "{image} {out}")

    def test_a_link_instead_of_a_file(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("x,y,score\n")
        with pytest.raises(PluginError, match=r"did not write the CSV to \{out\}"):
            run(f'ln -s {tmp_path / "secret"} "$2"', "{image} {out}")

    def test_a_slow_program_is_stopped_with_everything_that_it_started(self, run: Run, tmp_path: Path) -> None:
        started = time.monotonic()
        with pytest.raises(PluginError, match=r"took longer than 0\.5 s and was stopped; .*still here"):
            run(f"echo still here >&2; (sleep 2; touch {tmp_path / 'late'}) & sleep 60", timeout_s=0.5)
        assert time.monotonic() - started < 5
        time.sleep(2.2)
        assert not (tmp_path / "late").exists()

    def test_what_a_program_leaves_running_is_stopped_when_it_ends(self, run: Run, tmp_path: Path) -> None:
        started = time.monotonic()
        assert len(run(f"echo x,y,score; (sleep 1; touch {tmp_path / 'late'}) &")) == 0
        assert time.monotonic() - started < 1
        time.sleep(1.2)
        assert not (tmp_path / "late").exists()

    @pytest.mark.parametrize(
        ("script", "where"),
        [("yes", "standard output"), ("yes >&2", "standard error"), ('yes > "$2"', "{out}")],
    )
    def test_a_program_that_never_stops_writing_is_stopped(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, script: str, where: str
    ) -> None:
        monkeypatch.setattr(external, "MAX_OUTPUT", 1 << 20)
        with pytest.raises(PluginError, match=f"wrote more than 1 MB to {where}"):
            run(script, "{image} {out}", timeout_s=60)

    def test_too_many_detections(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(external, "MAX_ROWS", 2)
        with pytest.raises(PluginError, match="line 4 of the CSV from standard output: more than 2 detections"):
            run("echo x,y,score; echo 1,2,3; echo 1,2,3; echo 1,2,3")


def test_it_gets_nothing_secret_from_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "PYTHONPATH"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run(f"env > {tmp_path / 'seen'}; echo x,y,score")
    seen = (tmp_path / "seen").read_text()
    assert "secret" not in seen
    assert "OMP_NUM_THREADS=1" in seen
    assert f"PATH={os.environ['PATH']}" in seen


def test_python_is_the_one_that_runs_mitobench(picture: Frame) -> None:
    cls = load("{python} -c \"import sys; print('x,y,score', file=sys.stderr); sys.exit(sys.executable)\" {image}")
    with pytest.raises(PluginError, match=sys.executable):
        cls().predict(picture)


def test_it_learns_nothing_and_needs_no_boxes() -> None:
    assert not external.External.learns()
    assert not external.External.uses_boxes
