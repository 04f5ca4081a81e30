"""The file that an own VM boots from: out of the store, where an image is taken first if it is not there yet."""

import shutil
from datetime import datetime
from pathlib import Path

from client.appliance.convert import QEMU_IMG, VBOXMANAGE
from client.appliance.errors import NoSuchImage
from client.appliance.formats import Format
from client.appliance.own_images import OwnImage, OwnImages
from client.appliance.own_import import import_image, ready_file
from client.errors import BadInput
from client.hypervisor.qemu.find import search_path
from client.hypervisor.virtualbox.find import usual_path
from client.paths import Paths

#: forms of disks that all drivers take as they are
_WANTED = (Format.QCOW2, Format.RAW)


async def boot_file(paths: Paths, words: str) -> tuple[Path, str]:
    """The file to boot from, and the image's name.

    Args:
        words: name of an image of the user's, or a file's place from the root on.

    Raises:
        ClientError: it is no image, or cannot be used; of one that was to be taken in nothing is left.
    """
    images = OwnImages(paths.appliances)
    image = await _image(images, words)
    if len(image.files) > 1:
        what = f"it has {len(image.files)} disks, and a virtual machine of your own has one"
        raise BadInput(image.name, what, "use an image with one disk")
    place = await ready_file(images, image, image.files[0], _WANTED, _converters())
    return place, image.name


async def _image(images: OwnImages, words: str) -> OwnImage:
    try:
        return images.find(words)
    except NoSuchImage:
        path = Path(words)
        if not path.is_absolute():
            raise
    known = next((one for one in images.images() if one.origin == str(path) and _is_same(one, path)), None)
    return known or await import_image(images, path)


def _is_same(image: OwnImage, path: Path) -> bool:
    """Whether a file that was added before is most likely the same still: it has not been written to since."""
    return path.is_file() and path.stat().st_mtime < datetime.fromisoformat(image.added_at).timestamp()


def _converters() -> dict[str, str]:
    found = {QEMU_IMG: shutil.which(QEMU_IMG, path=search_path())}
    found[VBOXMANAGE] = shutil.which(VBOXMANAGE, path=usual_path())
    return {name: path for name, path in found.items() if path}
