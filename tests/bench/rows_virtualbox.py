"""VirtualBox: each verb against bare calls of VBoxManage, the way back from a saved state, what a running VM costs."""

import asyncio
import time
from asyncio import StreamReader
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator

from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from tests.bench.harness import Row, against, at_most, bench, plain
from tests.bench.virtualbox import Bare, NotHere, Site, installed, open_site

ROUNDS, RESTORES = 11, 7
VM_ID, KEEPER = "bench", "keeper"
PEER = "VBoxManage alone"
#: the core asks so often
ASK_EVERY_S = 1.0
IDLE_S, SLICES = 60, 2
ANSWER_LIMIT_S = 60.0

Times = dict[str, list[float]]


@bench("virtualbox verbs")
def verbs() -> Iterator[Row]:
    site = _site()
    if site is None:
        return
    ours, bare, calls = asyncio.run(_verbs(site))
    for verb, times in ours.items():
        peer, factor = (f"{PEER}, {calls} calls", 1.0) if verb == "define" else (PEER, 1.15)
        yield against(f"virtualbox: {verb}", times, "s", peer, bare[verb], factor)


@bench("virtualbox restore")
def restore() -> Iterator[Row]:
    site = _site()
    if site is None:
        return
    ours, bare = asyncio.run(_restores(site))
    yield plain(
        "virtualbox: restore to the guest's word", ours, "s", peer=PEER, peer_value=sorted(bare)[len(bare) // 2]
    )


@bench("virtualbox idle")
def idle() -> Iterator[Row]:
    site = _site()
    if site is None:
        return
    calls, percents = asyncio.run(_idle(site))
    yield at_most("virtualbox: calls a minute while a VM runs", calls, "calls", 2)
    yield at_most("virtualbox: own CPU while a VM runs", percents, "% core", 0.3)


def _site() -> Site | None:
    try:
        return open_site()
    except NotHere as reason:
        print(f"virtualbox: NOT MEASURED: {reason}", flush=True)
        return None


async def _timed(times: Times, verb: str, deed: Callable[[], Awaitable[object]]) -> None:
    begun = time.perf_counter()
    await deed()
    times[verb].append(time.perf_counter() - begun)


async def _verbs(site: Site) -> tuple[Times, Times, int]:
    """Rounds of all verbs, the one way and the other in turn. A second VM keeps the base disk that all VMs share."""
    driver = site.driver()
    await driver.define(site.spec_of(KEEPER))
    ours: Times = defaultdict(list)
    bare: Times = defaultdict(list)
    calls = 0
    try:
        for number in range(ROUNDS):
            if number % 2:
                calls = await _bare_round(site, driver, bare)
            await _our_round(site, driver, ours)
            if not number % 2:
                calls = await _bare_round(site, driver, bare)
    finally:
        await driver.destroy(VM_ID)
        await driver.destroy(KEEPER)
        await driver.close()
    return ours, bare, calls


async def _our_round(site: Site, driver: VirtualBoxDriver, times: Times) -> None:
    """The core has asked for the state since the last verb, as it does each second."""
    points = driver.snapshots
    assert points is not None

    async def take(verb: str, deed: Callable[[], Awaitable[object]]) -> None:
        await driver.info(VM_ID)
        await _timed(times, verb, deed)

    await take("define", lambda: driver.define(site.spec_of(VM_ID)))
    folder = site.record_of(VM_ID)
    site.adopt(folder.record().uuid, folder.machine_folder)
    await take("start from a saved state", lambda: driver.start(VM_ID))
    await take("pause", lambda: driver.pause(VM_ID))
    await take("resume", lambda: driver.resume(VM_ID))
    await take("save", lambda: driver.save(VM_ID))
    await driver.start(VM_ID)
    # It is done by a new start, for VirtualBox may not do it.
    await take("reset of a restored VM", lambda: driver.reset(VM_ID))
    await take("reset", lambda: driver.reset(VM_ID))
    await take("power off", lambda: driver.power_off(VM_ID))
    await take("snapshot take", lambda: points.take(VM_ID, "point"))
    await take("snapshot restore", lambda: points.restore(VM_ID, "point"))
    await take("snapshot delete", lambda: points.delete(VM_ID, "point"))
    await take("destroy", lambda: driver.destroy(VM_ID))


async def _bare_round(site: Site, driver: VirtualBoxDriver, times: Times) -> int:
    vm = Bare(site, (await installed(driver))[0], site.record_of(KEEPER))
    calls = 0

    async def take(verb: str, deed: Callable[[], object]) -> None:
        async def do() -> None:
            deed()

        vm.look()
        await _timed(times, verb, do)

    def define() -> None:
        nonlocal calls
        calls = vm.define()

    await take("define", define)
    vm.adopt()
    await take("start from a saved state", vm.start)
    await take("pause", lambda: vm.control("pause"))
    await take("resume", lambda: vm.control("resume"))
    await take("save", lambda: vm.end("savestate"))
    vm.start()
    await take("reset of a restored VM", vm.restart)
    await take("reset", lambda: vm.control("reset"))
    await take("power off", lambda: vm.end("poweroff"))
    await take("snapshot take", lambda: vm.snapshot("take"))
    await take("snapshot restore", lambda: vm.snapshot("restore"))
    await take("snapshot delete", lambda: vm.snapshot("delete"))
    await take("destroy", vm.destroy)
    return calls


async def _restores(site: Site) -> tuple[list[float], list[float]]:
    """From the start of a saved VM to the guest's first word on its link, which it says once a second."""
    driver = site.driver()
    await driver.define(site.spec_of(VM_ID))
    ours, bare = [], []
    try:
        for number in range(RESTORES):
            if number % 2:
                bare.append(await _bare_restore(site, driver))
            ours.append(await _our_restore(site, driver))
            if not number % 2:
                bare.append(await _bare_restore(site, driver))
    finally:
        await driver.destroy(VM_ID)
        await driver.close()
    return ours, bare


async def _our_restore(site: Site, driver: VirtualBoxDriver) -> float:
    folder = site.record_of(VM_ID)
    site.adopt(folder.record().uuid, folder.machine_folder)
    await driver.info(VM_ID)
    begun = time.perf_counter()
    await driver.start(VM_ID)
    reader, _ = await driver.open_link(VM_ID)
    took_s = await _word(reader) - begun
    await driver.power_off(VM_ID)
    return took_s


async def _bare_restore(site: Site, driver: VirtualBoxDriver) -> float:
    vm = Bare(site, (await installed(driver))[0], site.record_of(VM_ID))
    vm.define()
    vm.adopt()
    begun = time.perf_counter()
    vm.start()
    reader, writer = await asyncio.open_unix_connection(str(vm.link))
    took_s = await _word(reader) - begun
    writer.close()
    vm.look()
    vm.end("poweroff")
    vm.destroy()
    return took_s


async def _word(reader: StreamReader) -> float:
    async with asyncio.timeout(ANSWER_LIMIT_S):
        while b"boot " not in await reader.readline():
            pass
    return time.perf_counter()


async def _idle(site: Site) -> tuple[list[float], list[float]]:
    """Calls of VBoxManage in each minute, and the share of a core that this process used, while a VM merely runs."""
    driver = site.driver()
    await driver.define(site.spec_of(VM_ID))
    folder = site.record_of(VM_ID)
    site.adopt(folder.record().uuid, folder.machine_folder)
    calls, percents = [], []
    try:
        await driver.start(VM_ID)
        await _look(driver, 5)
        _, manage = await installed(driver)
        for _ in range(SLICES):
            before, used_s, begun = manage.calls, time.process_time(), time.perf_counter()
            await _look(driver, IDLE_S)
            took_s = time.perf_counter() - begun
            calls.append((manage.calls - before) * 60 / took_s)
            percents.append((time.process_time() - used_s) * 100 / took_s)
    finally:
        await driver.destroy(VM_ID)
        await driver.close()
    return calls, percents


async def _look(driver: VirtualBoxDriver, seconds: float) -> None:
    for _ in range(int(seconds / ASK_EVERY_S)):
        await driver.info(VM_ID)
        await asyncio.sleep(ASK_EVERY_S)
