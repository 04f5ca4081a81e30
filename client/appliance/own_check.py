"""The monthly check of the user's own images: nobody can send them again, so damage is told and not mended."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, Final

from client.appliance.errors import ImageDamaged
from client.appliance.own_images import OwnImage
from client.appliance.own_import import verify_image
from client.appliance.references import needed_by_vms
from client.appliance.store import Store
from client.appliance.target import Target
from client.appliance.transfers import ShowTransfer, Transfers
from client.log import logger

#: what failed, for those who show it
CHECKING_OWN: Final = "check of your images"


class OwnCheck:
    """Reads the own images of one store again, each when it is due."""

    def __init__(self, store: Store, transfers: Transfers, show: ShowTransfer) -> None:
        self._store = store
        self._transfers = transfers
        self._show = show
        #: name -> what was found; it stands until the image is gone or was found right again
        self._damaged: dict[str, ImageDamaged] = {}

    async def run(self, interval_s: float, *, every: bool) -> None:
        """Check what was not checked for so long, or all.

        Raises:
            ImageDamaged: of all that is known to be damaged, the first.
            ClientError, OSError: a check failed.
        """
        for image in await asyncio.to_thread(self._due, interval_s, every):
            await self._check(image)
        there = {image.name for image in await asyncio.to_thread(self._images)}
        self._damaged = {name: error for name, error in self._damaged.items() if name in there}
        if self._damaged:
            raise next(iter(self._damaged.values()))

    async def _check(self, image: OwnImage) -> None:
        logger("appliance").info("Checking your image %s", image.name)
        needed = await asyncio.to_thread(needed_by_vms, self._store.vms)
        try:
            good = await verify_image(self._store.own, image, needed=needed.keys(), run=self._work)
        except ImageDamaged as damaged:
            self._damaged[image.name] = damaged
        else:
            self._damaged.pop(image.name, None)
            self._store.book.checked(good)

    def _work(self, kind: str, order: Mapping[str, Any], **_: Any) -> Awaitable[Mapping[str, Any]]:
        targets = [
            Target(one["target"]["name"], one["target"]["size_bytes"], one["target"]["sha256"])
            for one in order["files"]
        ]
        return self._transfers.work(kind, order, self._show, targets)

    def _due(self, interval_s: float, every: bool) -> list[OwnImage]:
        book = self._store.book
        found = []
        for image in self._images():
            is_old = any(book.is_due(one.sha256, interval_s) for one in image.files)
            if every or (is_old and image.name not in self._damaged):
                found.append(image)
        return found

    def _images(self) -> tuple[OwnImage, ...]:
        try:
            return self._store.own.images()
        except ValueError as error:
            logger("appliance").warning("Your images are not checked, since one of them cannot be read: %s", error)
            return ()
