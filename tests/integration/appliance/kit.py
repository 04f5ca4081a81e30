"""What the tests of downloads share: a file, its target, and one download in this process."""

import hashlib
import io
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, get_args

from client.appliance.fetch import Download, Order
from client.appliance.target import Target
from client.appliance.worker_child import Face

PIECE = 64 * 1024
SIZE = 10 * PIECE + 12_345
CONTENT = random.Random(4).randbytes(SIZE)
Known = Literal["prefixes", "pieces", "whole"]
#: what a catalogue may know of a file
KNOWN: Final[tuple[Known, ...]] = get_args(Known)


def target_of(content: bytes, urls: Sequence[str], piece_bytes: int = PIECE, known: Known = "prefixes") -> Target:
    """A file of which the hashes of the prefixes are known, of the pieces only, or of the whole only."""
    cut = [content[start : start + piece_bytes] for start in range(0, len(content), piece_bytes)]
    whole, prefixes = hashlib.sha256(), []
    for one in cut:
        whole.update(one)
        prefixes.append(whole.hexdigest())
    pieces = tuple(hashlib.sha256(one).hexdigest() for one in cut) if known != "whole" else ()
    up_to = tuple(prefixes) if known == "prefixes" else ()
    return Target("a/image", len(content), whole.hexdigest(), piece_bytes, pieces, tuple(urls), prefixes=up_to)


class Trial:
    """One folder, one target, as many tries as wanted."""

    def __init__(self, folder: Path, target: Target, **order: Any) -> None:
        self.to, self.part = folder / "image", folder / "parts" / "image.part"
        self.target = target
        self.said = io.StringIO()
        self.face = Face(self.said)
        self._order = {"stall_s": 10.0, "pause_s": 0.001} | order

    @property
    def order(self) -> Order:
        return Order(self.target, self.to, self.part, **self._order)

    def run(self) -> dict[str, Any]:
        """One download to its end; the file must be right."""
        result = dict(Download(self.order, self.face).run())
        assert hashlib.sha256(self.to.read_bytes()).hexdigest() == self.target.sha256
        assert not self.part.exists()
        assert [path.name for path in self.part.parent.iterdir()] == []
        return result

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(line)["progress"] for line in self.said.getvalue().splitlines()]
