"""`main.py images`: the appliances on this computer: what they take, who needs them; remove, check, renew, limit them.

Asks the running instance; without one it looks at the store itself.
"""

import argparse
import asyncio
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from client.appliance.errors import ImageDamaged, NoSuchImage
from client.appliance.own_images import OwnImages
from client.appliance.own_import import verify_image
from client.appliance.references import needed_by_vms
from client.appliance.store import Store
from client.appliance.target import Target
from client.appliance.transfers import BY_USER, REASONS
from client.appliance.upkeep import find_image
from client.appliance.verify import verify_file
from client.appliances import views_of
from client.clock import SystemClock
from client.command_line import Parser
from client.errors import ClientError, NotRunning
from client.messages import sentence
from client.paths import Paths, default_base
from client.preferences.store import load, save
from client.service.control import InstanceLock, ask
from client.service.image_command import remove as remove_own
from client.service.images_desk import LIMIT_KEY, checked_limit
from client.snapshot import ClientSnapshot

HELP: Final = {
    "list": "what is here, what it takes, who needs it, when it was last used",
    "remove": "remove one that nobody needs",
    "check": "read all files again and mend what is damaged",
    "update": "look for newer versions now",
    "limit": "how much all together may take, in MiB",
    "hold": "fetch nothing until told to",
    "go-on": "fetch again",
}
#: what was taken and goes on by itself
_TAKEN: Final = {
    "check": "Checking; main.py images list shows what was found.",
    "update": "Looking for newer versions.",
    "hold": "Nothing is fetched until you say: main.py images go-on.",
    "go-on": "Fetching goes on.",
}


def main(argv: list[str]) -> int:
    """Do one word; exit code 0 when it was done, 1 when it was refused."""
    given = build_parser().parse_args(argv)
    paths = Paths(given.basedir)
    if given.word == "limit":
        checked_limit(given.mib)
        save(paths.preferences, LIMIT_KEY, given.mib)
    own = {one.name: one for one in OwnImages(paths.appliances).images()}
    reply: dict[str, Any]
    if given.word == "remove" and given.image in own:
        reply = {"ok": True, "freed_bytes": remove_own(OwnImages(paths.appliances), paths.vms, given.image)}
    else:
        reply = _reply(paths, given)
    if given.word == "list":
        reply["own"] = [{"kind": "own", "size_bytes": one.size_bytes, **one.to_json()} for one in own.values()]
    if given.json:
        print(json.dumps(reply, indent=1))
    elif not reply["ok"]:
        print(f"volunteer-cloud: {reply['text']} {reply.get('doing', '')}".rstrip(), file=sys.stderr)
    else:
        print(_in_words(given, reply))
    return 0 if reply["ok"] else 1


def _reply(paths: Paths, given: argparse.Namespace) -> dict[str, Any]:
    try:
        return asyncio.run(ask(paths, f"images {given.word}", _arguments(given)))
    except NotRunning:
        return _alone(paths, given)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(prog="main.py images", description=__doc__.partition("\n")[0])
    words = parser.add_subparsers(dest="word", metavar="WORD", required=True)
    for word, told in HELP.items():
        one = words.add_parser(word, help=told, description=told)
        one.add_argument("--basedir", type=Path, default=default_base())
        one.add_argument("--json", action="store_true")
        if word == "remove":
            one.add_argument("image", help="id, or the beginning of it, or name and version")
        if word == "limit":
            one.add_argument("mib", type=int, help="MiB")
    return parser


def _arguments(given: argparse.Namespace) -> dict[str, Any]:
    return {key: getattr(given, key) for key in ("image", "mib") if hasattr(given, key)}


def _alone(paths: Paths, given: argparse.Namespace) -> dict[str, Any]:
    """Do it without an instance, which none can start meanwhile."""
    with InstanceLock(paths):
        limit = load(paths.preferences).number(LIMIT_KEY) << 20
        store = Store(paths.appliances, paths.vms, SystemClock(), limit)
        match given.word:
            case "list":
                views, size = views_of(store)
                said = ClientSnapshot(0, datetime.min, store=views).to_json()["store"]
                held = {"code": BY_USER, "text": REASONS[BY_USER]} if store.book.held else None
                return {"ok": True, "store": said, "bytes": size, "limit_bytes": limit, "held": held, "transfers": []}
            case "remove":
                try:
                    choice = find_image(store.known.choices(), given.image)
                except NoSuchImage as error:
                    own = [f"{one.name} (your own)" for one in store.own.images()]
                    there = [error.known] if store.known.choices() else []
                    raise NoSuchImage(error.image, ", ".join([*there, *own]) or "none") from error
                return {"ok": True, "freed_bytes": store.remove(choice)}
            case "check":
                return {"ok": True, "bad": _check(store), "damaged": _check_own(store, paths)}
            case "limit":
                return {"ok": True, "freed_bytes": store.tidy()}
            case "hold" | "go-on":
                store.book.held = given.word == "hold"
                store.book.save()
                return {"ok": True}
        raise NotRunning(str(paths.base))


