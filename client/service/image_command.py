"""`main.py image`: images of your own: add one from a file, see what it is, remove it.

main.py image add FILE [--name N] [--trust-unsigned]     the file is copied and stays as it is; docs/images.md
main.py image get [NAME] [--catalogue URL --root-sha256 HASH]   out of a signed catalogue
main.py image show NAME
main.py image remove NAME

Works whether an instance runs or not: both look after the same store.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from client.appliance.formats import Format
from client.appliance.own_images import OwnFile, OwnImage, OwnImages
from client.appliance.own_import import import_image
from client.appliance.references import needed_by_vms
from client.command_line import Parser
from client.messages import fill
from client.paths import Paths, default_base
from client.service import image_get
from client.service.progress_line import ProgressLine

_HELP: Final = {
    "add": "copy an image into the store: iso, raw (img, hdd), vdi, vmdk, vhd, vhdx, qcow2, ova, ovf, or one packed",
    "get": "fetch an image out of a signed catalogue; without a name: what the catalogue has",
    "show": "what is known of an image",
    "remove": "remove an image that no virtual machine was made from",
}


def main(argv: list[str]) -> int:
    """The role `image`."""
    given = build_parser().parse_args(argv)
    paths = Paths(given.basedir)
    images = OwnImages(paths.appliances)
    match given.word:
        case "add":
            image = _add(paths, images, given)
            _tell(image, as_json=given.json)
        case "get":
            print("\n".join(map(_plain, _got(paths, images, given))))
        case "show":
            _tell(images.find(given.image), as_json=given.json)
        case "remove":
            freed = remove(images, paths.vms, given.image)
            told = json.dumps({"ok": True, "freed_bytes": freed}) if given.json else _freed(freed)
            print(told)
    return 0


def remove(images: OwnImages, vms: Path, name: str) -> int:
    """Remove an image. Returns the bytes that were freed.

    Raises:
        NoSuchImage, ImageNeeded
    """
    needed = {sha256: [f"the virtual machine {id}" for id in ids] for sha256, ids in needed_by_vms(vms).items()}
    return images.remove(images.find(name), needed)


def described(image: OwnImage) -> Iterator[str]:
    """What is known of an image, in lines for people."""
    yield f"{image.name}: added {image.added_at[:10]} from {image.origin} ({image.came_as})"
    yield from (f"  {_file(one)}" for one in image.files)
    if image.asked is not None:
        yield f"  asks for: {_asked(image)}"
    if image.proof:
        yield f"  {_proof(image.proof)}"
    if image.end_of_life:
        said = fill("own-image-end-of-life", {"image": image.name, "date": image.end_of_life})
        yield f"  {said.text} {said.doing}"


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(prog="main.py image", description=__doc__.partition("\n")[0])
    words = parser.add_subparsers(dest="word", metavar="WORD", required=True)
    for word, told in _HELP.items():
        one = words.add_parser(word, help=told, description=told)
        one.add_argument("--basedir", type=Path, default=default_base())
        one.add_argument("--json", action="store_true")
        if word == "add":
            one.add_argument("file", type=Path)
            one.add_argument("--name", default="", help="what to call it; else as the file is called")
            one.add_argument(
                "--trust-unsigned", action="store_true", help="take an ova or ovf that nobody has signed, as most are"
            )
        elif word == "get":
            image_get.add_options(one)
        else:
            one.add_argument("image", metavar="NAME")
    return parser


def _got(paths: Paths, images: OwnImages, given: argparse.Namespace) -> list[str]:
    """What `get` has to tell."""
    paths.make()
    line = ProgressLine(quiet=given.json)
    try:
        if not given.image:
            return image_get.offers(paths, given)
        image = asyncio.run(_politely(image_get.get(paths, images, given, line.show)))
    finally:
        line.end()
    if given.json:
        return [json.dumps({"ok": True, "image": image.to_json()})]
    template = images.template(image.name)
    return [*described(image), *([f"  its template: {template} (vm create --template)"] if template.is_file() else [])]


def _add(paths: Paths, images: OwnImages, given: argparse.Namespace) -> OwnImage:
    paths.make()
    line = ProgressLine(quiet=given.json)
    try:
        path, unsigned = given.file.expanduser(), given.trust_unsigned
        adding = import_image(images, path, given.name, trust_unsigned=unsigned, on_progress=line.show)
        return asyncio.run(_politely(adding))
    finally:
        line.end()


async def _politely(work: Coroutine[Any, Any, OwnImage]) -> OwnImage:
    mine = asyncio.current_task()
    assert mine is not None
    # What ends a program politely must leave as little behind as Ctrl-C does.
    if sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, mine.cancel)
    try:
        return await work
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _tell(image: OwnImage, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"ok": True, "image": image.to_json()}))
    else:
        print("\n".join(_plain(line) for line in described(image)))


def _file(file: OwnFile) -> str:
    forms = ", ".join(one.format.value for one in file.forms)
    size = f"{file.size_bytes / 1e6:,.1f} MB"
    if file.format is not Format.ISO:
        size += f", a disk of {file.virtual_bytes / 2**30:,.2f} GiB"
    return f"{file.name}: {file.format.value} ({file.detail}), {size}{f', also as {forms}' if forms else ''}"


def _asked(image: OwnImage) -> str:
    asked = image.asked
    assert asked is not None
    words = [
        f"{asked.cpus} processor{'s' if asked.cpus > 1 else ''}" if asked.cpus else "",
        f"{asked.memory_mib} MiB" if asked.memory_mib else "",
    ]
    words += [f"{asked.networks} network cards" if asked.networks else "", asked.os]
    return ", ".join(one for one in words if one) or "nothing"


def _proof(proof: Mapping[str, str]) -> str:
    signer, issuer = proof.get("signer", ""), proof.get("issuer", "")
    if not signer:
        manifest = f"its manifest ({proof['manifest']}) fits" if proof.get("manifest") else "no manifest"
        return f"not signed, {manifest}; you trusted it"
    by = "a certificate that its owner made" if signer == issuer else f"a certificate from {issuer}"
    return f"signed by {signer} ({by}, good until {proof.get('expired_at', '')[:10]}; nobody here vouches for the name)"


def _plain(line: str) -> str:
    """Without what a terminal would obey."""
    return "".join(one if one.isprintable() else "\ufffd" for one in line)


def _freed(freed_bytes: int) -> str:
    return f"Removed; {freed_bytes / 1e6:,.1f} MB are free again."
