"""Files into the guest and out of it, both ends joined in memory; the exchange is two files of this computer."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.copilot import guest_disks
from client.errors import BadInput
from client.guest.errors import FileNotMoved, GuestLost
from client.guest.files import LINK_LIMIT_BYTES, ROUND_BYTES
from client.hypervisor.driver import INBOX_BLOCK_BYTES, OUTBOX_HEADER_BYTES, OUTBOX_MARK
from client.link import Message
from tests.helpers.errands import ErrandRig, errand_rig


class FakeExchange:
    """The inbox is a file that is replaced, the outbox one that stays."""

    outbox_header_bytes = OUTBOX_HEADER_BYTES
    inbox_block_bytes = INBOX_BLOCK_BYTES

    def __init__(self, folder: Path, size_bytes: int) -> None:
        folder.mkdir()
        self.inbox, self.box = folder / "inbox", folder / "outbox"
        self.size = size_bytes
        self.box.write_bytes(OUTBOX_MARK.ljust(size_bytes, b"\0"))
        self.inserted: list[bool] = []
        self.spoil = 0

    async def size_bytes(self) -> int:
        return self.size

    async def insert(self, path: Path | None) -> None:
        self.inserted.append(path is not None)
        self.inbox.unlink(missing_ok=True)
        if path is not None:
            data = path.read_bytes()
            assert len(data) <= self.size
            assert len(data) % INBOX_BLOCK_BYTES == 0
            self.inbox.write_bytes(data)

    async def outbox(self) -> Path:
        if self.spoil:
            self.spoil -= 1
            with self.box.open("r+b") as file:
                file.seek(OUTBOX_HEADER_BYTES)
                file.write(b"spoilt")
        return self.box


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeExchange]:
    made = FakeExchange(tmp_path / "exchange", 64 * 1024 + OUTBOX_HEADER_BYTES)

    def opened(path: Path) -> int:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    monkeypatch.setattr(guest_disks, "_opened", opened)
    monkeypatch.setattr(guest_disks, "_inboxes", lambda: iter([made.inbox]))
    monkeypatch.setattr(guest_disks, "find_outbox", lambda: made.box)
    return made


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.name.startswith(".") or path.suffix == ".part")


async def both_ways(rig: ErrandRig, tmp_path: Path, data: bytes) -> None:
    local, there, back = tmp_path / "local", tmp_path / "there", tmp_path / "back"
    local.write_bytes(data)
    local.chmod(0o640)
    seen: list[tuple[int, int]] = []
    moved = await rig.host.errands.files.put(local, str(there), lambda done, total: seen.append((done, total)))
    assert there.read_bytes() == data
    assert there.stat().st_mode & 0o777 == 0o640
    assert moved.size_bytes == len(data)
    assert seen[-1] == (len(data), len(data))
    assert seen == sorted(seen)
    assert (await rig.host.errands.files.get(str(there), back)) == moved
    assert back.read_bytes() == data
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("size", [0, 1, 8192, 8193, 100_000])
async def test_over_the_link(tmp_path: Path, size: int) -> None:
    async with errand_rig(tmp_path / "errands") as rig:
        await both_ways(rig, tmp_path, os.urandom(size))


async def test_a_file_that_comes_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(os.urandom(20_000))
    async with errand_rig(tmp_path / "errands") as rig:
        files = rig.host.errands.files
        with pytest.raises(BadInput, match="there already"):
            await files.get(str(there), back, lambda *_: (back.write_text("mine"), None)[1])
        assert back.read_text() == "mine"
        await files.get(str(there), back, replace=True)
    assert back.read_bytes() == there.read_bytes()
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("seed", range(3))
async def test_over_a_bad_line(tmp_path: Path, seed: int) -> None:
    async with errand_rig(tmp_path / "errands", loss=0.2, seed=seed) as rig:
        await both_ways(rig, tmp_path, os.urandom(60_000))


async def test_a_large_one_without_an_exchange_takes_the_link(tmp_path: Path) -> None:
    async with errand_rig(tmp_path / "errands") as rig:
        await both_ways(rig, tmp_path, os.urandom(LINK_LIMIT_BYTES + 1))


@pytest.mark.parametrize("loss", [0.0, 0.2])
async def test_large_ones_take_the_exchange_in_rounds(tmp_path: Path, exchange: FakeExchange, loss: float) -> None:
    async with errand_rig(tmp_path / "errands", exchange=exchange, loss=loss) as rig:
        await both_ways(rig, tmp_path, os.urandom(LINK_LIMIT_BYTES + 12_345))
    rounds = -(-(LINK_LIMIT_BYTES + 12_345) // (64 * 1024))
    assert exchange.inserted == [True, False] * rounds
    assert ROUND_BYTES % INBOX_BLOCK_BYTES == 0


async def test_an_outbox_that_lies_is_noticed(tmp_path: Path, exchange: FakeExchange) -> None:
    (tmp_path / "there").write_bytes(os.urandom(LINK_LIMIT_BYTES + 1))
    exchange.spoil = 1
    async with errand_rig(tmp_path / "errands", exchange=exchange) as rig:
        with pytest.raises(FileNotMoved):
            await rig.host.errands.files.get(str(tmp_path / "there"), tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert leftovers(tmp_path) == []


async def test_a_file_of_the_kernel_that_says_it_is_empty(tmp_path: Path) -> None:
    async with errand_rig(tmp_path / "errands") as rig:
        await rig.host.errands.files.get("/proc/version", tmp_path / "version")
    assert (tmp_path / "version").read_text() == Path("/proc/version").read_text()


async def test_what_cannot_be_moved(tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"x")
    async with errand_rig(tmp_path / "errands") as rig:
        files = rig.host.errands.files
        for path in ("/no/such/folder/file", str(tmp_path)):
            with pytest.raises(FileNotMoved):
                await files.put(local, path)
        for path in ("/no/such/file", str(tmp_path), "/dev/null"):
            with pytest.raises(FileNotMoved):
                await files.get(path, tmp_path / "back")
        for path in ("relative", "", "/nul\0", "/" + "x" * 2000, "/\udcff"):
            with pytest.raises(BadInput):
                await files.put(local, path)
        with pytest.raises(BadInput):
            await files.put(tmp_path / "missing", "/tmp/x")
        with pytest.raises(BadInput):
            await files.get("/proc/version", tmp_path / "missing" / "x")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["errands", "local"]


async def test_many_at_once(tmp_path: Path) -> None:
    async with errand_rig(tmp_path / "errands") as rig:
        for number in range(9):
            (tmp_path / f"local{number}").write_bytes(os.urandom(20_000))
        puts = (rig.host.errands.files.put(tmp_path / f"local{n}", str(tmp_path / f"there{n}")) for n in range(9))
        await asyncio.gather(*puts)
    for number in range(9):
        assert (tmp_path / f"there{number}").read_bytes() == (tmp_path / f"local{number}").read_bytes()


async def test_giving_up_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(bytes(150_000))
    async with errand_rig(tmp_path / "errands") as rig:
        begun = asyncio.Event()
        putting = asyncio.create_task(
            rig.host.errands.files.put(
                tmp_path / "local", str(tmp_path / "there"), lambda done, _: begun.set() if done else None
            )
        )
        await begun.wait()
        putting.cancel()
        await asyncio.gather(putting, return_exceptions=True)
        while leftovers(tmp_path):
            await asyncio.sleep(0.01)
    assert not (tmp_path / "there").exists()
    assert list((tmp_path / "errands").iterdir()) == []


@pytest.mark.parametrize("large", [False, True])
async def test_another_client_goes_on(tmp_path: Path, exchange: FakeExchange, large: bool) -> None:
    data = os.urandom(LINK_LIMIT_BYTES + 50_000 if large else 200_000)
    (tmp_path / "local").write_bytes(data)
    (tmp_path / "source").write_bytes(data)
    async with errand_rig(tmp_path / "errands", exchange=exchange) as rig:
        begun = asyncio.Event()
        files = rig.host.errands.files
        note = lambda done, _: begun.set() if done else None  # noqa: E731
        doomed = [
            asyncio.create_task(files.put(tmp_path / "local", str(tmp_path / "there"), note)),
            asyncio.create_task(files.get(str(tmp_path / "source"), tmp_path / "back")),
        ]
        await begun.wait()
        old = rig.host
        await rig.restart_client()
        old.errands.files._closing = True
        for task in doomed:
            task.cancel()
        ends = await asyncio.gather(*doomed, return_exceptions=True)
        while not ((tmp_path / "there").exists() and (tmp_path / "back").exists()):
            await asyncio.sleep(0.01)
        while leftovers(tmp_path):
            await asyncio.sleep(0.01)
        kept = rig.host.errands.ledger.entries
        while any(entry.outcome is None for entry in kept()):
            await asyncio.sleep(0.01)
        # Nobody waits for them any more, so how they ended can be asked for; one that was done has told its asker.
        asked = [end for end in ends if isinstance(end, BaseException)]
        assert [(entry.outcome or {}).get("size_bytes") for entry in kept()] == [len(data)] * len(asked)
    assert (tmp_path / "there").read_bytes() == data
    assert (tmp_path / "back").read_bytes() == data


async def test_a_reset_ends_what_is_under_way(tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(bytes(200_000))
    async with errand_rig(tmp_path / "errands") as rig:
        begun = asyncio.Event()
        putting = asyncio.create_task(
            rig.host.errands.files.put(
                tmp_path / "local", str(tmp_path / "there"), lambda done, _: begun.set() if done else None
            )
        )
        await begun.wait()
        await rig.reset_guest()
        with pytest.raises(GuestLost):
            await putting
        while leftovers(tmp_path):
            await asyncio.sleep(0.01)


async def test_a_guest_that_sends_what_nobody_asked_for_does_no_harm(tmp_path: Path) -> None:
    async with errand_rig(tmp_path / "errands") as rig:
        for kind in ("file_data", "file_done", "file_room", "file_size", "file_round"):
            for transfer_id in ("", "../../x", "unknown"):
                rig.host.errands.take(Message(kind, {"transfer_id": transfer_id, "offset": 0, "data": "AAAA"}), "boot")
    assert list((tmp_path / "errands").iterdir()) == []
