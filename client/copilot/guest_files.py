"""Files that the host puts into the guest and gets out of it (docs/guest-link.md).

Small ones come and go in pieces over the link, large ones in rounds through inbox and outbox. A file that is put
appears whole, with the right hash, or not at all.
"""

import asyncio
import base64
import contextlib
import errno
import hashlib
import io
import os
import stat
from collections import deque
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from client.copilot import guest_disks
from client.link import PIECE_BYTES, PIECES_UNDER_WAY, Message, inbox_header

MAX_OPEN: Final = 4
MAX_ENDED: Final = 32
#: how long a medium may take to turn up in a drive
APPEAR_S: Final = 120.0
_LOOK_INTERVAL_S: Final = 0.25
#: files of the kernel's own file systems say that they are empty; so much of them is read
_MAX_UNSIZED: Final = 1 << 20


class Say(Protocol):
    """Sends a message of the link."""

    def __call__(self, kind: str, **fields: Any) -> None:
        """See GuestLink.send."""


class Files:
    """All transfers of this boot."""

    def __init__(self, say: Say, boot_id: str) -> None:
        self._say = say
        self._boot_id = boot_id
        self._open: dict[str, _Put | _Get] = {}
        self._ended: dict[str, dict[str, Any]] = {}

    def take(self, message: Message) -> None:
        """Obeys a message of the host whose kind begins with `file`."""
        said = message.fields
        transfer_id = str(said.get("transfer_id", ""))
        transfer = self._open.get(transfer_id)
        if message.kind in {"file_put", "file_get"}:
            self._begin(transfer_id, message)
        elif message.kind == "file_end":
            self._ended.pop(transfer_id, None)
            if transfer is not None:
                transfer.cancel()
                del self._open[transfer_id]
        elif transfer is not None:
            try:
                transfer.take(message)
            except OSError as failed:
                self._end(transfer_id, cause="failed", text=_reason(failed))

    def close(self) -> None:
        """Lets go of all that is half done."""
        for transfer in self._open.values():
            transfer.cancel()
        self._open.clear()

    def _begin(self, transfer_id: str, message: Message) -> None:
        said = message.fields
        if transfer_id in self._ended:
            self._say("file_done", **self._ended[transfer_id])
        elif transfer_id in self._open:
            self._open[transfer_id].tell_again()
        elif said.get("boot") != self._boot_id:
            self._end(transfer_id, cause="guest-restarted", text="it was meant for this guest before it was restarted")
        elif len(self._open) >= MAX_OPEN:
            self._end(transfer_id, cause="busy", text=f"{MAX_OPEN} files are under way already")
        else:
            try:
                self._open[transfer_id] = self._made(transfer_id, message)
            except OSError as failed:
                self._end(transfer_id, cause="failed", text=_reason(failed))

    def _made(self, transfer_id: str, message: Message) -> "_Put | _Get":
        path = Path(message.fields.get("path", ""))
        if not transfer_id.isalnum():
            raise OSError(errno.EINVAL, "an unfit name of a transfer", transfer_id)
        if not path.is_absolute():
            raise OSError(errno.EINVAL, "not an absolute path", str(path))
        if message.kind == "file_get":
            return _Get(self, transfer_id, path)
        return _Put(self, transfer_id, path, message.fields)

    def say(self, kind: str, transfer_id: str, **fields: Any) -> None:
        """For transfers: says something of one that is still wanted."""
        if transfer_id in self._open:
            self._say(kind, transfer_id=transfer_id, **fields)

    def end(self, transfer_id: str, **fields: Any) -> None:
        """For transfers: one has ended; says so once, if it is still wanted."""
        if transfer_id in self._open:
            self._end(transfer_id, **fields)

    def _end(self, transfer_id: str, **fields: Any) -> None:
        transfer = self._open.pop(transfer_id, None)
        if transfer is not None:
            transfer.cancel()
        done = self._ended[transfer_id] = {"transfer_id": transfer_id, **fields}
        while len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]
        self._say("file_done", **done)


