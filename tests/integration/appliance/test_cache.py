"""The way of an appliance: real catalogue, real HTTP server, real worker processes, a store on disk."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from unittest import mock

import psutil
import pytest

from client.appliance import fault
from client.appliance.choice import Wish
from client.appliance.errors import (
    ApplianceError,
    CatalogUnreachable,
    ClientTooOld,
    DownloadFailed,
    NeedsNotMet,
    NotInCatalog,
    StoreTooSmall,
)
from client.appliance.needs import Offer
from client.appliance.publish.accept import take_over
from client.appliance.target import PIECE_BYTES
from client.appliance.transfers import BY_USER
from client.appliance.upkeep import Faces, Upkeep
from client.appliance.xdelta import make_patch
from client.errors import DiskFull
from client.snapshot import StoreView
from tests.helpers.appliances import CONTENT, Operator, Volunteer, write_appliance
from tests.helpers.clock import FakeClock

pytestmark = pytest.mark.integration
SIZE = sum(map(len, CONTENT.values()))
#: what one connection has on its way when it is cut, on the loopback device
IN_FLIGHT = 8 << 20


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    async with Operator(tmp_path / "operator").serving() as one:
        yield one


@pytest.fixture
def published(operator: Operator) -> Operator:
    operator.publish()
    return operator


@pytest.fixture
def volunteer(published: Operator, tmp_path: Path) -> Volunteer:
    return Volunteer(tmp_path / "client", published.wish)


def changed(name: str, at: int) -> dict[str, bytes]:
    data = bytearray(CONTENT[name])
    data[at] ^= 0xFF
    return {**CONTENT, name: bytes(data)}


def upkeep_of(volunteer: Volunteer, told: list[object]) -> Upkeep:
    def failed(about: str, error: Exception | None) -> None:
        if error is not None:
            told.append(error)

    faces = Faces(volunteer.shown.append, lambda views, size: told.append(views), failed)
    return Upkeep(volunteer.store, volunteer.transfers, volunteer.cache, faces)


async def test_out_of_the_catalogue_into_the_store(volunteer: Volunteer, published: Operator) -> None:
    assert not volunteer.cache.is_ready()
    await volunteer.fetch()
    assert volunteer.cache.is_ready()
    assert await volunteer.verified() == "1.0"
    assert volunteer.is_right()
    assert not any(volunteer.place(name).stat().st_mode & 0o222 for name in CONTENT)
    assert volunteer.parts() == []
    assert sum(published.sent_of(name) for name in CONTENT) == SIZE
    shown = [view for view in volunteer.shown if view is not None]
    assert shown[0].total_bytes == SIZE
    assert shown[-1].done_bytes == shown[-1].total_bytes


async def test_a_restart_needs_no_network(volunteer: Volunteer, published: Operator) -> None:
    await volunteer.fetch()
    published.is_down = True
    volunteer.open()
    assert volunteer.cache.is_ready()
    assert await volunteer.verified() == "1.0"
    with pytest.raises(CatalogUnreachable):
        await volunteer.cache.renew(volunteer.shown.append)
    assert await volunteer.verified() == "1.0"


async def test_by_its_manifest_alone(published: Operator, tmp_path: Path) -> None:
    id = published.publish("1.1")
    folder = published.shop.folder.public
    for path in (published.base / "built" / "1.1").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    volunteer = Volunteer(tmp_path / "client", Wish(f"{published.url}manifest.json", id))
    await volunteer.fetch()
    assert await volunteer.verified() == "1.1"
    assert not await volunteer.cache.renew(volunteer.shown.append)


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        ({"memory_mib": 4096}, "guest.memory_mib is 1024"),
        ({"memory_mib": 1 << 20}, "this computer has 8192 MiB"),
        ({"cpus": 3}, "guest.cpus is 1"),
        ({"disk_mib": 90000}, "may grow to 90000 MiB"),
        ({"network": "open"}, "network.internet is off"),
    ],
)
async def test_what_cannot_run_here_is_not_fetched(
    operator: Operator, tmp_path: Path, needs: dict[str, object], words: str
) -> None:
    operator.publish(needs=needs)
    offer = Offer(memory_mib=1024, cpus=1, total_memory_mib=8192, total_cpus=4, free_disk_mib=10000)
    volunteer = Volunteer(tmp_path / "client", operator.wish, offer=offer)
    with pytest.raises(NeedsNotMet) as refused:
        await volunteer.fetch()
    assert words in refused.value.what
    assert sum(operator.sent_of(name) for name in CONTENT) == 0


async def test_a_version_for_newer_clients_is_left_for_one_that_runs(operator: Operator, tmp_path: Path) -> None:
    operator.publish("2.0", min_client="99.0")
    volunteer = Volunteer(tmp_path / "client", operator.wish)
    with pytest.raises(ClientTooOld):
        await volunteer.fetch()
    operator.publish("1.0")
    await volunteer.fetch()
    assert await volunteer.verified() == "1.0"


async def test_what_is_not_there_and_what_is_too_big_is_said(published: Operator, tmp_path: Path) -> None:
    other = Wish(catalogue_url=published.url, root_sha256=published.shop.root_sha256, name="other")
    with pytest.raises(NotInCatalog):
        await Volunteer(tmp_path / "one", other).fetch()
    small = Volunteer(tmp_path / "two", published.wish, limit_bytes=SIZE - 1)
    with pytest.raises(StoreTooSmall):
        await small.fetch()
    assert sum(published.sent_of(name) for name in CONTENT) == 0


async def test_one_exact_manifest_can_be_asked_for(published: Operator, tmp_path: Path) -> None:
    old = published.publish("0.9")
    wish = published.wish
    exact = Wish("", old, wish.catalogue_url, wish.root_sha256, wish.name)
    volunteer = Volunteer(tmp_path / "client", exact)
    await volunteer.fetch()
    assert await volunteer.verified() == "0.9"
    unknown = Volunteer(tmp_path / "other", Wish("", "0" * 64, wish.catalogue_url, wish.root_sha256, wish.name))
    with pytest.raises(NotInCatalog):
        await unknown.fetch()


@pytest.mark.parametrize("harm", ["two pieces", "cut", "grown", "gone", "manifest"])
async def test_damage_is_noticed_and_only_bad_pieces_are_fetched(
    volunteer: Volunteer, published: Operator, harm: str
) -> None:
    await volunteer.fetch()
    published.sent.clear()
    victim = volunteer.place("root.squashfs")
    match harm:
        case "two pieces":
            volunteer.harm("root.squashfs", 10, 3 * PIECE_BYTES + 5)
        case "cut":
            victim.chmod(0o600)
            os.truncate(victim, 4 * PIECE_BYTES + 7)
        case "grown":
            victim.chmod(0o600)
            victim.write_bytes(CONTENT["root.squashfs"] + b"more")
        case "gone":
            victim.unlink()
        case "manifest":
            manifest = volunteer.store.objects.place(volunteer.cache.current, "")
            manifest.chmod(0o600)
            manifest.write_bytes(manifest.read_bytes().replace(b"thin", b"thim"))
    with pytest.raises(ApplianceError):
        await volunteer.verified()
    assert not volunteer.cache.is_ready()
    await volunteer.fetch()
    assert await volunteer.verified() == "1.0"
    assert volunteer.is_right()
    assert volunteer.parts() == []
    length = len(CONTENT["root.squashfs"])
    costs = {"two pieces": 2 * PIECE_BYTES, "cut": length - 4 * PIECE_BYTES, "grown": 0, "gone": length, "manifest": 0}
    assert published.sent_of("root.squashfs") == costs[harm]


async def test_a_damaged_file_is_mended_by_pieces_again_after_a_kill(volunteer: Volunteer, published: Operator) -> None:
    await volunteer.fetch()
    volunteer.harm("root.squashfs", 1, 2 * PIECE_BYTES, 4 * PIECE_BYTES)
    with pytest.raises(ApplianceError):
        await volunteer.verified()
    published.sent.clear()
    published.rate_bytes_per_s = 16 << 20
    mending = asyncio.create_task(volunteer.fetch())
    while published.sent_of("root.squashfs") < PIECE_BYTES * 1.5:
        await asyncio.sleep(0.01)
    (worker,) = [one for one in psutil.Process().children() if "files" in one.cmdline()]
    worker.kill()
    with pytest.raises(ApplianceError):
        await mending
    published.rate_bytes_per_s = 0
    await volunteer.fetch()
    assert volunteer.is_right()
    assert published.sent_of("root.squashfs") <= 5 * PIECE_BYTES


async def test_a_newer_version_waits_for_a_fresh_boot_and_the_old_one_goes(
    volunteer: Volunteer, published: Operator
) -> None:
    await volunteer.fetch()
    await volunteer.verified()
    volunteer.define_vm()
    old, new_content = volunteer.cache.current, changed("root.squashfs", 1000)
    await asyncio.to_thread(published.publish, "1.1", new_content, make_patch)
    published.sent.clear()
    assert await volunteer.cache.renew(volunteer.shown.append)
    # A few bytes of a patch, and nothing of what both have.
    assert sum(published.sent_of(name) for name in CONTENT) == 0
    assert 0 < sum(count for path, count in published.sent.items() if path.endswith(".xdelta")) < 10000
    assert volunteer.cache.current == old
    assert await volunteer.verified(old) == "1.0"
    volunteer.store.tidy()
    assert volunteer.cache.is_ready(old)
    assert await volunteer.verified() == "1.1"
    assert volunteer.is_right(new_content)
    volunteer.store.tidy()
    assert volunteer.cache.is_ready(old), "the VM is defined over it still"
    volunteer.define_vm()
    assert volunteer.store.tidy() >= len(CONTENT["root.squashfs"])
    assert not volunteer.cache.knows(old)
    assert volunteer.is_right(new_content)


async def test_what_a_saved_guest_needs_is_mended_or_given_up_if_it_is_gone_for_good(
    volunteer: Volunteer, published: Operator
) -> None:
    await volunteer.fetch()
    volunteer.define_vm()
    old, victim = volunteer.cache.current, volunteer.place("root.squashfs")
    published.publish("1.1", changed("root.squashfs", 5))
    await volunteer.cache.renew(volunteer.shown.append)
    assert await volunteer.verified() == "1.1"
    victim.unlink()
    assert not volunteer.cache.is_ready(old)
    await volunteer.fetch(old)
    assert await volunteer.verified(old) == "1.0"
    assert volunteer.cache.current != old
    victim.unlink()
    project = published.shop.project("demo")
    project.remove("thin", "1.0")
    take_over(published.shop.catalogue, project)
    for path in published.shop.folder.targets.rglob("*.root.squashfs"):
        path.unlink()
    with pytest.raises(DownloadFailed):
        await volunteer.fetch(old)
    assert not volunteer.cache.knows(old)
    assert await volunteer.verified() == "1.1"


async def test_fetching_goes_before_renewing(volunteer: Volunteer, published: Operator) -> None:
    await volunteer.fetch()
    published.publish("1.1", changed("root.squashfs", 1))
    published.rate_bytes_per_s = 1 << 20
    published.sent.clear()
    renewing = asyncio.create_task(volunteer.cache.renew(volunteer.shown.append))
    while not published.sent_of("root.squashfs"):
        await asyncio.sleep(0.01)
    published.rate_bytes_per_s = 0
    await volunteer.fetch()
    assert not await renewing
    assert await volunteer.verified() == "1.1"


async def test_the_user_holds_it_and_lets_it_go_on(volunteer: Volunteer, published: Operator) -> None:
    published.rate_bytes_per_s = 8 << 20
    fetching = asyncio.create_task(volunteer.fetch())
    while not published.sent_of("vmlinux"):
        await asyncio.sleep(0.01)
    volunteer.transfers.hold(BY_USER)
    shown = [view for view in volunteer.shown if view is not None]
    assert shown[-1].held is not None
    assert shown[-1].held.code == "fetching-held"
    sent = -1
    while sent != sum(published.sent.values()):
        sent = sum(published.sent.values())
        await asyncio.sleep(0.5)
    assert not fetching.done()
    published.rate_bytes_per_s = 0
    volunteer.transfers.go_on(BY_USER)
    await fetching
    assert volunteer.is_right()


async def test_clients_that_are_killed_lose_little(published: Operator, tmp_path: Path) -> None:
    """SIGKILL of the client itself, at random moments; its workers end by themselves."""
    published.rate_bytes_per_s = 24 << 20
    base, wish = tmp_path / "client", published.wish
    code = f"""
