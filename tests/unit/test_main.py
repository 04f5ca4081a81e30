"""Words that do not fit get a sentence, not a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["attach"], "no project file was named"),
        (["attach", "/nonexistent.toml"], "no such file"),
        (["headless", "extra"], "takes no file"),
        (["headless", "--basedir", "/proc/nowhere"], "cannot be used"),
        (["headless", "--set", "guest.cpu=2"], "did you mean guest.cpus?\n"),
        (["gui", "--set", "guest.cpu=2"], "did you mean guest.cpus?\n"),
        (["gui", "--project", "/nonexistent.toml"], "no such file"),
        (["ctl", "status"], "does not run"),
        (["ctl", "start", "--for", "5"], "does not go with start"),
    ],
)
def test_bad_words(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if "--basedir" not in words and words[0] != "attach":
        words = [*words, "--basedir", str(tmp_path / "base")]
    assert main.main(words) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--jobs", "-1"], "not a number of jobs"),
        (["--jobs", "two"], "'two' is not a number of jobs"),
        (["whistle"], "main.py --help lists what there is"),
        (["headles"], "did you mean main.py headless?"),
        (["imags"], "did you mean main.py images?"),
        (["--basedir", "x", "ctl", "status"], "write main.py ctl"),
        (["--theme", "pink"], "choose one of system, light, dark"),
        (["images", "frob"], "choose one of list, remove"),
    ],
)
def test_bad_options(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(words) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_what_the_system_refuses_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main.main(["hypervisors", "--test-again", "--basedir", str(tmp_path / "file" / "base")]) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told and told.count("\n") == 1


def test_every_role_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(["--help"])
    said = capsys.readouterr().out
    assert all(f"\n  {role} " in said for role in main.ROLES)


@pytest.mark.parametrize("role", ["worker", "token", "relay"])
def test_what_only_the_program_starts_says_so(role: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([role, "--help"]) == 0
    assert "nothing to type" in capsys.readouterr().out


@pytest.mark.parametrize("role", main.ROLES)
def test_every_role_can_be_imported(role: str) -> None:
    module, function, _ = main.ROLES[role]
    assert callable(getattr(main.importlib.import_module(module), function))


def test_closed_streams_are_no_fault() -> None:
    line = f'exec "{sys.executable}" "{main.__file__}" hypervisors --help <&- >&-'
    done = subprocess.run(["/bin/sh", "-c", line], check=False, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")
