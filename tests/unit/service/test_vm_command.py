"""Words of `main.py vm`, and what of a guest's words reaches a terminal."""

import asyncio
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.board import Board
from client.hypervisor.errors import NoSuchVm
from client.paths import Paths
from client.service import vm_command
from client.service.standard import Output, StandardInput
from client.service.vm_command import LOST, VERBS, _copy_of, _exec_of, _split, build_parser, main
from client.service.vm_desk import VmDesk, new_part
from tests.helpers.clock import FakeClock


def copied(*words: str) -> dict[str, object]:
    return _copy_of(build_parser().parse_args(list(words)))


def test_what_follows_the_dashes_is_the_command_whatever_it_is() -> None:
    words, command = _split(["exec", "--root", "other", "--", "ls", "--", "--root"])
    given = _exec_of(build_parser().parse_args(words), command)
    assert (given["vm"], given["root"], given["argv"]) == ("other", True, ["ls", "--", "--root"])


def test_a_folder_keeps_the_name_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"data")
    put = copied("put", str(tmp_path / "file"), "/scratch/")
    assert (put["local"], put["path"], put["vm"]) == (str(tmp_path / "file"), "/scratch/file", "work-1")
    assert copied("get", "/a/other", str(tmp_path))["local"] == str(tmp_path / "other")
    assert copied("get", "/a/file", str(tmp_path / "new"))["local"] == str(tmp_path / "new")
    monkeypatch.chdir(tmp_path)
    assert copied("put", "file", "/x")["local"] == str(tmp_path / "file")
    (tmp_path / "link").symlink_to("file")
    assert copied("get", "--force", "/x", "link")["local"] == str(tmp_path / "file")


LONG = "x" * 100_000


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["exec"], "no command was given"),
        (["exec", "--"], "no command was given"),
        (["exec", "ls"], "write vm exec -- ls"),
        (["exec", "--timeout", "-1", "--", "ls"], "such a limit makes no sense"),
        (["exec", "--", "sh", "-c", LONG], "longer than 12288 bytes"),
        (["send", "t", LONG], "longer than 2000 characters"),
        (["send", LONG, "text"], "its topic is longer than 62 characters"),
        (["put", "/etc/passwd", "/" + LONG], "no absolute path in the guest"),
        (["put", "/dev/null", "/x"], "a device or a pipe, not a file"),
        (["put", "/etc", "/x"], "this is a folder, not a file"),
        (["get", "/x", "/dev/null"], "never replaced"),
        (["get", "/x", "/etc/passwd"], "is there already"),
        (["get", "/x", "/no/such/folder/file"], "there is no such folder"),
        (["start", "another"], "does not run in"),
        (["remove", "another"], "add --yes"),
        (["remove", "work-1"], "not your own"),
        (["create", "...", "--image", "x"], "a letter from a to z"),
        (["create", "a", "--image", "x", "--set", "a=b"], "add --template"),
    ],
    ids=lambda given: " ".join(given)[:30] if isinstance(given, list) else "",
)
def test_words_that_do_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], wanted: str
) -> None:
    assert main([words[0], "--basedir", str(tmp_path), *words[1:]]) == LOST
    assert wanted in capsys.readouterr().err


@pytest.mark.parametrize("word", [*VERBS, "list", "console", "messages"])
def test_all_say_that_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str], word: str) -> None:
    assert main([word, "--basedir", str(tmp_path)]) == LOST
    assert "does not run" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["exec", "--timeout", "nan", "--", "ls"], ["messages", "--after", "-1"], ["dance"]], ids=" ".join
)
def test_what_is_no_number_or_no_word_is_a_failure_of_ours(words: list[str]) -> None:
    assert main(words) == LOST


@pytest.mark.parametrize(
    ("before", "now", "new"),
    [
        ("", "", ""),
        ("abc", "abcdef", "def"),
        ("abc", "abc", ""),
        ("x" * 500 + "end", "x" * 450 + "end" + "more", "more"),
        ("old", "quite other", "quite other"),
        ("", "all", "all"),
    ],
)
def test_a_console_is_followed_without_gap_or_repetition(before: str, now: str, new: str) -> None:
    assert new_part(before, now) == new


class FakeTerminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def test_a_guest_cannot_steer_a_terminal_but_fills_a_file_as_it_likes() -> None:
    said = "\x1b]0;evil\x07 Zoë\r\n\t\x9b31m \u202e".encode() + b"\xff"
    terminal, file = FakeTerminal(io.BytesIO(), "utf-8", newline=""), io.TextIOWrapper(io.BytesIO(), "utf-8")
    for stream in (terminal, file):
        output = Output(stream)
        for byte in said:
            output.write(bytes([byte]))
    assert terminal.buffer.getvalue().decode() == "\ufffd]0;evil\ufffd Zoë\r\n\t\ufffd31m \ufffd\ufffd"  # type: ignore[attr-defined]
    assert file.buffer.getvalue() == said  # type: ignore[attr-defined]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    os.close(read)


async def test_input_comes_from_pipes_and_files(tmp_path: Path, pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.write(write, b"piped")
    assert await StandardInput(read).read(100) == b"piped"
    os.close(write)
    assert await StandardInput(read).read(100) == b""
    (tmp_path / "file").write_bytes(b"filed")
    with (tmp_path / "file").open("rb") as file:
        source = StandardInput(file.fileno())
        assert [await source.read(3), await source.read(3), await source.read(3)] == [b"fil", b"ed", b""]
    assert await StandardInput(99_999).read(1) == b""


def test_the_list_tells_of_what_is_left_with_another_hypervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = tmp_path / "vms" / "_virtualbox" / "work-1"
    left.mkdir(parents=True)
    (left / "disk").write_bytes(os.urandom(2 << 20))
    vms = [{"vm_id": "work-1", "state": "running", "hypervisor": "qemu", "accelerator": "kvm"}]

    async def status(paths: Paths, word: str) -> dict[str, object]:
        return {"snapshot": {"vms": vms}}

    monkeypatch.setattr(vm_command, "ask", status)
    assert main(["list", "--basedir", str(tmp_path)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["work-1", "running", "qemu", "kvm"]
    assert second == "2 MiB are left of virtual machines of virtualbox; main.py hypervisors tells more."
    vms[0]["hypervisor"] = "virtualbox"
    assert main(["list", "--basedir", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


async def test_a_console_of_one_that_was_never_started_is_empty_and_says_so() -> None:
    said: list[dict[str, object]] = []

    class Machine:
        errands = None

        async def console(self, limit_bytes: int) -> str:
            raise NoSuchVm("own-box")

    async def send(one: dict[str, object]) -> None:
        said.append(one)

    desk = VmDesk(Board(FakeClock()), lambda vm_id: Machine())
    await desk.answer("vm console", {"vm": "own-box"}, asyncio.StreamReader(), send)
    assert said == [{"note": "It has printed nothing yet."}, {"done": {}}]