import asyncio
from pathlib import Path
from client.appliance.choice import Wish
from tests.helpers.appliances import Volunteer
asyncio.run(Volunteer(Path({str(base)!r}), {wish!r}).fetch())
"""
    kills = 0
    for wait_s in (0.9, 1.3, 1.7, 1.1):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, start_new_session=True)
        await asyncio.sleep(wait_s)
        if process.returncode is None:
            process.kill()
            kills += 1
        await process.wait()
    published.rate_bytes_per_s = 0
    volunteer = Volunteer(base, wish)
    await volunteer.fetch()
    assert await volunteer.verified() == "1.0"
    assert volunteer.is_right()
    assert sum(published.sent_of(name) for name in CONTENT) <= SIZE + kills * IN_FLIGHT
    volunteer.store.tidy()
    assert volunteer.parts() == []


async def test_two_that_want_the_same_share_one_copy(volunteer: Volunteer, published: Operator) -> None:
    await volunteer.fetch()
    published.sent.clear()
    second = Volunteer(volunteer.base, volunteer.wish)
    await second.fetch()
    assert sum(published.sent_of(name) for name in CONTENT) == 0
    assert second.place("vmlinux") == volunteer.place("vmlinux")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


async def test_a_disk_without_room_is_said_before_anything_is_fetched(published: Operator, small_disk: Path) -> None:
    with pytest.raises(DiskFull):
        await Volunteer(small_disk, published.wish).fetch()
    assert sum(published.sent_of(name) for name in CONTENT) == 0


async def test_a_disk_that_fills_up_keeps_what_is_whole(published: Operator, small_disk: Path) -> None:
    volunteer = Volunteer(small_disk, published.wish)
    with mock.patch.object(fault, "SPARE_BYTES", -(1 << 40)), pytest.raises((DiskFull, ApplianceError)):
        # The worker looks for itself, and knows nothing of the patched spare space.
        await volunteer.fetch()
    assert not volunteer.cache.is_ready()
    assert all(path.stat().st_size for path in (small_disk / "appliances" / "objects").rglob("*.*") if path.is_file())


async def test_the_monthly_check_mends_what_it_finds(volunteer: Volunteer, published: Operator) -> None:
    clock = FakeClock()
    volunteer.clock = clock
    volunteer.open()
    await volunteer.fetch()
    told: list[object] = []
    upkeep = upkeep_of(volunteer, told)
    await upkeep.round()
    assert volunteer.shown[-1] is None
    seen = len(volunteer.shown)
    await upkeep.round()
    assert len(volunteer.shown) == seen, "nothing is due"
    clock.advance(31 * 86400)
    volunteer.harm("root.squashfs", PIECE_BYTES)
    published.sent.clear()
    with mock.patch.object(volunteer.cache, "is_look_due", lambda interval_s: False):
        await upkeep.round()
    assert published.sent_of("root.squashfs") == PIECE_BYTES
    assert volunteer.is_right()
    views = told[-1]
    assert isinstance(views, tuple)
    assert isinstance(views[0], StoreView)
    assert views[0].needed_by == ("the project Demo",)
    assert views[0].is_whole
    assert not [one for one in told if isinstance(one, Exception)]


async def test_what_an_older_client_kept_is_taken_over(published: Operator, tmp_path: Path) -> None:
    id = published.publish("1.1")
    base = tmp_path / "client"
    old = base / "appliances" / id[:16]
    write_appliance(old, "1.1")
    vm = base / "vms" / "work-1"
    vm.mkdir(parents=True)
    (vm / "spec.json").write_text(f'{{"media": [{{"path": "{old}/root.squashfs"}}]}}')
    volunteer = Volunteer(base, Wish("http://127.0.0.1:9/manifest.json", id))
    await volunteer.fetch()
    assert await volunteer.verified() == "1.1"
    told: list[object] = []
    upkeep = upkeep_of(volunteer, told)
    await upkeep.tidy()
    assert old.exists(), "a VM lies over it"
    volunteer.define_vm()
    await upkeep.tidy()
    assert not old.exists()
    assert volunteer.is_right()
