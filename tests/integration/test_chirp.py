"""The small Chirp client against the real chirp_server."""

import asyncio
import os
from pathlib import Path

import pytest

from client.copilot.errors import FileTooBig, TransferFailed
from client.copilot.managers.chirp_folder import close_output, open_output
from client.copilot.storage.chirp import ChirpSession, ChirpTransfer, Refused
from client.copilot.storage.pace import PaceLimits
from tests.helpers.servers import NOBODY, Chirp, chirp_server, serving

pytestmark = pytest.mark.integration


def make_folder(chirp: Chirp, name: str, acl: str = "address:* rwl\n") -> Path:
    folder = chirp.root / name
    folder.mkdir()
    (folder / ".__acl").write_text(acl)
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    return folder


async def test_the_verbs(chirp: Chirp, tmp_path: Path) -> None:
    session = await ChirpSession.open("127.0.0.1", chirp.port)
    assert await session.whoami() == "address:127.0.0.1"
    await session.mkdir("/a b")
    await session.mkdir("/a b")
    await session.setacl("/a b", "address:*", "rwl")
    local = tmp_path / "local"
    local.write_bytes(b"hello")
    assert await session.putfile("/a b/ü%'\"#1", local) == 5
    assert await session.getdir("/a b") == ["ü%'\"#1"]
    await session.rename("/a b/ü%'\"#1", "/a b/plain")
    assert (await session.stat("/a b/plain")).size_bytes == 5
    assert await session.getfile("/a b/plain", tmp_path / "back", limit_bytes=5) == 5
    assert (tmp_path / "back").read_bytes() == b"hello"
    await session.unlink("/a b/plain")
    with pytest.raises(Refused, match="does not exist"):
        await session.stat("/a b/plain")
    await session.rmall("/a b")
    assert await session.getdir("/") == []
    await session.close()


async def test_what_the_original_job_manager_prepares_takes_our_upload(chirp: Chirp, tmp_path: Path) -> None:
    folder = make_folder(chirp, "job", "-e hostname:* rwl\naddress:* rwl\n\n")
    local = tmp_path / "job.tgz"
    local.write_bytes(os.urandom(1_000_000))
    transfer = ChirpTransfer()
    assert await transfer.put(chirp.address, "/job/job.tgz", local) == 1_000_000
    assert await transfer.put(chirp.address, "/job/job.tgz", local) == 1_000_000
    assert (folder / "job.tgz").read_bytes() == local.read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == [".__acl", "job.tgz"]
    await transfer.close()


async def test_a_folder_with_input_in_it_takes_output_for_a_while(tmp_path: Path) -> None:
    """The original's copilot-job-submit makes it, for reading only."""
    local, transfer = tmp_path / "job.tgz", ChirpTransfer()
    local.write_bytes(b"output")
    with chirp_server("address:* rl\n") as chirp:
        folder = make_folder(chirp, "job", "address:* rl\nhostname:* rl\n")
        (folder / "run.sh").write_bytes(b"input")
        with pytest.raises(TransferFailed):
            await transfer.put(chirp.address, "/job/job.tgz", local)
        open_output(chirp.root, "job")
        assert await transfer.put(chirp.address, "/job/job.tgz", local) == 6
        session = await ChirpSession.open("127.0.0.1", chirp.port)
        with pytest.raises(Refused):
            await session.unlink("/job/run.sh")
        await session.close()
        assert not close_output(chirp.root, "job")
        assert await transfer.get(chirp.address, "/job/run.sh", tmp_path / "back", limit_bytes=5) == 5
        with pytest.raises(TransferFailed):
            await transfer.put(chirp.address, "/job/job.tgz", local)
        await transfer.close()
        assert sorted(path.name for path in folder.iterdir()) == [".__acl", "run.sh"]


async def test_an_upload_where_nobody_may_rename(tmp_path: Path) -> None:
    with chirp_server("address:* rl\n") as chirp:
        folders = [make_folder(chirp, name, "-e hostname:* rwl\naddress:* rwl\n\n") for name in ("a", "b")]
        local = tmp_path / "job.tgz"
        local.write_bytes(b"output")
        transfer = ChirpTransfer()
        assert await transfer.put(chirp.address, "/a/a.tgz", local) == 6
        assert await transfer.put(chirp.address, "/b/b.tgz", local) == 6
        await transfer.close()
        assert [(folder / f"{folder.name}.tgz").read_bytes() for folder in folders] == [b"output", b"output"]
        # The second is not tried in vain.
        assert sorted(path.name for path in folders[1].iterdir()) == [".__acl", "b.tgz"]


