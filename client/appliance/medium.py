"""Writes small ISO 9660 images (Rock Ridge and Joliet): the media through which a guest gets its settings."""

import contextlib
import errno
import io
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from client import filenames
from client.errors import DiskFull

#: read by root only where the reader of the medium honours it
_FILE_MODE: Final = 0o100400
_NOT_ISO: Final = re.compile(r"[^A-Z0-9_.]")


def write_medium(path: Path, files: Mapping[str, bytes], label: str) -> None:
    """Write an image; it replaces an older one whole and can be read by its owner only. Blocks for some ms.

    Args:
        files: path in the image, with / between folders -> bytes.
        label: the volume's, at most 16 characters.

    Raises:
        DiskFull: nothing half-written stays.
        OSError: the folder cannot be written to.
    """
    write_image(path, build_image(files, label))


def write_image(path: Path, image: bytes) -> None:
    """Write what is already one; otherwise as `write_medium`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + filenames.PART_SUFFIX)
    part.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(image)
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if error.errno == errno.ENOSPC:
            raise DiskFull(str(path.parent), len(image), shutil.disk_usage(path.parent).free) from error
        raise


def build_image(files: Mapping[str, bytes], label: str) -> bytes:
    """The image as bytes."""
    # Only where one is made: in a program that makes none it would take 2 MB of memory.
    import pycdlib

    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=label)
    folders = {str(parent) for name in files for parent in PurePosixPath(name).parents if str(parent) != "."}
    for folder in sorted(folders):
        iso.add_directory(_iso_name(folder), rr_name=PurePosixPath(folder).name, joliet_path=f"/{folder}")
    for name, content in files.items():
        short = f"{_iso_name(name)}{'' if '.' in PurePosixPath(name).name else '.'};1"
        true = PurePosixPath(name).name
        iso.add_fp(io.BytesIO(content), len(content), short, rr_name=true, joliet_path=f"/{name}", file_mode=_FILE_MODE)
    image = io.BytesIO()
    iso.write_fp(image)
    iso.close()
    return image.getvalue()


def _iso_name(path: str) -> str:
    """The plain ISO 9660 name beside the true one: capitals, digits and `_`."""
    return "/" + "/".join(_NOT_ISO.sub("_", part.upper()) for part in path.split("/"))
