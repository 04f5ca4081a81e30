"""Reaching a Unix socket whose path is longer than the system allows in an address."""

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

#: Source: sockaddr_un has 108 bytes on Linux, 104 on macOS and the BSDs, the ending zero included.
LONGEST_BYTES: Final = 103
_OWN_DESCRIPTORS: Final = Path("/proc/self/fd")


def connect(path: Path) -> socket.socket:
    """A blocking-mode connection made at once (both ends are on this computer).

    Raises:
        OSError: nobody listens there.
    """
    with short_name(path) as name:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(1.0)
            connection.connect(name)
        except OSError:
            connection.close()
            raise
    connection.setblocking(False)
    return connection


@contextlib.contextmanager
def short_name(path: Path) -> Iterator[str]:
    """A name of the file that fits into an address, valid inside the `with`.

    A path that fits is used as it is. Otherwise the folder is named by a descriptor of ours (Linux), or by a link in
    a private temporary folder that is removed again at once.
    """
    if len(os.fsencode(path)) <= LONGEST_BYTES:
        yield str(path)
    elif _OWN_DESCRIPTORS.is_dir():
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield f"{_OWN_DESCRIPTORS}/{folder}/{path.name}"
        finally:
            os.close(folder)
    else:
        with tempfile.TemporaryDirectory(prefix="vc-") as temporary:
            link = Path(temporary) / "f"
            link.symlink_to(path.parent, target_is_directory=True)
            yield str(link / path.name)
