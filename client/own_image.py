"""The file that an own VM boots from: out of the store, where an image is taken first if it is not there yet."""

import asyncio
import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from client.appliance.convert import QEMU_IMG, VBOXMANAGE
from client.appliance.errors import NoSuchImage
from client.appliance.formats import Format
from client.appliance.ovf import Asked
from client.appliance.own_images import OwnImage, OwnImages, name_from
from client.appliance.own_import import import_image, ready_file
from client.appliance.references import needed_by_vms
from client.appliance.worker import OnProgress
from client.errors import BadInput, ClientError
from client.hypervisor.qemu.find import search_path
from client.hypervisor.virtualbox.find import usual_path
from client.paths import Paths

#: forms of disks that all drivers take as they are
_WANTED = (Format.QCOW2, Format.RAW)


@dataclass(frozen=True)
class BootImage:
    """What a VM boots from.

    Attributes:
        path: of the file.
        name: of the image, as the volunteer knows it.
        asked: what its package says that its machine needs; None: it came in none.
        end_of_life: date of the last update of the system in it, if that is known to be over.
        is_new: it was taken in just now.
    """

    path: Path
    name: str
    asked: Asked | None = None
    end_of_life: str = ""
    is_new: bool = False


async def boot_file(paths: Paths, words: str, on_progress: OnProgress = lambda said: None) -> BootImage:
    """The image to boot from, with its file in a form that all drivers take.

    Args:
        words: name of an image of the user's, or a file's place from the root on.
        on_progress: told the step, and how far it is.

    Raises:
        ClientError: it is no image, or cannot be used; of one that was to be taken in nothing is left.
    """
    images = OwnImages(paths.appliances)
    image, is_new = await _image(images, words, on_progress)
    try:
        if len(image.files) > 1:
            what = f"it has {len(image.files)} disks, and a virtual machine of your own has one"
            raise BadInput(image.name, what, "use an image with one disk")
        tools = converters()
        # VBoxManage cannot write a qcow2.
        wanted = _WANTED if QEMU_IMG in tools else _WANTED[::-1]
        needed = (await asyncio.to_thread(needed_by_vms, paths.vms)).keys()
        place = await ready_file(images, image, image.files[0], wanted, tools, needed=needed, on_progress=on_progress)
    except BaseException:
        if is_new:
            forget_image(paths, image.name)
        raise
    return BootImage(place, image.name, image.asked, image.end_of_life, is_new)


def forget_image(paths: Paths, name: str) -> None:
    """Remove an image that was taken in for a VM which was not made; one that another needs by now stays."""
    images = OwnImages(paths.appliances)
    with contextlib.suppress(ClientError, OSError):
        needed = {sha256: sorted(ids) for sha256, ids in needed_by_vms(paths.vms).items()}
        images.remove(images.find(name), needed)


async def _image(images: OwnImages, words: str, on_progress: OnProgress) -> tuple[OwnImage, bool]:
    """An image, and whether it was taken in just now."""
    try:
        return images.find(words), False
    except NoSuchImage:
        path = Path(words)
        if not path.is_absolute():
            raise
        there = images.images()
    before = [one for one in there if one.origin == str(path)]
    known = next((one for one in before if _is_same(one, path)), None)
    if known is not None:
        return known, False
    new = await import_image(images, path, _free_name(path, there), on_progress=on_progress)
    same = next((one for one in before if _content(one) == _content(new)), None)
    if same is not None:
        images.remove(new, {})
        return same, False
    return new, True


def _content(image: OwnImage) -> tuple[str, ...]:
    return tuple(one.sha256 for one in image.files)


def _free_name(path: Path, there: Sequence[OwnImage]) -> str:
    """A name for what is in a file that was added before and has changed since, or is called as another one is."""
    taken = {one.name for one in there}
    name = name_from(path)
    numbered = (f"{name[:58]}-{number}" for number in range(2, 10_000))
    return next(one for one in (name, *numbered) if one not in taken)


def _is_same(image: OwnImage, path: Path) -> bool:
    """Whether a file that was added before is most likely the same still: nothing has been done to it since.

    A file that is put in another's place keeps the time of its content, but not that of its change of place.
    """
    if not path.is_file():
        return False
    about = path.stat()
    return max(about.st_mtime, about.st_ctime) < datetime.fromisoformat(image.added_at).timestamp()


def converters() -> dict[str, str]:
    """The programs here that bring disks into other forms, by their names."""
    found = {QEMU_IMG: shutil.which(QEMU_IMG, path=search_path())}
    found[VBOXMANAGE] = shutil.which(VBOXMANAGE, path=usual_path())
    return {name: path for name, path in found.items() if path}
