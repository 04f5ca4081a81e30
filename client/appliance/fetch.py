"""Fetches a target, in a worker process: the file appears under its name only when every byte of it is right.

What was fetched before is hashed again and gone on with. Docs: docs/downloads.md.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from client.appliance.answer import Answer, Ask, Opener
from client.appliance.errors import ApplianceAltered, DownloadFailed
from client.appliance.fault import Fault, is_full, need_space
from client.appliance.mirrors import Mirror, Mirrors
from client.appliance.pieces import PartFile, is_whole
from client.appliance.rate import Pace, Patience, Speed
from client.appliance.target import Target
from client.appliance.worker_child import Face
from client.errors import BadInput, DiskFull

STALL_S: Final = 30.0
PAUSE_S: Final = 0.5
#: a worker that was called off needs a moment to let its file go
_LOCK_WAIT_S: Final = 10.0
#: a mirror is not left before it had this long to come up to speed
_SETTLE_S: Final = 3.0


@dataclass(frozen=True)
class Order:
    """What to fetch, and how.

    Attributes:
        to: where it shall appear.
        part: where it grows; kept when this ends early.
        proxy: None: that of the environment or the system; empty: none; else its address.
        stall_s: how long a mirror may be silent.
        pause_s: after a mirror's first fault.
    """

    target: Target
    to: Path
    part: Path
    proxy: str | None = None
    stall_s: float = STALL_S
    pause_s: float = PAUSE_S

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Order":
        """Read the order that came to the worker.

        Raises:
            BadManifest: its target cannot be used.
            BadInput: something else of it cannot.
        """
        target = Target.from_json(said.get("target"), "the order")
        proxy, to, part = said.get("proxy"), said.get("to"), said.get("part")
        times = [said.get(name, usual) for name, usual in (("stall_s", STALL_S), ("pause_s", PAUSE_S))]
        if not (isinstance(to, str) and isinstance(part, str) and (proxy is None or isinstance(proxy, str))):
            raise BadInput("the order", "to, part or proxy is not text", "write paths and an address")
        if not all(isinstance(one, int | float) and 0 < one < 86400 for one in times):
            raise BadInput("the order", "a time is not possible", "write seconds")
        return cls(target, Path(to), Path(part), proxy, *times)


def fetch(said: Mapping[str, Any], face: Face) -> Mapping[str, Any]:
    """The kind of work `download`. Order: the fields of `Order` as JSON, and limit_bytes_per_s.

    Returns:
        bytes_fetched (over the wire), mirror (the address of the last; empty if nothing was fetched), kind ("full").

    Raises:
        DownloadFailed: worth trying again later.
        ApplianceTruncated, ApplianceAltered: every mirror that answers has other bytes.
        DiskFull: what was fetched is kept.
        Stopped
    """
    return Download(Order.from_json(said), face).run()


class Download:
    """One target on its way."""

    def __init__(self, order: Order, face: Face) -> None:
        self._order = order
        self._target = order.target
        self._face = face
        self._mirrors = Mirrors(order.target.urls, order.pause_s)
        self._pace = Pace(face)
        self._opener = Opener(order.proxy, order.stall_s, self._pace.limit)
        self._speed = Speed()
        self._fetched = 0
        self._mirror = ""

    def run(self) -> Mapping[str, Any]:
        """Fetch it; see `fetch`."""
        for folder in (self._order.part.parent, self._order.to.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.closing(self._opener), alone(self._order.part):
            if not is_whole(self._order.to, self._target):
                with contextlib.closing(PartFile(self._order.part, self._target)) as part:
                    self._fill(part)
            self._order.part.unlink(missing_ok=True)
        return {"bytes_fetched": self._fetched, "mirror": self._mirror, "kind": "full"}

    def _fill(self, part: PartFile) -> None:
        part.resume(lambda position: self._tell("checking", position))
        need_space(self._order.part.parent, self._target.size_bytes - part.position)
        is_ours = part.position == 0
        while True:
            while part.position < self._target.size_bytes:
                self._try_one(part)
            try:
                self._tell("checking", part.position, force=True)
                return part.finish(self._order.to)
            except ApplianceAltered as altered:
                # Pieces that are right make a file that is right, or else the catalogue contradicts itself.
                if self._target.pieces:
                    raise
                # Else what was on the disk may be what was wrong.
                if is_ours:
                    self._condemn(altered)
                is_ours = True

    def _condemn(self, altered: ApplianceAltered) -> None:
        """A file without known pieces came wrong; whoever sent its end is not asked again."""
        for mirror in self._mirrors.named(self._mirror):
            self._mirrors.blame(mirror, _other_bytes(self._mirror, altered), 0)

    def _try_one(self, part: PartFile) -> None:
        self._obey(part)
        mirror = self._mirrors.choose()
        if mirror is None:
            self._tell("waiting", part.position, force=True)
            return self._face.rest(self._mirrors.wait_s())
        began = part.position
        try:
            self._from(mirror, part)
        except Fault as fault:
            self._mirrors.blame(mirror, fault, max(0, part.position - began))
        return None

    def _from(self, mirror: Mirror, part: PartFile) -> None:
        """Fetch from one mirror as long as that is the best to do."""
        began, trial = part.position, self._mirrors.is_trial(mirror)
        end = self._end_of_piece(part) if trial else self._target.size_bytes
        ask = Ask(mirror.url, began, end, self._target.size_bytes, mirror.etag or "", plain=not mirror.ranges)
        self._mirror, at = mirror.url, time.monotonic()
        with contextlib.closing(self._opener.open(ask, self._face, mirror.patience_s)) as answer:
            mirror.etag = answer.etag if mirror.etag is not None else None
            patience = Patience(self._order.stall_s)
            # A mirror without ranges sends once more what is here already.
            for _ in self._body(answer, patience, answer.skip, lambda: answer.skip):
                self._tell("downloading", began)
                if self._face.held:
                    return
            # Not over the end of a piece at once: if it is wrong, no more than it is lost.
            for data in self._body(answer, patience, end - began, lambda: self._end_of_piece(part) - part.position):
                self._store(data, part, mirror, began)
                self._tell("downloading", part.position)
                if self._shall_leave(mirror, part, at):
                    break
        self._pace.end()
        taken = time.monotonic() - at
        self._mirrors.praise(mirror, (part.position - began) / max(taken, 1e-3))

    def _body(self, answer: Answer, patience: Patience, left: int, most: Callable[[], int]) -> Iterator[bytes]:
        """The next `left` bytes that the mirror sends, at the rate that is allowed, at most `most()` at a time.

        Raises:
            Fault
        """
        self._pace.keep(0)
        while left:
            data = answer.read(min(left, most(), self._pace.chunk()))
            left -= len(data)
            if not data:
                raise Fault("the connection ended too early")
            if patience.is_out(answer.waited_s, len(data)):
                raise Fault("it has become too slow")
            self._fetched += len(data)
            self._speed.add(len(data))
            self._pace.keep(len(data))
            yield data

    def _store(self, data: bytes, part: PartFile, mirror: Mirror, began: int) -> None:
        try:
            part.write(data)
        except ApplianceAltered as altered:
            # Else what another mirror, or the disk, gave of the piece may be what was wrong.
            own = began <= part.position
            raise (_other_bytes(mirror.url, altered) if own else Fault("a piece came wrong")) from altered
        except OSError as error:
            if not is_full(error):
                raise
            missing = self._target.size_bytes - part.position
            need_space(self._order.part.parent, missing)
            raise DiskFull(str(self._order.part.parent), missing, 0) from error

    def _shall_leave(self, mirror: Mirror, part: PartFile, since: float) -> bool:
        self._face.check()
        if self._face.held:
            return True
        taken = time.monotonic() - since
        if self._pace.limit or taken < _SETTLE_S or part.position == self._target.size_bytes:
            return False
        return self._mirrors.is_outrun(mirror, self._speed.bytes_per_s())

    def _obey(self, part: PartFile) -> None:
        """Rest as long as the user wants that; the connection is not kept, no server would wait so long."""
        self._face.check()
        while self._face.held:
            self._tell("held", part.position, force=True)
            self._face.rest(3600)

    def _end_of_piece(self, part: PartFile) -> int:
        size = self._target.piece_bytes
        return min((part.position // size + 1) * size, self._target.size_bytes)

    def _tell(self, step: str, position: int, *, force: bool = False) -> None:
        self._face.check()
        total = self._target.size_bytes
        rate = self._speed.bytes_per_s()
        self._face.progress(
            force=force,
            step=step,
            done_bytes=position,
            total_bytes=total,
            rate_bytes_per_s=rate,
            left_s=(total - position) / rate if rate else None,
            mirror=self._mirror,
            said=self._mirrors.said if step == "waiting" else "",
        )


def _other_bytes(url: str, altered: ApplianceAltered) -> Fault:
    refusal = ApplianceAltered(url, altered.expected_sha256, altered.found_sha256)
    return Fault("it has other bytes", refusal=refusal, may_be_chance=True)


@contextlib.contextmanager
def alone(part: Path) -> Iterator[None]:
    """Nobody else writes to the file meanwhile: a worker of a client that was killed lives on for a moment."""
    path = part.with_name(part.name + ".lock")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=_LOCK_WAIT_S)
    except Timeout as busy:
        raise DownloadFailed(str(part), "another process fetches it at this moment") from busy
    try:
        yield
    finally:
        # Who waits for it sees that it has no name any more, and makes a new one; on Windows the library removes it.
        if sys.platform != "win32":
            path.unlink(missing_ok=True)
        lock.release()
