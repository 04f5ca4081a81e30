"""Mends a file that is damaged on disk, in a worker process: only its bad pieces are fetched again.

The file has lost its name before, and gets it back when all of it is right. Killed in between, it has fewer bad pieces.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from client.appliance.answer import Ask, Opener
from client.appliance.errors import ApplianceAltered
from client.appliance.fault import Fault
from client.appliance.fetch import Order, alone
from client.appliance.mirrors import Mirror, Mirrors
from client.appliance.pieces import is_whole, put_in_place
from client.appliance.rate import Pace, Speed
from client.appliance.target import Target, piece_count
from client.appliance.worker_child import Face

_READ_BYTES: Final = 256 * 1024


def bad_pieces(path: Path, target: Target, first: int = 0) -> Iterator[tuple[int, bool]]:
    """Look at one piece after the other: its number, and whether it is bad. What cannot be read is bad.

    Args:
        target: its pieces are known.
        first: where to begin.
    """
    with path.open("rb", buffering=0) as file:
        for index in range(first, piece_count(target.size_bytes, target.piece_bytes)):
            yield index, _digest(file, target, index) != target.pieces[index]


class Repair:
    """One damaged file, which lies at the order's `part`."""

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
        """Mend it, and put it into its place.

        Returns:
            bytes_fetched, mirror, kind ("pieces"), pieces: how many were fetched.

        Raises:
            ApplianceAltered: it cannot be mended by pieces.
            DownloadFailed: worth trying again later.
        """
        with alone(self._order.part):
            return self._run(self._order.part)

    def _run(self, path: Path) -> Mapping[str, Any]:
        bad = self._find_bad(path) if self._target.pieces else []
        with path.open("r+b") as file:
            file.truncate(self._target.size_bytes)
            for number, index in enumerate(bad):
                self._tell(number, len(bad))
                file.seek(index * self._target.piece_bytes)
                file.write(self._piece(index))
            file.flush()
            os.fsync(file.fileno())
        if not is_whole(path, self._target):
            raise ApplianceAltered(str(self._order.to), self._target.sha256, "other bytes")
        self._order.to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        put_in_place(path, self._order.to)
        return {"bytes_fetched": self._fetched, "mirror": self._mirror, "kind": "pieces", "pieces": len(bad)}

    def _find_bad(self, path: Path) -> list[int]:
        found = []
        for index, is_bad in bad_pieces(path, self._target):
            self._face.check()
            if is_bad:
                found.append(index)
        return found

    def _piece(self, index: int) -> bytes:
        while True:
            self._obey()
            mirror = self._mirrors.choose()
            if mirror is None:
                self._face.progress(force=True, step="waiting", said=self._mirrors.said)
                self._face.rest(self._mirrors.wait_s())
                continue
            try:
                data = self._ask(mirror, index)
            except Fault as fault:
                self._mirrors.blame(mirror, fault, 0)
                continue
            self._mirrors.praise(mirror, self._speed.bytes_per_s())
            return data

    def _ask(self, mirror: Mirror, index: int) -> bytes:
        start = index * self._target.piece_bytes
        end = min(start + self._target.piece_bytes, self._target.size_bytes)
        ask = Ask(mirror.url, start, end, self._target.size_bytes, plain=not mirror.ranges)
        self._mirror = mirror.url
        with contextlib.closing(self._opener.open(ask, self._face, mirror.patience_s)) as answer:
            self._check_worth(answer.skip)
            # A mirror without ranges sends what comes before as well.
            for _ in self._body(answer.read, answer.skip):
                pass
            data = b"".join(self._body(answer.read, end - start))
        expected, found = self._target.pieces[index], hashlib.sha256(data).hexdigest()
        if found != expected:
            refusal = ApplianceAltered(mirror.url, expected, found)
            raise Fault("it has other bytes", refusal=refusal, may_be_chance=True)
        return data

    def _check_worth(self, skip: int) -> None:
        """See that pieces from mirrors which give whole files only do not cost more than the file.

        Raises:
            ApplianceAltered
        """
        if skip and self._fetched + skip > self._target.size_bytes:
            raise ApplianceAltered(str(self._order.to), self._target.sha256, "other bytes")

    def _body(self, read: Any, left: int) -> Iterator[bytes]:
        self._pace.keep(0)
        while left:
            data: bytes = read(min(left, self._pace.chunk()))
            if not data:
                raise Fault("the connection ended too early")
            left -= len(data)
            self._fetched += len(data)
            self._speed.add(len(data))
            self._pace.keep(len(data))
            self._obey()
            yield data
        self._pace.end()

    def _obey(self) -> None:
        self._face.check()
        while self._face.held:
            self._face.progress(force=True, step="held")
            self._face.rest(3600)

    def _tell(self, number: int, total: int) -> None:
        size = self._target.piece_bytes
        rate = self._speed.bytes_per_s()
        self._face.progress(
            step="repairing",
            done_bytes=number * size,
            total_bytes=total * size,
            rate_bytes_per_s=rate,
            left_s=(total - number) * size / rate if rate else None,
            mirror=self._mirror,
        )


def _digest(file: Any, target: Target, index: int) -> str:
    digest, left = hashlib.sha256(), min(target.piece_bytes, target.size_bytes - index * target.piece_bytes)
    try:
        file.seek(index * target.piece_bytes)
        while left and (data := file.read(min(left, _READ_BYTES))):
            digest.update(data)
            left -= len(data)
    except OSError:
        return ""
    return "" if left else digest.hexdigest()
