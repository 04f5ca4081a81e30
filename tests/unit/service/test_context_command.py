import io
import os
from pathlib import Path

import pytest

from client.appliance.errors import BadContextValues, BadTemplate
from client.errors import BadInput
from client.messages import sentence
from client.service import context_command
from client.service.context_command import main
from tests.helpers.context_values import KEY


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("PRECIOUS-1\n"))


def test_the_list_has_a_line_for_each_template(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["batch-worker", "cernvm4", "linux"]


def test_without_a_wish_it_tells_what_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cernvm4"]) == 0
    told = capsys.readouterr().out
    assert "password         Your password in the guest (secret, must be given)" in told
    assert "whole_disk       Use the whole disk (switch, else on)" in told
    assert "end of its life" in told


def test_it_shows_without_secrets_and_unpacks_base64(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cernvm4", "--show", "--set", "password=@-", "--set", "script=echo hello"]) == 0
    told = capsys.readouterr().out
    assert "PRECIOUS" not in told
    assert "|     | echo hello" in told
    assert "== ec2/latest/user-data" in told


def test_it_makes_a_medium_from_files_and_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "key.pub"
    key.write_text(f"{KEY}\n", encoding="utf-8")
    output = tmp_path / "seed.iso"
    command = ["linux", "--set", f"key=@{key}", "--set", "host=one", "--output", str(output), "--instance-id", "mine"]
    assert main(command) == 0
    assert output.stat().st_size > 30_000
    assert "label config-2, instance mine-" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("template", "field", "said"),
    [("linux", "host", "does it all again"), ("cernvm4", "script", "fresh scratch disk")],
)
def test_over_an_older_medium_it_tells_what_that_means(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], template: str, field: str, said: str
) -> None:
    needed = {"linux": ["--set", f"key={KEY}"], "cernvm4": ["--set", "password=long enough"]}[template]
    heard = []
    for value in ("one", "one", "two"):
        words = [template, *needed, "--set", f"{field}={value}", "--output", str(tmp_path / "seed.iso")]
        assert main(words) == 0
        heard.append(capsys.readouterr().out)
    assert heard[0].count("\n") == 1
    assert "the same as the one before" in heard[1]
    assert said in heard[2]


def test_secrets_that_are_missing_are_asked_for_at_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return "PRECIOUS-2"

    monkeypatch.setattr(context_command.getpass, "getpass", answer)
    monkeypatch.setattr(context_command.sys.stdin, "isatty", lambda: True)
    assert main(["cernvm4", "--output", str(tmp_path / "a.iso")]) == 0
    assert asked == ["Your password in the guest: "]


def test_an_at_sign_can_be_the_first_character() -> None:
    with pytest.raises(BadContextValues, match="host name"):
        main(["linux", "--show", "--set", f"key={KEY}", "--set", "host=@@x"])


def test_a_template_of_ones_own_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[template]\n", encoding="utf-8")
    with pytest.raises(BadTemplate):
        main([str(tmp_path / "mine.toml")])


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match="cannot be written"):
        main(["linux", "--set", f"key={KEY}", "--output", str(tmp_path / "file" / "seed.iso")])


def test_many_faults_stand_on_lines_of_their_own() -> None:
    with pytest.raises(BadContextValues) as caught:
        main(["cernvm4", "--show", "--set", "password=x", "--set", "nme=1"])
    assert sentence(caught.value).text.count("\n  ") == 2


@pytest.mark.parametrize(
    "words",
    [
        ["linxu"],
        ["linux", "--show", "--set", "key"],
        ["linux", "--show", "--set", "key=@/no"],
        ["--show"],
        ["/no.toml"],
    ],
)
def test_what_a_person_mistypes_is_told(words: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        main(words)
    assert caught.value.remedy


def test_what_would_steer_a_terminal_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    text = '[template]\nname = "x"\ntext = "\\u202e"\nsystem = "cloud-init"\n[guest]\nhost_name = "x"\n'
    path.write_text(text, encoding="utf-8")
    assert main([str(path)]) == 0
    told = capsys.readouterr().out
    assert "\u202e" not in told


def test_the_program_has_the_role() -> None:
    import main as program

    assert program.main(["context", "--list", os.devnull]) == 0