async def test_a_server_is_reached_under_another_address(chirp: Chirp, tmp_path: Path) -> None:
    make_folder(chirp, "in")
    (chirp.root / "in" / "f").write_bytes(b"x")
    transfer = ChirpTransfer({"files.example": chirp.address})
    assert await transfer.get("files.example", "/in/f", tmp_path / "f", limit_bytes=10) == 1
    await transfer.close()


async def test_refusals_are_permanent_and_the_next_file_still_comes(chirp: Chirp, tmp_path: Path) -> None:
    make_folder(chirp, "in")
    (chirp.root / "in" / "f").write_bytes(b"x" * 100)
    transfer = ChirpTransfer()
    with pytest.raises(TransferFailed) as refused:
        await transfer.get(chirp.address, "/in/missing", tmp_path / "f", limit_bytes=10)
    assert refused.value.permanent
    with pytest.raises(FileTooBig):
        await transfer.get(chirp.address, "/in/f", tmp_path / "f", limit_bytes=10)
    assert await transfer.get(chirp.address, "/in/f", tmp_path / "f", limit_bytes=100) == 100
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    await transfer.close()


async def test_a_kept_connection_of_a_restarted_server_is_replaced(chirp: Chirp, tmp_path: Path) -> None:
    make_folder(chirp, "in")
    (chirp.root / "in" / "f").write_bytes(b"x")
    transfer = ChirpTransfer()
    await transfer.get(chirp.address, "/in/f", tmp_path / "f", limit_bytes=10)
    chirp.server.stop()
    with pytest.raises(TransferFailed) as gone:
        await transfer.get(chirp.address, "/in/f", tmp_path / "f", limit_bytes=10)
    assert not gone.value.permanent
    chirp.server.start()
    assert await transfer.get(chirp.address, "/in/f", tmp_path / "f", limit_bytes=10) == 1
    await transfer.close()


class Cut:
    """A relay in front of a server that ends the connection after so many bytes from the client."""

    def __init__(self, to_port: int, after_bytes: int) -> None:
        self.to_port = to_port
        self.left = after_bytes

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.to_port)
        back = asyncio.create_task(self._pipe(from_server, writer, limited=False))
        await self._pipe(reader, to_server, limited=True)
        back.cancel()
        for end in (writer, to_server):
            end.transport.abort()

    async def _pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, limited: bool) -> None:
        while data := await source.read(65536):
            sink.write(data[: self.left] if limited else data)
            await sink.drain()
            self.left -= len(data) if limited else 0
            if limited and self.left <= 0:
                return


async def test_an_upload_cut_in_half_is_not_taken_for_whole(chirp: Chirp, tmp_path: Path) -> None:
    folder = make_folder(chirp, "job")
    local = tmp_path / "job.tgz"
    local.write_bytes(os.urandom(4_000_000))
    async with serving(Cut(chirp.port, 2_000_000)) as port:
        transfer = ChirpTransfer({"files": f"127.0.0.1:{port}"})
        with pytest.raises(TransferFailed) as cut:
            await transfer.put("files", "/job/job.tgz", local)
    assert not cut.value.permanent
    assert not (folder / "job.tgz").exists()
    again = ChirpTransfer()
    assert await again.put(chirp.address, "/job/job.tgz", local) == 4_000_000
    await again.close()


async def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as port:
        with pytest.raises(TransferFailed):
            await ChirpTransfer(idle_limit_s=0.2).get(f"127.0.0.1:{port}", "/a", tmp_path / "f", limit_bytes=10)


async def test_a_server_that_gives_in_drips_is_given_up(tmp_path: Path) -> None:
    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"yes\nyes\nyes\naddress\nx\n")
        await reader.readline()
        writer.write(b"1000000\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.01)

    pace = PaceLimits(grace_s=0.1, window_s=0.2, least_rate=1e5)
    async with serving(drips) as port:
        with pytest.raises(TransferFailed, match="slower than"):
            await ChirpTransfer(pace=pace).get(f"127.0.0.1:{port}", "/a", tmp_path / "f", limit_bytes=10**6)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("said", [b"no\n", b"yes\nyes\nyes\na\nb\nrubbish\n", b"y" * 200_000, b"\xff\n\n\n\n\n\n", b""])
async def test_a_server_that_speaks_nonsense(tmp_path: Path, said: bytes) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    async with serving(nonsense) as port:
        with pytest.raises(TransferFailed):
            await ChirpTransfer().get(f"127.0.0.1:{port}", "/a", tmp_path / "f", limit_bytes=10)
    assert list(tmp_path.iterdir()) == []
