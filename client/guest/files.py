"""Files into the guest and out of it, from the host's side: small ones over the link, large ones through the exchange.

A transfer is noted on disk before the guest hears of it; a client that was killed leaves it to the next one, which goes
on. What arrives is hashed on its way, has a temporary name until it is whole, and replaces what was there at once.
"""

import asyncio
import base64
import contextlib
import hashlib
import os
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from client import filenames
from client.errors import BadInput, ClientError, DiskFull
from client.guest.commands import Say
from client.guest.errors import FileNotMoved, GuestLost
from client.guest.ledger import Entry, Ledger
from client.guest.talk import Talk
from client.link import INBOX_HEADER_BYTES, MAX_PATH, PIECE_BYTES, PIECES_UNDER_WAY, Message, inbox_header
from client.log import logger
from client.messages import sentence

#: longer files take the exchange, where there is one
LINK_LIMIT_BYTES: Final = 256 * 1024
MAX_OPEN: Final = 4
#: a medium that the guest has not found by then is put in once more
INSERT_AGAIN_S: Final = 90.0
#: of a large file at a time, so that one can see it move
ROUND_BYTES: Final = 16 << 20
#: must be left free on the host's disk
SPARE_BYTES: Final = 256 << 20
_CHUNK_BYTES: Final = 1 << 20

OnProgress = Callable[[int, int], None]
OnBegin = Callable[[str], None]


class Exchange(Protocol):
    """One VM's way for large files; see `client.hypervisor.driver.Exchange`.

    Attributes:
        outbox_header_bytes, inbox_block_bytes: the driver's figures.
    """

    outbox_header_bytes: int
    inbox_block_bytes: int

    async def size_bytes(self) -> int:
        """The longest file that can be put in at a time; 0: this VM has no exchange."""

    async def insert(self, path: Path | None) -> None:
        """Let the guest read a file; None: take it out."""

    async def outbox(self) -> Path:
        """The file that holds what the guest wrote."""


@dataclass(frozen=True)
class Moved:
    """A file that has arrived."""

    size_bytes: int
    sha256: str


