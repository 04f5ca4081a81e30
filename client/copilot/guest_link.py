"""The guest's end of the guest link: a character device, read and written without ever waiting for it.

Bytes that the host does not read are dropped beyond a bound; reliable messages are sent again when it reads once more.
A virtio port without a host reports a hang-up as long as that lasts, so it is looked at in intervals then.
"""

import array
import asyncio
import contextlib
import fcntl
import logging
import os
import termios
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from client.copilot.report import DONE, FAILED
from client.link import MAX_OUTPUT_LINES, LinkEnd, Message

PORT_NAME: Final = "org.volunteercloud.link"
SERIAL_LINE: Final = Path("/dev/ttyS1")
MAX_UNSENT_BYTES: Final = 512 * 1024
MAX_TEXT: Final = 2000
#: Log lines per second that are passed on, over a short while.
MAX_LOG_RATE: Final = 20
_CHUNK_BYTES: Final = 16 * 1024
_LOOK_INTERVAL_S: Final = 0.2
#: What the host leaves unconfirmed for so long is said again unasked; twice as long each time.
_UNCONFIRMED_S: Final = 10.0
_UNCONFIRMED_MOST_S: Final = 160.0
_PORTS: Final = Path("/sys/class/virtio-ports")


def find_device() -> Path | None:
    """The device of the link: the virtio port of that name, else the second serial line; None when there is none."""
    with contextlib.suppress(OSError):
        for port in sorted(_PORTS.iterdir()):
            if (port / "name").read_text(encoding="ascii").strip() == PORT_NAME:
                return Path("/dev") / port.name
    return SERIAL_LINE if SERIAL_LINE.exists() else None


def open_device(path: Path) -> int:
    """Opens the device without waiting; a serial line is made raw and as fast as it goes. Raises OSError."""
    number = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if os.isatty(number):
        try:
            tty.setraw(number, termios.TCSANOW)
            settings = termios.tcgetattr(number)
            settings[2] |= termios.CLOCAL | termios.CREAD
            settings[4] = settings[5] = termios.B115200
            termios.tcsetattr(number, termios.TCSANOW, settings)
        except termios.error as failed:
            os.close(number)
            raise OSError(f"{path}: {failed}") from failed
    return number


