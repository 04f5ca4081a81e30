"""The small parts of the agent: descriptions, progress lines, archives, records, addresses."""

import asyncio
import dataclasses
import os
import re
import tarfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import __version__
from client.copilot.checkpoint import Checkpoint, JobRecord
from client.copilot.execute import build_wrapper
from client.copilot.jdl import WITHOUT_SOFTWARE, build_jdl, describe_host, parse_jdl
from client.copilot.messages import JobDescription
from client.copilot.pack import Stopped, folder_size, pack_folder
from client.copilot.progress import MAX_LINE_BYTES, parse_progress
from client.copilot.report import Progress
from client.copilot.storage.chirp import encode_path, split_server
from client.copilot.timers import doubling


def test_a_description_has_the_form_that_the_original_has() -> None:
    text = build_jdl({"Type": "machine", "WNHost": 'a"b', "Memory": 512})
    assert text == '[\nType="machine";\nWNHost="ab";\nMemory=512;\nRequirements=(other.Type=="Job");\n]\n'
    assert parse_jdl(text.replace("\n", " ")) == {
        "Type": "machine",
        "WNHost": "ab",
        "Memory": "512",
        "Requirements": '(other.Type=="Job")',
    }


def test_this_computer_can_be_described(tmp_path: Path) -> None:
    about = parse_jdl(describe_host("host", tmp_path))
    assert about["WNHost"] == "host"
    assert int(about["LocalDiskSpace"]) > 0
    assert int(about["Memory"]) > 0
    assert int(about["Cpus"]) == os.cpu_count()
    assert about["Version"] == __version__
    more = parse_jdl(describe_host("host", tmp_path, WITHOUT_SOFTWARE))
    assert (set(more) - set(about), more["Software"]) == ({"Software"}, "none")


@given(st.text())
def test_no_description_does_harm(text: str) -> None:
    assert len(parse_jdl(text * 10)) <= 100


@pytest.mark.parametrize(
    ("line", "progress"),
    [
        (b'{"done": 3}', Progress(3)),
        (b'{"done": 3, "total": 9.5, "unit": "events", "more": []}', Progress(3, 9.5, "events")),
        (b'{"done": 3, "unit": "\\ud800"}', Progress(3, 0, "?")),
        (b'{"done": -1}', None),
        (b'{"done": true}', None),
        (b'{"done": NaN}', None),
        (b'{"done": Infinity}', None),
        (b'{"done": 1e300}', None),
        (b'{"done": "3"}', None),
        (b'{"done": 3, "unit": 7}', None),
        (b"[" * 900, None),
        (b"\xff\xfe", None),
        (b"3", None),
        (b"", None),
        (b'{"done": 3}' + b" " * MAX_LINE_BYTES, None),
    ],
)
def test_progress_lines(line: bytes, progress: Progress | None) -> None:
    assert parse_progress(line) == progress


@given(st.binary(max_size=200))
def test_no_progress_line_does_harm(line: bytes) -> None:
    parse_progress(line)


def test_sizes_count_files_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_bytes(b"x" * 5000)
    (tmp_path / "loop").symlink_to(tmp_path)
    assert folder_size(tmp_path, 10**9) == 5000 + 2 * 512
    assert folder_size(tmp_path, 1000) >= 1000
    assert folder_size(tmp_path / "missing", 1000) == 0