class Files:
    """All transfers of one VM."""

    def __init__(self, say: Say, ledger: Ledger, exchange: Exchange | None) -> None:
        self._say = say
        self._ledger = ledger
        self._exchange = exchange
        self._boot = ""
        self._met = asyncio.Event()
        self._talks: dict[str, Talk] = {}
        self._turns = asyncio.Semaphore(MAX_OPEN)
        self._exchange_turn = asyncio.Lock()
        self._inherited: list[asyncio.Task[None]] = []
        self._closing = False

    def load(self, entries: tuple[Entry, ...]) -> None:
        """Take up what another client has left."""
        for entry in entries:
            if entry.kind in {"put", "get"}:
                self._inherited.append(asyncio.create_task(self._go_on_with(entry)))

    async def put(
        self, local: Path, path: str, on_progress: OnProgress | None = None, *, on_begin: OnBegin | None = None
    ) -> Moved:
        """Copy a file into the guest; it is there whole when this returns.

        Args:
            path: absolute, in the guest.
            on_progress: called with bytes done and total.
            on_begin: called with the name of the transfer once it is noted: another client would go on with it.

        Raises:
            BadInput: the file is not there, or the path does not fit.
            FileNotMoved: the guest could not take it.
            GuestLost: the guest went off meanwhile.
        """
        check_guest_path(path)
        size, sha256, mode = await asyncio.to_thread(_facts, local)
        wants = {"local": str(local), "path": path, "size_bytes": size, "sha256": sha256, "mode": mode}
        return await self._open(self._ledger.open("put", wants), on_progress, on_begin)

    async def get(
        self,
        path: str,
        local: Path,
        on_progress: OnProgress | None = None,
        *,
        replace: bool = False,
        on_begin: OnBegin | None = None,
    ) -> Moved:
        """Copy a file out of the guest; as `put`. replace: a file that is there already may go."""
        check_guest_path(path)
        place = await asyncio.to_thread(place_for, local, replace=replace)
        wants = {"local": str(place), "path": path, "replace": replace}
        return await self._open(self._ledger.open("get", wants), on_progress, on_begin)

    def take(self, message: Message) -> None:
        """A message of the guest whose kind begins with `file`."""
        talk = self._talks.get(str(message.fields.get("transfer_id", "")))
        if talk is not None:
            talk.take(message)

    def met(self, boot: str) -> None:
        """This boot of the guest speaks; transfers with another one have failed."""
        self._boot = boot
        self._met.set()
        for talk in self._talks.values():
            if talk.entry.boot and talk.entry.boot != boot:
                talk.fail(GuestLost(talk.entry.wants["path"]))

    def went_off(self) -> None:
        """The guest is off."""
        self._boot = ""
        self._met.clear()
        for talk in self._talks.values():
            if talk.entry.boot:
                talk.fail(GuestLost(talk.entry.wants["path"]))

    async def close(self) -> None:
        """Leave what is under way to the next client."""
        self._closing = True
        for task in self._inherited:
            task.cancel()
        await asyncio.gather(*self._inherited, return_exceptions=True)

    async def _open(self, entry: Entry, on_progress: OnProgress | None, on_begin: OnBegin | None) -> Moved:
        if on_begin is not None:
            on_begin(entry.errand_id)
        try:
            return await self._carry(entry, on_progress or _ignore)
        finally:
            if not self._closing:
                self._ledger.drop(entry)

    async def _go_on_with(self, entry: Entry) -> None:
        """What another client has begun: nobody waits for it, so how it ended is kept."""
        wants = entry.wants
        try:
            moved = await self._carry(entry, _ignore)
        except (ClientError, OSError) as error:
            logger("guest").warning("A file that was under way was not moved: %s (%s)", wants.get("path"), error)
            said = sentence(error)
            outcome: dict[str, Any] = {"text": said.text, "doing": said.doing}
        else:
            logger("guest").info("A file that was under way has arrived: %s", wants.get("path"))
            outcome = asdict(moved)
        if not self._closing:
            self._ledger.settle(entry, outcome)

    async def _carry(self, entry: Entry, on_progress: OnProgress) -> Moved:
        talk = self._talks[entry.errand_id] = Talk(entry)
        try:
            async with self._turns:
                await self._begin(talk)
                move = self._put if entry.kind == "put" else self._get
                return await move(talk, on_progress)
        except OSError as error:
            raise _not_moved(entry, error) from error
        finally:
            del self._talks[entry.errand_id]
            if not self._closing and entry.boot:
                self._say("file_end", transfer_id=entry.errand_id)

    async def _begin(self, talk: Talk) -> None:
        await self._met.wait()
        entry, wants = talk.entry, talk.entry.wants
        if not entry.boot:
            entry.boot = self._boot
            self._ledger.save(entry)
        if entry.boot != self._boot:
            raise GuestLost(wants["path"])
        more = {name: wants[name] for name in ("size_bytes", "sha256", "mode")} if entry.kind == "put" else {}
        self._say(f"file_{entry.kind}", transfer_id=entry.errand_id, boot=self._boot, path=wants["path"], **more)

    # -- in

    async def _put(self, talk: Talk, on_progress: OnProgress) -> Moved:
        wants = talk.entry.wants
        size = int(wants["size_bytes"])
        with _opened(Path(wants["local"])) as file:
            await talk.until(lambda: talk.room >= 0 or bool(talk.done))
            room = await self._room_of_exchange(size)
            while talk.room < size and not talk.done:
                on_progress(talk.room, size)
                if room:
                    async with self._exchange_turn:
                        await self._round_in(talk, file, min(room, size - talk.room))
                else:
                    await self._pieces_in(talk, file, size, on_progress)
        await talk.until(lambda: bool(talk.done))
        on_progress(size, size)
        return Moved(size, str(wants["sha256"]))

    async def _pieces_in(self, talk: Talk, file: BinaryIO, size: int, on_progress: OnProgress) -> None:
        said = talk.room
        file.seek(said)
        while said < size:
            data = file.read(min(PIECE_BYTES, size - said))
            if not data:
                raise FileNotMoved(talk.entry.wants["local"], "it became shorter meanwhile")
            await talk.until_room(said - PIECES_UNDER_WAY * PIECE_BYTES + 1)
            on_progress(talk.room, size)
            text = base64.b64encode(data).decode()
            self._say("file_data", transfer_id=talk.entry.errand_id, offset=said, data=text)
            said += len(data)
        await talk.until_room(size)

    async def _round_in(self, talk: Talk, file: BinaryIO, size: int) -> None:
        exchange = self._exchange
        assert exchange is not None, "asked before"
        transfer_id, offset = talk.entry.errand_id, talk.room
        block = exchange.inbox_block_bytes
        medium = self._ledger.folder / f"{offset}-{filenames.INBOX_MEDIUM}"
        try:
            sha256 = await asyncio.to_thread(_make_medium, medium, file, transfer_id, offset, size, block)
            self._say("file_round", transfer_id=transfer_id, offset=offset, size_bytes=size, sha256=sha256)
            patience_s = INSERT_AGAIN_S
            while talk.room < offset + size:
                await _insist(lambda: exchange.insert(medium))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(patience_s):
                        await talk.until_room(offset + size)
                # A slow guest that is reading it begins anew each time.
                patience_s *= 2
        finally:
            with contextlib.suppress(ClientError):
                await exchange.insert(None)
            medium.unlink(missing_ok=True)

    # -- out

    async def _get(self, talk: Talk, on_progress: OnProgress) -> Moved:
        wants = talk.entry.wants
        local = Path(wants["local"])
        await talk.until(lambda: talk.size is not None)
        size, mode = talk.size or (0, 0o644)
        free = shutil.disk_usage(local.parent).free
        if size + SPARE_BYTES > free:
            raise DiskFull(str(local.parent), size + SPARE_BYTES, free)
        part = local.parent / f".{talk.entry.errand_id}{filenames.PART_SUFFIX}"
        try:
            with part.open("wb") as file:
                if room := await self._room_of_exchange(size):
                    async with self._exchange_turn:
                        sha256 = await self._rounds_out(talk, file, (size, room), on_progress)
                else:
                    sha256 = await self._pieces_out(talk, file, size, on_progress)
                await asyncio.to_thread(_to_disk, file)
            # Never more than a program on this computer would make: no set-user-id of the guest's choice.
            part.chmod(mode & 0o777 | 0o600)
            # It may have come there meanwhile.
            await asyncio.to_thread(place_for, local, replace=bool(wants.get("replace", True)))
            part.replace(local)
        finally:
            part.unlink(missing_ok=True)
        on_progress(size, size)
        return Moved(size, sha256)

    async def _pieces_out(self, talk: Talk, file: BinaryIO, size: int, on_progress: OnProgress) -> str:
        digest, at = hashlib.sha256(), 0
        talk.expect_pieces()
        self._say("file_room", transfer_id=talk.entry.errand_id, offset=0)
        while at < size:
            await talk.until(lambda: bool(talk.pieces))
            offset, data = talk.pieces.popleft()
            if offset != at:
                continue
            piece = data[: size - at]
            file.write(piece)
            digest.update(piece)
            at += len(piece)
            on_progress(at, size)
            self._say("file_room", transfer_id=talk.entry.errand_id, offset=at)
        await talk.until(lambda: bool(talk.done))
        if talk.done.get("sha256") != digest.hexdigest():
            raise FileNotMoved(talk.entry.wants["path"], "what arrived is not what was sent")
        return digest.hexdigest()

    async def _rounds_out(
        self, talk: Talk, file: BinaryIO, size_and_room: tuple[int, int], on_progress: OnProgress
    ) -> str:
        exchange = self._exchange
        assert exchange is not None, "asked before"
        size, room = size_and_room
        digest, at = hashlib.sha256(), 0
        while at < size:
            talk.rounds.pop(at, None)
            self._say("file_round", transfer_id=talk.entry.errand_id, offset=at, size_bytes=min(room, size - at))
            length, sha256 = await talk.next_round(at)
            if not 0 < length <= size - at:
                raise FileNotMoved(talk.entry.wants["path"], "the guest wrote nothing, or more than there is")
            outbox, begin = await exchange.outbox(), exchange.outbox_header_bytes
            if await asyncio.to_thread(_copy, outbox, begin, length, file, digest) != sha256:
                raise FileNotMoved(talk.entry.wants["path"], "what arrived is not what was sent")
            at += length
            on_progress(at, size)
        return digest.hexdigest()

    async def _room_of_exchange(self, size: int) -> int:
        """How much of a file goes in one round; 0: it goes over the link."""
        if size <= LINK_LIMIT_BYTES or self._exchange is None:
            return 0
        room = await self._exchange.size_bytes() - INBOX_HEADER_BYTES
        return max(0, min(ROUND_BYTES, room - room % self._exchange.inbox_block_bytes))


