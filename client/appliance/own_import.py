"""Adds an image of the user's to the store, and brings its disks into the form that a hypervisor wants.

Both are done by worker processes; cancelling leaves nothing behind.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from client import filenames
from client.appliance.errors import ApplianceError, ApplianceMissing, ImageDamaged, ImportBusy
from client.appliance.formats import Format
from client.appliance.objects import Objects, is_digest
from client.appliance.own_images import Form, OwnFile, OwnImage, OwnImages, read_own_image
from client.appliance.transfers import RunWorker
from client.appliance.verify import verify_file
from client.appliance.worker import OnProgress, run_worker

_LOCK: Final = ".lock"


async def import_image(
    images: OwnImages,
    path: Path,
    name: str = "",
    *,
    trust_unsigned: bool = False,
    on_progress: OnProgress = lambda said: None,
    run: RunWorker = run_worker,
) -> OwnImage:
    """Copy an image into the store. The user's file stays as it is, and is not linked to.

    Args:
        name: what commands will call it; empty: made of the file's name.
        trust_unsigned: take a package that nobody has signed.

    Raises:
        ClientError: see `client.appliance.intake`; nothing is left.
    """
    free, origin = images.free_name(name, path), str(images.origin(path))
    with _alone(images.folder):
        order = {"path": origin, "folder": str(images.folder), "trust_unsigned": trust_unsigned}
        said = await run("import", order, on_progress=on_progress)
        facts = {**said, "origin": origin, "added_at": datetime.now(UTC).isoformat(timespec="seconds")}
        image = read_own_image(facts, free)
        # No other file system is asked: this is short, and is not to be broken off in the middle.
        _keep(images, image, [(Path(one["part"]), one["sha256"], one["format"]) for one in said["files"]])
        return image


async def ready_file(
    images: OwnImages,
    image: OwnImage,
    file: OwnFile,
    wanted: Sequence[Format],
    tools: Mapping[str, str],
    *,
    needed: Set[str] = frozenset(),
    on_progress: OnProgress = lambda said: None,
    run: RunWorker = run_worker,
) -> Path:
    """A disk of an image in a form that can be used, converted now if it has none; that is kept for the next time.

    Args:
        wanted: forms that can be used, the one to convert to first. A CD stays what it is.
        tools: programs that are here, see `client.appliance.convert`.
        needed: SHA-256 of the files that VMs lie over: another that is made anew could have other bytes.

    Raises:
        NoConverter, ConversionFailed, DiskFull: nothing is left.
        ApplianceAltered, ImageDamaged: the image in the store is damaged or gone, or a form of it that a VM needs.
    """
    if file.format is Format.ISO:
        wanted = (Format.ISO,)
    form = file.form(wanted)
    own = Form(file.format, file.sha256, file.size_bytes)
    if form is not None and images.objects.has(form.sha256, form.size_bytes):
        if not await _bad(images, (form,), run):
            return images.place(form)
        if form == own or form.sha256 in needed:
            raise ImageDamaged(image.name, str(images.place(form)), image.origin)
        images.objects.set_aside(form.sha256)
    if not images.objects.has(own.sha256, own.size_bytes):
        raise ImageDamaged(image.name, str(images.place(own)), image.origin)
    with _alone(images.folder):
        part = images.folder / f"{own.sha256[:16]}{filenames.PART_SUFFIX}"
        order = {
            "path": str(images.place(own)),
            "sha256": file.sha256,
            "format": file.format.value,
            "virtual_bytes": file.virtual_bytes,
            "wanted": wanted[0].value,
            "part": str(part),
            "tools": dict(tools),
        }
        said = await run("convert", order, on_progress=on_progress)
        made = Form(wanted[0], str(said["sha256"]), int(said["size_bytes"]))
        images.with_form(image, file, made)
        _take_in(images.objects, part, made.sha256, made.format)
        return images.place(made)


async def verify_image(
    images: OwnImages, image: OwnImage, *, needed: Set[str] = frozenset(), run: RunWorker = run_worker
) -> frozenset[str]:
    """Read all files of an image again. Another form of a disk that is damaged goes, and is made anew when needed.

    Args:
        needed: SHA-256 of the files that VMs lie over: another that is made anew could have other bytes.

    Returns:
        SHA-256 of the files that are right.

    Raises:
        ImageDamaged: a file that came in is damaged or gone, or one that a VM needs; it cannot be fetched again.
    """
    came = [Form(one.format, one.sha256, one.size_bytes) for one in image.files]
    made = [form for one in image.files for form in one.forms if images.objects.has(form.sha256, form.size_bytes)]
    gone = [form for form in came if not images.objects.has(form.sha256, form.size_bytes)]
    bad = await _bad(images, [form for form in (*came, *made) if form not in gone], run)
    for form in made:
        if form.sha256 in bad - needed:
            images.objects.remove(form.sha256)
    hopeless = [form for form in (*came, *made) if form in gone or form.sha256 in bad & (needed | {*_digests(came)})]
    if hopeless:
        raise ImageDamaged(image.name, str(images.place(hopeless[0])), image.origin)
    return _digests((*came, *made)) - bad


async def verify_place(place: Path, image: str) -> None:
    """Read the file again that a virtual machine is to boot from for the first time.

    Args:
        place: in the store; what lies elsewhere has no hash that is known.
        image: what it is a file of, for the error.

    Raises:
        ImageDamaged
    """
    sha256, is_wanted = place.parent.name, True

    def seen(_: int) -> None:
        if not is_wanted:
            raise ApplianceMissing(str(place))  # ends the thread; nobody hears it

    if not is_digest(sha256):
        return
    try:
        size = (await asyncio.to_thread(place.stat)).st_size
        await asyncio.to_thread(verify_file, place, size, sha256, seen)
    except (ApplianceError, FileNotFoundError) as error:
        raise ImageDamaged(image, str(place), "its file") from error
    finally:
        is_wanted = False


async def _bad(images: OwnImages, forms: Sequence[Form], run: RunWorker) -> frozenset[str]:
    """Which of these files have other bytes than they should."""
    said = await run("verify", {"files": [_check_order(images, one) for one in forms]})
    return frozenset(map(str, said.get("bad", ())))


def _digests(forms: Sequence[Form]) -> frozenset[str]:
    return frozenset(form.sha256 for form in forms)


def _check_order(images: OwnImages, form: Form) -> dict[str, Any]:
    target = {"name": form.sha256, "size_bytes": form.size_bytes, "sha256": form.sha256}
    return {"path": str(images.place(form)), "target": target}


def _keep(images: OwnImages, image: OwnImage, parts: Sequence[tuple[Path, str, str]]) -> None:
    # First it is noted that the files are needed; else a client that tidies up this moment would remove them.
    images.write(image)
    try:
        for part, sha256, format in parts:
            _take_in(images.objects, part, sha256, Format(format))
    except OSError:
        images.remove(image, {})
        raise


def _take_in(objects: Objects, part: Path, sha256: str, format: Format) -> None:
    objects.take_in(part, sha256, f"disk.{format.value}")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else grows files there meanwhile; what somebody left who ended suddenly goes, and what is left now."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ImportBusy(str(folder)) from None
    try:
        _clear(folder)
        yield
    finally:
        _clear(folder)
        lock.release()


def _clear(folder: Path) -> None:
    for part in folder.glob(f"*{filenames.PART_SUFFIX}"):
        part.unlink(missing_ok=True)