def test_a_file_with_holes_counts_in_full(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file:
        file.truncate(10**12)
    assert folder_size(tmp_path, 10**9) >= 10**9


def test_archives(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    (folder / "d").mkdir(parents=True)
    (folder / "d" / "ü").write_bytes(b"x")
    os.mkfifo(folder / "pipe")
    size = pack_folder(folder, tmp_path / "out.tgz")
    assert size == (tmp_path / "out.tgz").stat().st_size
    with tarfile.open(tmp_path / "out.tgz") as packed:
        assert packed.getnames()[1:] == ["./d", "./d/ü"]
    assert [path.name for path in tmp_path.glob("out*")] == ["out.tgz"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_second_name_of_anothers_file_is_not_read_for_the_job(tmp_path: Path) -> None:
    folder, secret = tmp_path / "work", tmp_path / "secret"
    folder.mkdir()
    secret.write_text("secret")
    for name, target in (("theirs", secret), ("own", folder / "first")):
        (folder / "first").write_text("x")
        os.chown(folder / "first", 12345, 12345)
        (folder / name).hardlink_to(target)
    os.chown(folder, 12345, 12345)
    pack_folder(folder, tmp_path / "out.tgz")
    with tarfile.open(tmp_path / "out.tgz") as packed:
        assert packed.getnames()[1:] == ["./first", "./own"]


class Soon(threading.Event):
    """Is set at the third look."""

    looks = 0

    def is_set(self) -> bool:
        self.looks += 1
        return self.looks >= 3


@pytest.mark.parametrize("content", [bytes(1_000_000), os.urandom(1_000_000)])
def test_an_archive_that_is_not_wanted_any_more_ends_in_the_middle_of_a_file(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "a").write_bytes(content)
    stop = Soon()
    with pytest.raises(Stopped):
        pack_folder(folder, tmp_path / "out.tgz", stop)
    assert 3 <= stop.looks < 6
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


RECORD = JobRecord(
    JobDescription("job-1", "h:1", "in", ("a", "b/c"), "run", "\udce4", time_limit_s=5),
    "jm@x/1",
    30,
    "lease-1",
    {"startedAt": "1"},
    "executing",
    256,
    None,
    1.5,
    2.5,
    1,
)


def test_records_come_back(tmp_path: Path) -> None:
    place = Checkpoint(tmp_path)
    assert place.load() is None
    place.save(RECORD)
    assert place.load() == RECORD
    place.clear()
    place.clear()
    assert place.load() is None


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '{"run_job": {"command": "sleep"}, "version": 1}', "[" * 9999]
)
def test_a_damaged_record_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "job.json").write_text(text)
    assert Checkpoint(tmp_path).load() is None


@pytest.mark.parametrize("damage", ["Infinity", "NaN", "[]", '"x"'])
def test_a_record_with_a_damaged_number_is_none(tmp_path: Path, damage: str) -> None:
    Checkpoint(tmp_path).save(RECORD)
    path = tmp_path / "job.json"
    whole = path.read_text()
    broken = re.sub(r'"starts": \d+', f'"starts": {damage}', whole)
    assert broken != whole
    path.write_text(broken)
    assert Checkpoint(tmp_path).load() is None


def test_half_a_record_is_none(tmp_path: Path) -> None:
    Checkpoint(tmp_path).save(RECORD)
    path = tmp_path / "job.json"
    path.write_text(path.read_text()[:200])
    assert Checkpoint(tmp_path).load() is None


def test_the_wrapper() -> None:
    record = JobRecord(JobDescription("j", command="run.sh", arguments="a $B", environment="export B=1"), "m")
    assert build_wrapper(record, Path("/work/j")) == (
        "#!/bin/sh\n"
        "# Environment variables needed by the job\n"
        "export B=1\n\n"
        "# Job command execution\n"
        "cd /work/j\n"
        "chmod a+x run.sh\n"
        "./run.sh a $B\n"
    )


@given(st.text())
def test_a_path_becomes_one_plain_word(path: str) -> None:
    word = encode_path(path.encode("utf-8", "replace").decode())
    assert word.isascii()
    assert not set(word) & set(" \n\r\t\0\"'<>\\")


@pytest.mark.parametrize(
    ("server", "found"),
    [
        ("h", ("h", 9094)),
        ("h:1", ("h", 1)),
        ("127.0.0.1:19094", ("127.0.0.1", 19094)),
        ("[::1]:5", ("::1", 5)),
        ("[::1]", ("::1", 9094)),
    ],
)
def test_servers(server: str, found: tuple[str, int]) -> None:
    assert split_server(server) == found


@pytest.mark.parametrize("server", ["h:", "h:x", "h:0", "h:65536", ":5"])
def test_servers_that_are_none(server: str) -> None:
    with pytest.raises(ValueError, match=r"port|int"):
        split_server(server)


def test_doubling() -> None:
    waits = doubling(5, 60)
    assert [next(waits) for _ in range(7)] == [5, 10, 20, 40, 60, 60, 60]


async def test_records_reach_the_disk_in_order_and_off_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()
    monkeypatch.setattr("client.copilot.checkpoint.os.fsync", lambda _: threads.add(threading.get_ident()))
    place = Checkpoint(tmp_path)
    record = dataclasses.replace(RECORD)
    writes = []
    for number in range(20):
        record.starts = number
        writes.append(asyncio.create_task(place.write(record)))
        await asyncio.sleep(0)
    # Nobody waits for this one any more, and it is written all the same.
    writes[-1].cancel()
    await asyncio.gather(*writes, return_exceptions=True)
    place.close()
    found = place.load()
    assert found is not None
    assert found.starts == 19
    assert threads
    assert threading.get_ident() not in threads
    await place.remove()
    assert place.load() is None
    place.close()