def _ignore(_done: int, _total: int) -> None:
    """For transfers that nobody watches."""


def check_guest_path(path: str) -> None:
    """Raises BadInput for what is no path in a guest."""
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise BadInput(repr(path), "this path is not UTF-8", "rename the file") from error
    if not path.startswith("/") or "\0" in path or len(path) > MAX_PATH:
        raise BadInput(path, "this is no absolute path in the guest", "write one that begins with /")


def place_for(local: Path, *, replace: bool) -> Path:
    """Where a file would be written: what symbolic links lead to. Blocks.

    Args:
        replace: a file that is there already may go.

    Raises:
        BadInput: a folder, a device or a pipe is there, or a file; or there is no folder for it.
    """
    there = local.exists()
    if there and not local.is_file():
        what = "a folder" if local.is_dir() else "a device or a pipe, which is never replaced"
        raise BadInput(str(local), f"this is {what}", "name a file, new or with --force one that is there")
    if there and not replace:
        raise BadInput(str(local), "this file is there already", "name another, or add --force to replace it")
    place = local.resolve()
    if not place.parent.is_dir():
        raise BadInput(str(local), "there is no such folder", "name a file in a folder that is there")
    return place


def check_source(local: Path) -> None:
    """Raises BadInput for what is no file of this computer. Blocks."""
    if local.is_file():
        return
    if not local.exists():
        raise BadInput(str(local), "there is no such file", "name a file of this computer")
    what = "a folder" if local.is_dir() else "a device or a pipe"
    raise BadInput(str(local), f"this is {what}, not a file", "copy it into a file, or pack it into one, and put that")


