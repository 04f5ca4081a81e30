"""What the relays of a VM have carried: each keeps its own file, those of dead ones are folded into one.

The sum is right whether a relay is alive or not; folding only keeps the folder small. The names of folded files are
written together with their sum, so being killed between the two steps counts nothing twice.
"""

import json
from pathlib import Path
from typing import Any, Final

from client import process
from client.hypervisor.driver import Traffic
from client.hypervisor.files import write_whole

_TOTAL: Final = "total.json"
#: Fold when there are more files of dead relays than this.
_FOLD_ABOVE: Final = 8


def read_traffic(folder: Path) -> Traffic:
    """Bytes through the VM's routes since it was defined. Folds old files as it goes."""
    total = _total(folder)
    folded = set(total["folded"])
    files = [path for path in _files(folder) if path.name not in folded]
    # Who is dead is asked first: a count read after that is the last one.
    dead = [path for path in files if process.identity(int(path.name.split("-")[0])) is None]
    counts = {path: _count(path) for path in files}
    sent = total["sent"] + sum(count[0] for count in counts.values())
    received = total["received"] + sum(count[1] for count in counts.values())
    if len(dead) > _FOLD_ABOVE or folded:
        _fold(folder, total, {path: counts[path] for path in dead})
    return Traffic(sent, received)


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.name.replace("-", "").isdigit() and "-" in path.name]
    except OSError:
        return []


def _count(path: Path) -> tuple[int, int]:
    try:
        sent, received = path.read_bytes().split()
        return int(sent), int(received)
    except (OSError, ValueError):
        return 0, 0


def _total(folder: Path) -> dict[str, Any]:
    try:
        plain = json.loads((folder / _TOTAL).read_text())
        return {"sent": int(plain["sent"]), "received": int(plain["received"]), "folded": list(plain["folded"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"sent": 0, "received": 0, "folded": []}


def _fold(folder: Path, total: dict[str, Any], dead: dict[Path, tuple[int, int]]) -> None:
    for name in total["folded"]:
        (folder / str(name)).unlink(missing_ok=True)
    sent = total["sent"] + sum(count[0] for count in dead.values())
    received = total["received"] + sum(count[1] for count in dead.values())
    plain = {"sent": sent, "received": received, "folded": [path.name for path in dead]}
    write_whole(folder / _TOTAL, json.dumps(plain))
    for path in dead:
        path.unlink(missing_ok=True)
    write_whole(folder / _TOTAL, json.dumps({**plain, "folded": []}))
