"""Kinds of work that only tests have, done in a real worker process: run this file as `main.py worker` is run."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
#: program and first arguments of a worker that knows these kinds
COMMAND = (sys.executable, str(Path(__file__).resolve()))


def echo(order: Mapping[str, Any], face: Any) -> Mapping[str, Any]:
    print("a library chats")
    face.progress(seen=1, force=True)
    return {"order": dict(order), "limit": face.limit}


def steered(order: Mapping[str, Any], face: Any) -> Mapping[str, Any]:
    """Tells of each change until the limit has the wanted value and it is not held."""
    face.progress(pid=os.getpid(), force=True)
    while face.limit != order["wanted"] or face.held:
        face.rest(30)
        face.progress(limit=face.limit, held=face.held, force=True)
    return {"limit": face.limit}


def refuse(order: Mapping[str, Any], face: Any) -> Mapping[str, Any]:
    from client.errors import CommandFailed, DiskFull

    if order["how"] == "command":
        raise CommandFailed(("tool", "--flag"), 3, "it said so")
    if order["how"] == "full":
        raise OSError(28, "No space left on device", "/data/x")
    if order["how"] == "bug":
        raise KeyError("a bug")
    if order["how"] == "end":
        os._exit(9)
    raise DiskFull("/data", 10, 5)


def chatter(order: Mapping[str, Any], face: Any) -> Mapping[str, Any]:
    for number in range(order["times"]):
        face.progress(number=number)
    return {"big": "x" * order["size"]}


def writes_log(order: Mapping[str, Any], face: Any) -> Mapping[str, Any]:
    from client.log import logger

    logger("project").warning("%s came", "news")
    logger("appliance").info("it is done")
    return {}


def deaf(order: Mapping[str, Any], face: Any) -> Mapping[str, Any]:
    """Never looks whether it is still wanted."""
    import threading

    face.progress(pid=os.getpid(), force=True)
    threading.Event().wait(300)
    return {}


if __name__ == "__main__":
    sys.path.insert(0, str(TOP))
    from client.appliance import worker_child

    for kind in ("echo", "steered", "refuse", "chatter", "writes_log", "deaf"):
        worker_child.KINDS[kind] = f"tests.helpers.worker_kinds:{kind}"
    sys.exit(worker_child.main(sys.argv[1:]))