def _facts(local: Path) -> tuple[int, str, int]:
    check_source(local)
    try:
        with local.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), sha256, local.stat().st_mode & 0o777
    except OSError as error:
        raise BadInput(str(local), f"it cannot be read ({error.strerror})", "see who may read it") from error


def _opened(local: Path) -> BinaryIO:
    return local.open("rb")


def _make_medium(medium: Path, file: BinaryIO, transfer_id: str, offset: int, size: int, block: int) -> str:
    """Write header, data and padding; the data's SHA-256."""
    digest, left = hashlib.sha256(), size
    file.seek(offset)
    with medium.open("wb") as out:
        out.write(bytes(INBOX_HEADER_BYTES))
        while left and (data := file.read(min(_CHUNK_BYTES, left))):
            digest.update(data)
            out.write(data)
            left -= len(data)
        out.write(bytes(-size % block))
        out.seek(0)
        out.write(inbox_header(transfer_id, offset, size, digest.hexdigest()))
    if left:
        raise OSError("it became shorter meanwhile")
    return digest.hexdigest()


def _copy(source: Path, begin: int, size: int, into: BinaryIO, whole: Any) -> str:
    """Copy from an outbox; the SHA-256 of what was copied. `whole` is brought up to date with it."""
    digest = hashlib.sha256()
    with source.open("rb") as file:
        file.seek(begin)
        while size and (data := file.read(min(_CHUNK_BYTES, size))):
            digest.update(data)
            whole.update(data)
            into.write(data)
            size -= len(data)
    return digest.hexdigest()


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


async def _insist(deed: Callable[[], Awaitable[None]]) -> None:
    """A VM that is held cannot take a medium now; it is tried again when the guest has not found it."""
    with contextlib.suppress(ClientError):
        await deed()


def _not_moved(entry: Entry, error: OSError) -> FileNotMoved:
    return FileNotMoved(str(entry.wants.get("path")), str(error.strerror or error))
