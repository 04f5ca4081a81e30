"""The other end of `client.appliance.worker`: one process, one piece of work, then it is gone.

Its libraries are imported here and nowhere in the client itself, whose memory is counted.
"""

import argparse
import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TextIO

from client.appliance.worker_words import GRACE_S, error_to
from client.errors import ClientError, DiskFull
from client.log import to_listener
from client.messages import code_of

#: kind of work -> where its function is: (order, face) -> result
KINDS: Final = {
    "download": "client.appliance.fetch:fetch",
    "patch": "client.appliance.delta:update",
    "refresh": "client.appliance.trust:refresh",
    "look": "client.appliance.store_work:look",
    "manifest": "client.appliance.store_work:manifest",
    "files": "client.appliance.store_work:files",
    "verify": "client.appliance.store_work:verify",
    "import": "client.appliance.intake:take",
    "convert": "client.appliance.convert:convert",
    "context": "client.appliance.blank_child:make_blank",
    "cvmfs-proxy": "client.appliance.cvmfs.serve:serve",
}
_INTERVAL_S: Final = 0.2
#: exit code of a worker that was called off
STOPPED: Final = 3


class Stopped(Exception):
    """The work was called off."""


class Face:
    """What the work sees of whoever ordered it. `limit` and `held` may change at any moment.

    Attributes:
        limit: bytes a second that may be fetched; None: no limit.
        held: whether to rest.
        room_bytes: how much a cache may take of the disk, beside its own limit; None: only that holds.
        meter: path of what all traffic obeys and is counted in (`client.meter`); empty: there is none.
    """

    def __init__(self, out: TextIO) -> None:
        self.limit: int | None = None
        self.held = False
        self.room_bytes: int | None = None
        self.meter = ""
        self._out = out
        self._stopped = False
        self._told_at = -_INTERVAL_S
        self._news = False
        self._telling = threading.Lock()
        self._changed = threading.Condition()

    def progress(self, *, force: bool = False, **facts: Any) -> None:
        """Tell how far it is. What comes within 0.2 s of the last is left out, unless it is forced."""
        now = time.monotonic()
        if force or now - self._told_at >= _INTERVAL_S:
            self._told_at = now
            self.tell({"progress": facts})

    def check(self) -> None:
        """Go on only if that is still wanted.

        Raises:
            Stopped
        """
        if self._stopped:
            raise Stopped

    def rest(self, seconds: float) -> None:
        """Wait, but no longer than until the next word of the client; not at all if one came since the last rest.

        Raises:
            Stopped
        """
        with self._changed:
            self._changed.wait_for(lambda: self._news, seconds)
            self._news = self._stopped
        self.check()

    def tell(self, said: Mapping[str, Any]) -> None:
        """Write one line; from any thread."""
        with self._telling:
            self._out.write(json.dumps(said) + "\n")
            self._out.flush()

    def hear(self, said: Mapping[str, Any]) -> None:
        """Take one steering line; unknown words are for later versions."""
        with self._changed:
            limit = said.get("limit_bytes_per_s", self.limit)
            if limit is None or (isinstance(limit, int) and limit > 0):
                self.limit = limit
            room = said.get("room_bytes", self.room_bytes)
            if room is None or (isinstance(room, int) and room >= 0):
                self.room_bytes = room
            self.held = bool(said.get("hold", self.held))
            self._stopped = self._stopped or bool(said.get("stop"))
            self._news = True
            self._changed.notify_all()


def main(argv: list[str]) -> int:
    """Do the work that standard input orders. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="main.py worker", description=__doc__)
    parser.add_argument("kind", choices=sorted(KINDS))
    module, _, function = KINDS[parser.parse_args(argv).kind].partition(":")
    out = sys.stdout
    # What a library prints must not be taken for an answer.
    sys.stdout = sys.stderr
    face = Face(out)
    to_listener(lambda at, level, area, text: face.tell({"log": {"level": level, "area": area, "text": text}}))
    words = _heard(sys.stdin.fileno())
    order = json.loads(next(words, b"null"))
    if not isinstance(order, dict):
        print("no order came", file=sys.stderr)
        return 2
    face.meter = str(order.get("meter") or "")
    face.hear({"limit_bytes_per_s": order.get("limit_bytes_per_s")})
    # A thread, since Windows cannot wait for a pipe and a socket at once.
    threading.Thread(target=_listen, args=(face, words), daemon=True).start()
    return _work(face, getattr(importlib.import_module(module), function), order)


def _work(face: Face, function: Callable[..., Mapping[str, Any]], order: Mapping[str, Any]) -> int:
    try:
        face.tell({"result": function(order, face)})
    except Stopped:
        return STOPPED
    except ClientError as error:
        face.tell({"error": error_to(error)})
    except OSError as error:
        if code_of(error) != DiskFull.code:
            raise
        face.tell({"error": error_to(DiskFull(str(error.filename or ""), 0, 0))})
    return 0


def _listen(face: Face, words: Iterator[bytes]) -> None:
    for line in words:
        said = json.loads(line)
        if isinstance(said, dict):
            face.hear(said)
    face.hear({"stop": True})
    # The work may be in the middle of a wait for a server. All that it writes can stand a sudden end.
    threading.Event().wait(GRACE_S / 2)
    os._exit(STOPPED)


def _heard(pipe: int) -> Iterator[bytes]:
    """The lines that come through a pipe.

    Python's own reader has a lock, and a thread that waits in it breaks the end of the program.
    """
    kept = b""
    while part := os.read(pipe, 65536):
        *lines, kept = (kept + part).split(b"\n")
        yield from lines