class GuestLink:
    """Speaks with the host. It is the agent's Report too.

    Args:
        device: an open, non-blocking file number.
        on_message: called for each message of the host.
        greeting: fields of each `hello`.
    """

    def __init__(self, device: int, on_message: Callable[[Message], None], greeting: dict[str, Any]) -> None:
        self.online = False
        self._device = device
        self._on_message = on_message
        self._greeting = greeting
        self._end = LinkEnd(os.urandom(8).hex())
        self._unsent = bytearray()
        self._reading = False
        self._writing = False
        self._task: asyncio.Task[None] | None = None
        self._log_credit = float(MAX_LOG_RATE)
        self._oldest, self._waited_s, self._patience_s = 0, 0.0, _UNCONFIRMED_S
        #: all that was said of the job in hand, for a host that began anew; empty after its end, which is said once
        self._job: dict[str, Any] = {}
        #: the last lines that were told, and of which job
        self._printed: list[str] = []
        self._printed_by = ""

    @property
    def boot_id(self) -> str:
        """Names this start of the guest, in each of its lines."""
        return self._end.boot_id

    def start(self) -> None:
        """Greets the host, now or as soon as there is one, and listens. Needs a running loop."""
        self._look()
        self._task = asyncio.create_task(self._keep_looking())

    def send(self, kind: str, **fields: Any) -> None:
        """Sends a message of the link; never waits, never fails."""
        self._write(self._end.send(kind, **fields))

    async def drain(self, limit_s: float) -> None:
        """Gives the device a moment to take what is still to be said."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self._unsent or _in_line(self._device):  # noqa: ASYNC110 - at the very end
                    await asyncio.sleep(0.02)

    def close(self) -> None:
        """Stops listening; the device stays open for last words. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._stop_events()

    # -- Report

    def job(self, job_id: str, state: str, **more: Any) -> None:
        """See Report."""
        known = self._job if self._job.get("job_id") == job_id else {}
        self._job = {} if state in {DONE, FAILED} else {**known, "job_id": job_id, "state": state, **more}
        self.send("job", job_id=job_id, state=state, **more)

    def log(self, source: str, level: str, text: str) -> None:
        """See Report; lines beyond the rate are dropped."""
        if self._log_credit >= 1.0:
            self._log_credit -= 1.0
            said = text.encode("utf-8", "replace").decode()[:MAX_TEXT]
            self.send("log", source=source[:64], level=level[:64], text=said)

    def output(self, job_id: str, lines: list[str], left_out: int) -> None:
        """See Report."""
        self._printed = (self._printed if job_id == self._printed_by else []) + lines
        self._printed, self._printed_by = self._printed[-MAX_OUTPUT_LINES:], job_id
        self.send("output", job_id=job_id, lines=lines, left_out=left_out)

    def xmpp(self, connected: bool) -> None:
        """See Report."""
        self.online = connected

    def verdict(self, job_id: str, accepted: bool, reason: str) -> None:
        """See Report."""
        self.send("verdict", job_id=job_id, accepted=accepted, reason=reason[:1000])

    # -- the device

    async def _keep_looking(self) -> None:
        """Tries again while there is no host, and lets log lines pass again as time goes by."""
        while True:
            self._log_credit = min(float(MAX_LOG_RATE), self._log_credit + MAX_LOG_RATE * _LOOK_INTERVAL_S)
            if not self._reading:
                self._look()
            else:
                self._insist()
            await asyncio.sleep(_LOOK_INTERVAL_S)

    def _insist(self) -> None:
        """Says again what may have been lost with nothing after it that would show the host the gap."""
        oldest = self._end.oldest_kept
        if oldest != self._oldest:
            self._oldest, self._waited_s, self._patience_s = oldest, 0.0, _UNCONFIRMED_S
        self._waited_s += _LOOK_INTERVAL_S
        if oldest and self._waited_s >= self._patience_s and not self._unsent:
            self._waited_s, self._patience_s = 0.0, min(_UNCONFIRMED_MOST_S, 2 * self._patience_s)
            self._write(self._end.resend())

    def _look(self) -> None:
        """One read; from then on the loop tells when there is more, unless there is no host."""
        try:
            data = os.read(self._device, _CHUNK_BYTES)
        except BlockingIOError:
            data = None
        except OSError:
            data = b""
        if data == b"":
            self._stop_events()
            return
        if not self._reading:
            asyncio.get_running_loop().add_reader(self._device, self._look)
            self._reading = True
            # A host has come: what was written before may have gone nowhere.
            self._unsent.clear()
            self._write(self._end.hello(**self._greeting))
        if data:
            self._hear(data)

    def _hear(self, data: bytes) -> None:
        known_host = self._end.peer_boot_id
        for message in self._end.receive(data):
            self._on_message(message)
        self._write(self._end.replies())
        if known_host not in {"", self._end.peer_boot_id} and self._job:
            # A client that was restarted: its forerunner has confirmed what was said of the job and took it along.
            self.send("job", **self._job)
            if self._printed_by == self._job.get("job_id"):
                self.send("output", job_id=self._printed_by, lines=self._printed)

    def _write(self, data: bytes) -> None:
        if len(self._unsent) + len(data) > MAX_UNSENT_BYTES:
            # Nobody reads. The host asks again for what is missing as soon as it sees the gap.
            self._unsent.clear()
        self._unsent += data
        if not self._writing:
            self._flush()

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._device, self._unsent[:_CHUNK_BYTES])]
        except BlockingIOError:
            self._await_room(bool(self._reading))
            return
        except OSError:
            self._unsent.clear()
        self._await_room(False)

    def _await_room(self, wanted: bool) -> None:
        if wanted != self._writing:
            loop = asyncio.get_running_loop()
            if wanted:
                loop.add_writer(self._device, self._flush)
            else:
                loop.remove_writer(self._device)
            self._writing = wanted

    def _stop_events(self) -> None:
        self._await_room(False)
        if self._reading:
            asyncio.get_running_loop().remove_reader(self._device)
            self._reading = False


def _in_line(device: int) -> int:
    """Bytes that a serial line has taken and not sent yet."""
    count = array.array("i", [0])
    try:
        fcntl.ioctl(device, termios.TIOCOUTQ, count)
    except OSError:
        return 0
    return count[0]


class LinkLogHandler(logging.Handler):
    """Passes log records on to the host."""

    def __init__(self, link: GuestLink) -> None:
        super().__init__(logging.INFO)
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        """One record, one message."""
        self._link.log(record.name, record.levelname.lower(), record.getMessage())
