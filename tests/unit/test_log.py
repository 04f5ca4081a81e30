import errno
import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from client import log

DISK_FULL = Path("/dev/full")
SITE = log.logger("site")


class Disk(io.StringIO):
    """A file that takes nothing while its disk is full."""

    is_full = False

    def flush(self) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "site.log"


@pytest.fixture
def handler(path: Path) -> Iterator[logging.FileHandler]:
    handler = log.to_file(path)
    assert isinstance(handler, logging.FileHandler)
    yield handler
    log.remove(handler)


def test_a_line_is_a_json_object(handler: logging.FileHandler, path: Path) -> None:
    SITE.warning("it is %s", "hot", extra={"fields": {"degrees": 40}})
    said = json.loads(path.read_text())
    assert (said["level"], said["area"], said["text"], said["degrees"]) == ("warning", "site", "it is hot", 40)


def test_a_full_disk_is_said_in_one_sentence_until_there_is_room_again(
    handler: logging.FileHandler, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = Disk()
    handler.setStream(disk).close()  # type: ignore[arg-type, union-attr]
    disk.is_full = True
    for number in range(3):
        SITE.warning("line %d", number)
    said = capsys.readouterr().err
    assert said.endswith(
        "site.log: this log cannot be written (No space left on device). All else goes on; make room,"
        " and it is logged again.\n"
    )
    assert said.count("\n") == 1
    disk.is_full = False
    SITE.warning("room")
    assert capsys.readouterr().err == ""
    assert '"room"' in disk.getvalue()
    disk.is_full = True
    SITE.warning("full again")
    assert capsys.readouterr().err.count("\n") == 1
    # Nor does the end of the program fail for it.
    handler.close()


@pytest.mark.skipif(not DISK_FULL.exists(), reason="this system has no such device")
def test_a_real_file_without_room_harms_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    handler = log.to_file(DISK_FULL)
    SITE.error("lost")
    SITE.error("lost as well")
    log.remove(handler)
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("stderr", [None, Disk()])
def test_it_does_no_harm_either_where_standard_error_takes_nothing(
    handler: logging.FileHandler, monkeypatch: pytest.MonkeyPatch, stderr: Disk | None
) -> None:
    disk = Disk()
    handler.setStream(disk).close()  # type: ignore[arg-type, union-attr]
    disk.is_full = True
    if stderr is not None:
        stderr.is_full = True
    monkeypatch.setattr(sys, "stderr", stderr)
    SITE.warning("lost")
    handler.close()
    assert handler.stream is None


def test_a_fault_of_ours_is_shown_as_one(handler: logging.FileHandler, capsys: pytest.CaptureFixture[str]) -> None:
    handler.handle(logging.makeLogRecord({"msg": "%d", "args": ("no number",)}))
    assert "Logging error" in capsys.readouterr().err