class _Put:
    """A file on its way in."""

    def __init__(self, files: Files, transfer_id: str, path: Path, said: Any) -> None:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "this is a folder", str(path))
        self._files = files
        self._id = transfer_id
        self._path = path
        self._size = int(said.get("size_bytes", 0))
        self._sha256 = str(said.get("sha256", ""))
        self._mode = int(said.get("mode", 0o644))
        self._part = path.parent / f".vc-{transfer_id}.part"
        self._file: BinaryIO = self._part.open("xb")
        self._at = 0
        self._digest = hashlib.sha256()
        self._task: asyncio.Task[None] | None = None
        files._say("file_room", transfer_id=transfer_id, offset=0)
        self._run(self._finish() if self._size == 0 else None)

    def take(self, message: Message) -> None:
        said = message.fields
        offset = int(said.get("offset", -1))
        if offset != self._at or self._task is not None:
            return
        if message.kind == "file_data":
            data = base64.b64decode(said.get("data", ""))[: self._size - self._at]
            self._file.write(data)
            self._digest.update(data)
            self._go_on(len(data))
        elif message.kind == "file_round":
            self._run(self._take_round(int(said.get("size_bytes", 0)), str(said.get("sha256", ""))))

    def tell_again(self) -> None:
        # What is under way in the background says how far it came when it ends.
        if self._task is None:
            self._files.say("file_room", self._id, offset=self._at)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._file.close()
        self._part.unlink(missing_ok=True)

    def _go_on(self, count: int) -> None:
        self._at += count
        self._files.say("file_room", self._id, offset=self._at)
        if self._at == self._size:
            self._run(self._finish())

    def _run(self, work: Any) -> None:
        if work is not None:
            self._task = asyncio.ensure_future(self._guarded(work))

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except OSError as failed:
            self._files.end(self._id, cause="failed", text=_reason(failed))

    async def _take_round(self, size: int, sha256: str) -> None:
        size = min(size, self._size - self._at)
        header = inbox_header(self._id, self._at, size, sha256)
        looks = 0
        # What is read while the host puts it in anew is not right, and looked for once more.
        while await asyncio.to_thread(self._read_round, header, size) != sha256:
            looks += 1
            if looks * _LOOK_INTERVAL_S > APPEAR_S:
                raise OSError(errno.ENOMEDIUM, "it did not turn up in any drive")
            await asyncio.sleep(_LOOK_INTERVAL_S)
        self._task = None
        self._go_on(size)

    def _read_round(self, header: bytes, size: int) -> str | None:
        self._file.seek(self._at)
        self._file.truncate()
        return guest_disks.read_inbox(header, size, self._file)

    async def _finish(self) -> None:
        found = await asyncio.to_thread(self._hash_of_all)
        if found != self._sha256:
            raise OSError(errno.EIO, "what arrived is not what was sent")
        self._part.chmod(self._mode)
        self._part.replace(self._path)
        self._files.end(self._id, size_bytes=self._size, sha256=found)

    def _hash_of_all(self) -> str:
        self._file.flush()
        os.fsync(self._file.fileno())
        with self._part.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


class _Get:
    """A file on its way out."""

    def __init__(self, files: Files, transfer_id: str, path: Path) -> None:
        self._files = files
        self._id = transfer_id
        self._file, self._size, self._mode = _opened(path)
        self._taken = self._said = 0
        self._under_way: deque[int] = deque()
        self._digest = hashlib.sha256()
        self._task: asyncio.Task[None] | None = None
        files._say("file_size", transfer_id=transfer_id, size_bytes=self._size, mode=self._mode)

    def take(self, message: Message) -> None:
        said = message.fields
        offset = int(said.get("offset", -1))
        if message.kind == "file_room" and self._task is None:
            self._room(offset)
        elif message.kind == "file_round" and self._task is None:
            self._task = asyncio.ensure_future(self._give_round(offset, int(said.get("size_bytes", 0))))

    def tell_again(self) -> None:
        """Another client asks: it begins at the beginning."""
        if self._task is None:
            self._taken = self._said = 0
            self._under_way.clear()
            self._files.say("file_size", self._id, size_bytes=self._size, mode=self._mode)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._file.close()

    def _room(self, taken: int) -> None:
        if taken == 0:
            self._file.seek(0)
            self._digest = hashlib.sha256()
            self._said = 0
            self._under_way.clear()
        elif not self._taken < taken <= self._said:
            return
        self._taken = taken
        while self._under_way and self._under_way[0] <= taken:
            self._under_way.popleft()
        self._push()
        if self._taken == self._size:
            self._files.end(self._id, size_bytes=self._size, sha256=self._digest.hexdigest())

    def _push(self) -> None:
        while self._said < self._size and len(self._under_way) < PIECES_UNDER_WAY:
            data = self._file.read(min(PIECE_BYTES, self._size - self._said))
            if not data:
                raise OSError(errno.EIO, "it became shorter while it was read")
            self._digest.update(data)
            text = base64.b64encode(data).decode()
            self._files.say("file_data", self._id, offset=self._said, data=text)
            self._said += len(data)
            self._under_way.append(self._said)

    async def _give_round(self, offset: int, most: int) -> None:
        try:
            size, sha256 = await asyncio.to_thread(self._write_round, offset, min(most, self._size - offset))
        except OSError as failed:
            self._files.end(self._id, cause="failed", text=_reason(failed))
            return
        self._task = None
        self._files.say("file_round", self._id, offset=offset, size_bytes=size, sha256=sha256)

    def _write_round(self, offset: int, most: int) -> tuple[int, str]:
        self._file.seek(offset)
        return guest_disks.write_outbox(guest_disks.find_outbox(), self._file, most)


def _reason(failed: OSError) -> str:
    # Without the names in it: they are of half-done files, which the host does not know.
    return (failed.strerror or str(failed))[:1000]


def _opened(path: Path) -> tuple[BinaryIO, int, int]:
    """The file, its size and its mode."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with contextlib.ExitStack() as on_failure:
        file = on_failure.enter_context(os.fdopen(number, "rb"))
        facts = os.fstat(number)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "this is a folder, a device or a pipe, not a file", str(path))
        mode = stat.S_IMODE(facts.st_mode)
        if facts.st_size == 0:
            data = file.read(_MAX_UNSIZED)
            return io.BytesIO(data), len(data), mode
        on_failure.pop_all()
    return file, facts.st_size, mode
