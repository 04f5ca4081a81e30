"""VirtualBox's books: which machines and media it believes in, and having it forget those of ours that are no more."""

from collections.abc import Set
from pathlib import Path

from client import log
from client.errors import ClientError
from client.hypervisor.errors import HypervisorError
from client.hypervisor.virtualbox.installation import Manage
from client.hypervisor.virtualbox.parse import INACCESSIBLE, ListedMedium, parse_info, parse_media, parse_vms
from client.hypervisor.virtualbox.problems import ObjectNotFound

_log = log.logger("hypervisor")


class Books:
    """What VirtualBox has written down.

    Everything here touches only what lies below a folder of ours, or a UUID that we chose.
    """

    def __init__(self, manage: Manage) -> None:
        self._manage = manage

    async def close_media(self, below: Path, *, unused_only: bool = False, shared: Set[str] = frozenset()) -> set[str]:
        """Have VirtualBox forget the disks and CDs whose files lie below a folder, layers before their bases.

        Args:
            unused_only: leave those that a VM has attached, and remove the files of the others.
            shared: further files, which are forgotten only if no VM has them; they stay where they are.

        Returns:
            The files below the folder that VirtualBox still has.
        """
        kept: set[str] = set()
        for kind, listing in (("disk", "hdds"), ("dvd", "dvds")):
            listed = await self._media(listing)
            ours = [one for one in listed if is_below(Path(one.path), below)]
            kept |= {one.path for one in ours}
            media = [one for one in ours if not (unused_only and one.usages)]
            media += [one for one in listed if one.path in shared and not one.usages and one not in media]
            for medium in _layers_first(media):
                is_layer = kind == "disk" and bool(medium.parent)
                if await self._close(kind, medium.uuid, delete=unused_only and is_layer):
                    kept.discard(medium.path)
        return kept

    async def close_cds(self, paths: Set[str]) -> None:
        """Have VirtualBox forget CDs by their files, which stay where they are; one that a VM has is kept."""
        for path in sorted(paths):
            await self._close("dvd", path)

    async def close_lost_media(self, below: Path) -> None:
        """Have VirtualBox forget disks and CDs of VMs whose folder is gone from below a folder."""
        for kind, listing in (("disk", "hdds"), ("dvd", "dvds")):
            media = [one for one in await self._media(listing) if is_below(Path(one.path), below) and not one.usages]
            for medium in _layers_first([one for one in media if not _exists(one)]):
                await self._close(kind, medium.uuid)

    async def close_medium(self, path: Path) -> bool:
        """Have VirtualBox forget one disk; returns whether it has."""
        for medium in await self._media("hdds"):
            if Path(medium.path) == path:
                return await self._close("disk", medium.uuid)
        return True

    async def named_like_ours(self) -> list[str]:
        """UUIDs of machines with names like ours, or whose settings VirtualBox cannot read."""
        said = parse_vms(await self._manage.read("list", "vms"))
        return [vm.uuid for vm in said if vm.name == INACCESSIBLE or vm.name.startswith("vc-")]

    async def lies_below(self, uuid: str, folder: Path) -> bool:
        """Whether a machine's settings file lies, or lay, below a folder."""
        settings = await self._settings_of(uuid)
        return settings is not None and is_below(settings, folder)

    async def has(self, uuid: str) -> bool:
        """Whether VirtualBox has a machine of that UUID."""
        return any(vm.uuid == uuid for vm in parse_vms(await self._manage.read("list", "vms")))

    async def forget(self, uuid: str) -> None:
        """Have VirtualBox forget a machine; one that runs is powered off before."""
        try:
            await self._manage.change("controlvm", uuid, "poweroff")
        except HypervisorError:
            _log.debug("%s did not run", uuid)
        try:
            await self._manage.change("unregistervm", uuid)
        except ObjectNotFound:
            return

    async def _settings_of(self, uuid: str) -> Path | None:
        try:
            info = parse_info(await self._manage.read("showvminfo", uuid, "--machinereadable"))
        except ClientError:
            return None
        path = info.get("CfgFile", "")
        return Path(path) if path else None

    async def _media(self, listing: str) -> tuple[ListedMedium, ...]:
        return parse_media(await self._manage.read("list", listing, "-l"))

    async def _close(self, kind: str, medium: str, *, delete: bool = False) -> bool:
        try:
            await self._manage.change("closemedium", kind, medium, *(("--delete",) if delete else ()))
        except ObjectNotFound:
            return True
        except HypervisorError as error:
            # It stays in the list until the next time; nothing else depends on it.
            _log.info("VirtualBox keeps a medium: %s", error)
            return False
        return True


def is_below(path: Path, folder: Path) -> bool:
    """Whether a file lies inside a folder, links and letters' case aside."""
    return path.is_relative_to(folder) or path.resolve().is_relative_to(folder.resolve())


def _exists(medium: ListedMedium) -> bool:
    return Path(medium.path).exists()


def _layers_first(media: list[ListedMedium]) -> list[ListedMedium]:
    parents = {one.uuid: one.parent for one in media}

    def depth(uuid: str) -> int:
        count = 0
        while (uuid := parents.get(uuid, "")) and count < len(parents):
            count += 1
        return count

    return sorted(media, key=lambda one: -depth(one.uuid))
