"""Updates by difference: a file made out of an older one and a patch; the full download whenever that fails.

The patch is a target like any other; what comes out is verified against the hash of the full file.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from client.appliance.errors import ApplianceError
from client.appliance.fault import need_space
from client.appliance.fetch import Download, Order, alone
from client.appliance.pieces import is_whole, put_in_place
from client.appliance.target import Patch
from client.appliance.worker_child import Face
from client.appliance.xdelta import PROGRAM, PatchFailed, apply_patch, is_there
from client.errors import BadInput, DiskFull
from client.log import logger


def update(said: Mapping[str, Any], face: Face) -> Mapping[str, Any]:
    """The kind of work `patch`. Order: as `fetch`, and from: sha256 -> path of older files that are here.

    Returns:
        As `fetch`; kind is "patch" if a patch made the file, and bytes_fetched counts both ways together.

    Raises:
        As `fetch`.
    """
    order = Order.from_json(said)
    if is_whole(order.to, order.target):
        return Download(order, face).run()
    fetched = 0
    with _beside(order) as (patch_file, out):
        try:
            patch, old = _choose(order, said.get("from"))
            by_patch = Order(patch.target, patch_file, _part(patch_file), order.proxy, order.stall_s, order.pause_s)
            need_space(order.part.parent, patch.target.size_bytes + order.target.size_bytes)
            result = Download(by_patch, face).run()
            fetched = int(result["bytes_fetched"])
            _make(order, old, patch_file, out, face)
            return {**result, "kind": "patch"}
        except (PatchFailed, ApplianceError, DiskFull) as failed:
            logger("appliance").info("%s is fetched whole: %s", order.target.name, failed)
    full = Download(order, face).run()
    return {**full, "bytes_fetched": full["bytes_fetched"] + fetched}


def _choose(order: Order, said: object) -> tuple[Patch, Path]:
    """The smallest patch whose old file is here, if it is less than what is missing.

    Raises:
        PatchFailed: there is none.
    """
    if not isinstance(said, Mapping) or not all(isinstance(one, str) for one in said.values()):
        raise BadInput("the order", "from is not a table of paths", "write the path of each older file")
    if not is_there():
        raise PatchFailed(f"the program {PROGRAM} is not installed")
    fitting = [one for one in order.target.patches if one.from_sha256 in said and Path(said[one.from_sha256]).is_file()]
    if not fitting:
        raise PatchFailed("there is no patch for what is here")
    smallest = min(fitting, key=lambda one: one.target.size_bytes)
    here = order.part.stat().st_size if order.part.exists() else 0
    if smallest.target.size_bytes >= order.target.size_bytes - here:
        raise PatchFailed("less than the patch is missing")
    return smallest, Path(said[smallest.from_sha256])


def _make(order: Order, old: Path, patch_file: Path, out: Path, face: Face) -> None:
    try:
        with alone(order.part):
            apply_patch(old, patch_file, out, order.target.size_bytes, face)
            if not is_whole(out, order.target):
                raise PatchFailed("the patch makes another file than it should")
            with out.open("rb") as file:
                os.fsync(file.fileno())
            put_in_place(out, order.to)
            order.part.unlink(missing_ok=True)
    except OSError as error:
        raise PatchFailed(str(error)) from error


@contextlib.contextmanager
def _beside(order: Order) -> Iterator[tuple[Path, Path]]:
    """Where the patch and what it makes lie meanwhile. What was fetched of a patch stays for the next try."""
    patch_file = order.part.with_name(order.part.name + ".xdelta")
    out = order.part.with_name(order.part.name + ".patched")
    try:
        yield patch_file, out
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    for path in (patch_file, out, _part(patch_file)):
        path.unlink(missing_ok=True)


def _part(patch_file: Path) -> Path:
    return patch_file.with_name(patch_file.name + ".part")
