"""What a job prints: read from real files, without waiting for the time between two looks."""

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.copilot import tail as module
from client.copilot.progress import ProgressPipe
from client.copilot.tail import MAX_LINE_CHARS, MAX_LINES, MAX_READ_BYTES, OutputTail


class Told:
    """A tail that is looked at by hand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[str] = []
        self.left_out = 0
        self.calls = 0
        self.tail = OutputTail(path, self.take)

    def take(self, lines: list[str], left_out: int) -> None:
        self.calls += 1
        self.lines += lines
        self.left_out += left_out

    def add(self, data: bytes) -> None:
        with self.path.open("ab") as target:
            target.write(data)
        self.tail._look(last=False)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path / "stdout")


async def test_a_cancellation_while_it_closes_is_not_swallowed(told: Told) -> None:
    told.tail.start()
    await asyncio.sleep(0)
    closing = asyncio.create_task(told.tail.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing


async def test_nor_while_the_progress_pipe_closes() -> None:
    pipe = ProgressPipe(lambda _: None)
    pipe.start()
    await asyncio.sleep(0)
    closing = asyncio.create_task(pipe.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await pipe.close()


async def test_lines_are_told_when_they_are_whole_and_the_last_one_at_the_end(told: Told) -> None:
    told.tail.start()
    told.add(b"one\ntw")
    assert told.lines == ["one"]
    told.add(b"o\n\n 10%\r 20%\rthree")
    assert told.lines == ["one", "two", " 10%", " 20%"]
    await told.tail.close()
    await told.tail.close()
    assert told.lines[4:] == ["three"]


async def test_what_was_there_before_is_not_told_again(told: Told) -> None:
    told.path.write_bytes(b"of the run before\n")
    told.tail.start()
    told.add(b"new\n")
    await told.tail.close()
    assert told.lines == ["new"]


async def test_a_flood_costs_a_bounded_read_and_its_last_lines_are_kept(told: Told) -> None:
    told.tail.start()
    flood = b"".join(b"line %06d\n" % number for number in range(100_000))
    told.add(flood)
    assert told.lines == [f"line {number:06}" for number in range(100_000 - MAX_LINES, 100_000)]
    assert told.calls == 1
    told_bytes = sum(map(len, told.lines))
    assert len(flood) - MAX_READ_BYTES <= told.left_out <= len(flood) - told_bytes
    await told.tail.close()


async def test_a_line_without_end_costs_bounded_memory(told: Told) -> None:
    told.tail.start()
    for _ in range(5):
        told.add(b"x" * 3 * MAX_READ_BYTES)
        assert len(told.tail._rest) <= MAX_READ_BYTES
    told.add(b"\nafter\n")
    await told.tail.close()
    assert told.lines[-1] == "after"
    assert all(len(line) <= MAX_LINE_CHARS for line in told.lines)


async def test_what_terminals_obey_is_not_told(told: Told) -> None:
    told.tail.start()
    told.add("\x1b]0;title\x07\x9b2J bell\xff".encode("latin-1") + b"\n")
    await told.tail.close()
    assert told.lines[0].isprintable()


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
async def test_only_a_plain_file_is_read(told: Told, tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    if kind == "link":
        told.path.symlink_to(secret)
    elif kind == "fifo":
        os.mkfifo(told.path)
    else:
        told.path.mkdir()
    told.tail.start()
    told.tail._look(last=False)
    await told.tail.close()
    assert told.lines == []


async def test_a_file_that_is_cut_short_is_read_from_its_start(told: Told) -> None:
    told.tail.start()
    told.add(b"long line\n")
    told.path.write_bytes(b"")
    told.tail._look(last=False)
    told.add(b"new\n")
    await told.tail.close()
    assert told.lines == ["long line", "new"]


async def test_it_looks_by_itself(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.001)
    told.tail.start()
    told.path.write_bytes(b"said\n")
    while not told.lines:
        await module.asyncio.sleep(0)
    await told.tail.close()
    assert told.lines == ["said"]


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=300), max_size=8))
def test_whatever_is_printed_becomes_bounded_printable_lines(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    told = Told(tmp_path_factory.mktemp("tail") / "stdout")
    for piece in pieces:
        told.add(piece)
    told.tail._look(last=True)
    os.close(told.tail._number) if told.tail._number >= 0 else None
    assert all(0 < len(line) <= MAX_LINE_CHARS for line in told.lines)
    assert not any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for line in told.lines for letter in line)