def _check(store: Store) -> list[str]:
    """Read all files; those that are damaged lose their place, and are mended when they are needed."""
    bad = []
    targets = {target.sha256: target for choice in store.known.choices() for target in choice.targets}
    for sha256, target in targets.items():
        if store.objects.has(sha256, target.size_bytes) or store.objects.place(sha256, "").is_file():
            if _is_right(store.objects.place(sha256, ""), target):
                store.book.checked([sha256])
            else:
                store.objects.set_aside(sha256)
                bad.append(target.name)
    return bad


def _check_own(store: Store, paths: Paths) -> list[str]:
    """Read the user's own images; nobody can send those that are damaged again. Returns what to say of them."""
    needed, damaged = needed_by_vms(paths.vms).keys(), []
    for image in store.own.images():
        try:
            store.book.checked(asyncio.run(verify_image(store.own, image, needed=needed)))
        except ImageDamaged as error:
            said = sentence(error)
            damaged.append(f"{said.text} {said.doing}")
    return damaged


def _is_right(path: Path, target: Target) -> bool:
    try:
        verify_file(path, target.size_bytes, target.sha256)
    except (ClientError, OSError):
        return False
    return True


def _in_words(given: argparse.Namespace, reply: dict[str, Any]) -> str:
    match given.word:
        case "list":
            return "\n".join(_listed(reply))
        case "remove":
            return f"Removed; {reply['freed_bytes'] / 1e6:,.1f} MB are free again."
        case "limit":
            return f"All appliances together may take {given.mib:,} MiB."
        case "check" if "bad" in reply:
            bad = ", ".join(reply["bad"])
            lines = [f"Damaged, and fetched again when they are needed: {bad}."] if bad else []
            return "\n".join([*lines, *reply["damaged"]]) or "All files are right."
    return _TAKEN[given.word]


def _listed(reply: dict[str, Any]) -> list[str]:
    lines = [f"{reply['bytes'] / 1e6:,.1f} MB of {reply['limit_bytes'] / 1e6:,.0f} MB are used."]
    for one in reply["store"]:
        whole = "" if one["is_whole"] else ", not all of it is here yet"
        size = f"{one['size_bytes'] / 1e6:,.1f} MB; removing it frees {one['own_bytes'] / 1e6:,.1f} MB{whole}"
        lines.append(f"{one['image_id'][:12]}  {one['name']} {one['version']}: {size}")
        lines.append(f"    used {_when(one['used_at'])}, checked {_when(one['checked_at'])}")
        lines += [f"    needed by {who}" for who in one["needed_by"]]
    for one in reply["own"]:
        lines.append(f"{one['name']}: your own, {one['size_bytes'] / 1e6:,.1f} MB; main.py image show {one['name']}")
    lines += [_guest_files(reply["guest_files"])] if reply.get("guest_files") else []
    lines += [f"{one['step']} {one['name']}: {_progress(one)}" for one in reply["transfers"]]
    lines += [reply["held"]["text"]] if reply["held"] else []
    return lines


def _guest_files(said: dict[str, Any]) -> str:
    kept = f"{said['kept_bytes'] / 1e6:,.1f} MB of {said['limit_bytes'] / 1e6:,.0f} MB"
    given, fetched = said["given_bytes"] / 1e6, said["fetched_bytes"] / 1e6
    return (
        f"Software that virtual machines read (CVMFS): {kept} are kept; of {given:,.1f} MB that they had lately,"
        f" {fetched:,.1f} MB came over the network."
    )


def _progress(transfer: dict[str, Any]) -> str:
    said = f"{transfer['done_bytes'] / 1e6:,.1f} of {transfer['total_bytes'] / 1e6:,.1f} MB"
    if transfer["held"] is not None:
        return f"{said}. {transfer['held']['text']}"
    if transfer["rate_bytes_per_s"]:
        said += f", {transfer['rate_bytes_per_s'] / 1e6:.1f} MB/s"
    if transfer["seconds_left"] is not None:
        said += f", {transfer['seconds_left']:.0f} s left"
    return said


def _when(text: str | None) -> str:
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}" if text else "never"
