"""The guest link: a local socket (a named pipe on Windows) that VirtualBox listens at for the guest's second UART.

VirtualBox serves one connection at a time, and closes another at once for as long as it believes in the first. It may
go on believing in one that is gone; plugging the UART out and in again makes it let go.
Source: VirtualBox's serial port driver for local sockets ("only single connection supported").
"""

import asyncio
import os
import sys
import tempfile
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from client import filenames
from client.hypervisor import socket_path
from client.hypervisor.errors import LinkUnavailable

_BUFFER_BYTES: Final = 65536
#: An unwanted connection is closed within this time; one that lasts longer is the one.
_REFUSED_WITHIN_S: Final = 0.05
_TRY_FOR_S: Final = 2.0
_TRY_INTERVAL_S: Final = 0.1
#: For what was written before a stream is closed.
_LAST_BYTES_LIMIT_S: Final = 1.0


def link_address(folder: Path, uuid: str) -> str:
    """What VirtualBox is told to listen at; a short name if the folder lies too deep for a socket's address."""
    if sys.platform == "win32":
        return rf"\\.\pipe\vc-{uuid}"
    path = folder / filenames.VM_LINK_SOCKET
    if len(os.fsencode(path)) <= socket_path.LONGEST_BYTES:
        return str(path)
    return str(Path(tempfile.gettempdir()) / f"vc-{uuid}" / filenames.VM_LINK_SOCKET)


def prepare(folder: Path, address: str) -> None:
    """Have the address lead into the folder, and nothing left there of an earlier process.

    Raises:
        OSError: that is not possible.
    """
    if sys.platform == "win32":
        return
    shortcut = Path(address).parent
    if shortcut != folder and not (shortcut.is_symlink() and shortcut.readlink() == folder):
        # The name holds the machine's UUID: whatever stands there is ours, or meant to harm.
        shortcut.unlink(missing_ok=True)
        shortcut.symlink_to(folder, target_is_directory=True)
    (folder / filenames.VM_LINK_SOCKET).unlink(missing_ok=True)


def forget(folder: Path, address: str) -> None:
    """Remove the short name, if there is one."""
    shortcut = Path(address).parent
    if sys.platform != "win32" and shortcut != folder and shortcut.is_symlink():
        shortcut.unlink(missing_ok=True)


class Link:
    """The host's end of one VM's link.

    Args:
        replug: plugs the UART out and in again.
    """

    def __init__(self, vm_id: str, folder: Path, replug: Callable[[], Awaitable[None]]) -> None:
        self._vm_id = vm_id
        self._folder = folder
        self._replug = replug
        self._writer: StreamWriter | None = None

    async def open(self, address: str) -> tuple[StreamReader, StreamWriter]:
        """A new stream to the guest's end; the former one is closed.

        Raises:
            LinkUnavailable: nobody listens, or nobody else may now.
        """
        await self.close()
        try:
            opened = await self._try_present(address)
            if opened is None:
                await self._replug()
                opened = await self._try(address)
        except OSError as error:
            raise LinkUnavailable(self._vm_id, str(error)) from error
        if opened is None:
            raise LinkUnavailable(self._vm_id, "another program has it open")
        self._writer = opened[1]
        return opened

    async def close(self) -> None:
        """Let go of the stream."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await _drop(writer)

    async def _try_present(self, address: str) -> tuple[StreamReader, StreamWriter] | None:
        try:
            return await self._try(address)
        except (FileNotFoundError, ConnectionRefusedError):
            # A client that was killed while it plugged the UART out and in again has left it out.
            return None

    async def _try(self, address: str) -> tuple[StreamReader, StreamWriter] | None:
        loop = asyncio.get_running_loop()
        end = loop.time() + _TRY_FOR_S
        while True:
            try:
                # On Windows a pipe that another one has open is waited for without end.
                async with asyncio.timeout(_TRY_FOR_S):
                    reader, writer = await self._connect(address)
            except TimeoutError:
                return None
            await asyncio.sleep(_REFUSED_WITHIN_S)
            if not reader.at_eof() and reader.exception() is None:
                return reader, writer
            await _drop(writer)
            if loop.time() >= end:
                return None
            await asyncio.sleep(_TRY_INTERVAL_S)

    async def _connect(self, address: str) -> tuple[StreamReader, StreamWriter]:
        if sys.platform == "win32":
            return await _open_pipe(address)
        connection = socket_path.connect(self._folder / filenames.VM_LINK_SOCKET)
        return await asyncio.open_connection(sock=connection, limit=_BUFFER_BYTES)


async def _drop(writer: StreamWriter) -> None:
    """Close a stream; what the other end does not take in time is thrown away."""
    writer.close()
    try:
        async with asyncio.timeout(_LAST_BYTES_LIMIT_S):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        writer.transport.abort()


async def _open_pipe(address: str) -> tuple[StreamReader, StreamWriter]:
    # Only the Windows event loop has this, and the type checker looks at others.
    loop: Any = asyncio.get_running_loop()
    reader = StreamReader(limit=_BUFFER_BYTES)
    transport, protocol = await loop.create_pipe_connection(lambda: asyncio.StreamReaderProtocol(reader), address)
    return reader, StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
