"""Appliances on this computer: one folder for each manifest, every file of it verified before it is used.

<folder>/<first 16 digits of the manifest's sha256>/manifest.json and the appliance's files
"""

import asyncio
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

from client import filenames
from client.appliance.download import Cancelled, download, fetch_small, need_space
from client.appliance.errors import ApplianceError, BadManifest, DownloadFailed
from client.appliance.manifest import Appliance, ApplianceFile, parse_manifest
from client.appliance.verify import verify_file
from client.log import logger
from client.paths import write_atomic
from client.snapshot import TransferView

MANIFEST_LIMIT_BYTES: Final = 1 << 20
#: read after a verb: "Downloading the appliance"
SHOWN_NAME: Final = "the appliance"

ShowTransfer = Callable[[TransferView | None], None]


class ApplianceCache:
    """The folder of appliances. What is in it is not trusted until `verified` has hashed it."""

    def __init__(self, folder: Path, *, direct: bool) -> None:
        """Args: direct: whether the hypervisor boots kernel files; else the ISO is what is needed."""
        self._folder = folder
        self._direct = direct

    def place(self, sha256: str, name: str) -> Path:
        """Where a file of the appliance with that manifest lies."""
        return self._folder / sha256[:16] / name

    def is_ready(self, sha256: str) -> bool:
        """Whether all files that are needed are there with the right length; cheap, asked often."""
        try:
            appliance = self._appliance(sha256)
            return all(
                self.place(sha256, file.name).stat().st_size == file.size_bytes for file in self._needed(appliance)
            )
        except (OSError, ApplianceError):
            return False

    async def fetch(self, url: str, sha256: str, show: ShowTransfer) -> None:
        """Fetch what is missing or damaged. Cancelling it leaves whole files only.

        Args:
            url, sha256: of the manifest.
            show: told how far it is, at most every 0.2 s; None at the end.

        Raises:
            DownloadFailed, ApplianceTruncated, ApplianceAltered, BadManifest, DiskFull
        """
        cancelled = False
        work = asyncio.create_task(
            asyncio.to_thread(self._fetch, url, sha256, _in_loop(show), lambda: cancelled),
        )
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            cancelled = True
            await asyncio.gather(work, return_exceptions=True)
            raise
        finally:
            show(None)

    async def verified(self, sha256: str, show: ShowTransfer) -> Appliance:
        """The appliance, every needed byte of it hashed just now. A damaged file is removed, to be fetched again.

        Raises:
            ApplianceMissing, ApplianceTruncated, ApplianceAltered, BadManifest
        """
        try:
            return await asyncio.to_thread(self._verify, sha256, _in_loop(show))
        finally:
            show(None)

    def _appliance(self, sha256: str) -> Appliance:
        path = self.place(sha256, filenames.MANIFEST)
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise BadManifest(str(path), "it is not the one that the project names")
        return parse_manifest(content, str(path))

    def _verify(self, sha256: str, show: Callable[[TransferView], None]) -> Appliance:
        appliance = self._appliance(sha256)
        needed = self._needed(appliance)
        meter = Meter(SHOWN_NAME, "verifying", sum(file.size_bytes for file in needed), show)
        for file in needed:
            path = self.place(sha256, file.name)
            try:
                verify_file(path, file.size_bytes, file.sha256, meter.add)
            except ApplianceError:
                path.unlink(missing_ok=True)
                raise
        return appliance

    def _fetch(
        self, url: str, sha256: str, show: Callable[[TransferView], None], is_cancelled: Callable[[], bool]
    ) -> None:
        content = fetch_small(url, MANIFEST_LIMIT_BYTES)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise BadManifest(url, "it is not the one that the project file names")
        appliance = parse_manifest(content, url)
        folder = self.place(sha256, filenames.MANIFEST).parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        missing = [file for file in self._needed(appliance) if not self._is_whole(file, sha256)]
        total = sum(file.size_bytes for file in missing)
        need_space(folder, total)
        meter = Meter(SHOWN_NAME, "downloading", total, show)
        for file in missing:
            logger("appliance").info("Fetching %s (%.1f MB)", file.name, file.size_bytes / 1e6)
            target = folder / file.name
            try:
                download(urljoin(url, file.name), target, file.size_bytes, file.sha256, meter.add, is_cancelled)
            except Cancelled as error:
                raise DownloadFailed(url, "called off") from error
        write_atomic(folder / filenames.MANIFEST, content)

    def _needed(self, appliance: Appliance) -> tuple[ApplianceFile, ...]:
        return tuple(appliance.files[name] for name in appliance.needed(self._direct))

    def _is_whole(self, file: ApplianceFile, sha256: str) -> bool:
        try:
            verify_file(self.place(sha256, file.name), file.size_bytes, file.sha256)
        except ApplianceError:
            return False
        return True


class Meter:
    """Counts bytes and shows how far it is. Used from one worker thread."""

    INTERVAL_S: Final = 0.2

    def __init__(self, name: str, step: str, total_bytes: int, show: Callable[[TransferView], None]) -> None:
        self._name = name
        self._step = step
        self._total = total_bytes
        self._show = show
        self._began = self._shown = time.monotonic()
        self._done = 0

    def add(self, count: int) -> None:
        """So many bytes more."""
        self._done += count
        now = time.monotonic()
        if now - self._shown < self.INTERVAL_S and self._done < self._total:
            return
        self._shown = now
        rate = self._done / max(now - self._began, 1e-3)
        left = (self._total - self._done) / rate if rate else None
        self._show(TransferView(self._name, self._step, self._done, self._total, rate, left))


def _in_loop(show: ShowTransfer) -> Callable[[TransferView], None]:
    loop = asyncio.get_running_loop()
    return lambda view: (loop.call_soon_threadsafe(show, view), None)[1]
