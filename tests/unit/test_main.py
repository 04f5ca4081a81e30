"""Words that do not fit get a sentence, not a traceback."""

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
        (["headless", "--set", "guest.cpu=2"], "did you mean guest.cpus"),
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


@pytest.mark.parametrize("words", [["--jobs", "-1"], ["--jobs", "two"], ["dance"], ["--theme", "pink"]])
def test_bad_options(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main.main(words)
    assert caught.value.code == 2


@pytest.mark.parametrize("role", main.ROLES)
def test_every_role_can_be_imported(role: str) -> None:
    module, function, _ = main.ROLES[role]
    assert callable(getattr(main.importlib.import_module(module), function))
