"""The proxy for guests' files beside the turns of a VM: there when it runs, gone when it does not, found again."""

import asyncio
from pathlib import Path

import pytest

from client.appliance.errors import WorkerFailed
from client.board import Board
from client.cvmfs import GUEST_ADDRESS, LINGER_S, GuestFiles, guest_files
from client.paths import Paths
from client.preferences.store import Preferences
from client.project.definition import Cvmfs, Project, parse_project
from client.snapshot import GuestFilesView, VmState
from tests.helpers.clock import FakeClock
from tests.unit.project.test_definition import GOOD


class FakeProxy:
    """A proxy without a process. ports: those that it gets, in turn; None: it does not start."""

    def __init__(self, *ports: int | None) -> None:
        self.port = 0
        self.facts: dict[str, int] = {}
        self.log: list[str] = []
        self._ports = list(ports)

    async def start(self) -> int:
        if self.port:
            return self.port
        port = self._ports.pop(0) if len(self._ports) > 1 else self._ports[0]
        self.log.append("start")
        await asyncio.sleep(0)
        if port is None:
            raise WorkerFailed("cvmfs-proxy", "no")
        self.port = port
        return port

    async def stop(self) -> None:
        self.log.append("stop")
        self.port = 0

    def set_room(self, most_bytes: int | None) -> None:
        self.log.append(f"room {most_bytes}")


class Table:
    def __init__(self, *ports: int | None) -> None:
        self.proxy = FakeProxy(*ports)
        self.clock = FakeClock()
        self.board = Board(self.clock)
        self.files = GuestFiles(self.proxy, self.board, self.clock, 4096)
        self.led: list[int] = []

    async def turn(self, state: VmState, times: int = 3) -> None:
        for _ in range(times):
            self.files.attend(state, self.lead)
            for _ in range(10):
                await asyncio.sleep(0)

    async def lead(self) -> None:
        self.led.append((await self.files.route()).port)


async def test_a_route_leads_to_a_proxy_that_runs() -> None:
    table = Table(3128)
    route = await table.files.route()
    assert (route.name, route.guest_host, route.guest_port) == ("cvmfs", *GUEST_ADDRESS)
    assert (route.host, route.port, route.limit_bytes_s) == ("127.0.0.1", 3128, None)
    await table.turn(VmState.RUNNING)
    assert (table.proxy.log, table.led) == (["start"], [])


async def test_what_it_keeps_and_saves_is_shown_and_stays_when_it_goes() -> None:
    table = Table(3128)
    await table.turn(VmState.RUNNING)
    assert table.board.snapshot().guest_files is None
    said = {"hits": 3, "misses": 1, "stale": 0, "refused": 0}
    table.proxy.facts = {**said, "served_bytes": 400, "network_bytes": 100, "cached_bytes": 90}
    await table.turn(VmState.SAVED)
    table.clock.advance(LINGER_S + 1)
    await table.turn(VmState.SAVED)
    assert not table.proxy.port
    shown = GuestFilesView(kept_bytes=90, limit_bytes=4096, given_bytes=400, fetched_bytes=100, hits=3, misses=1)
    assert table.board.snapshot().guest_files == shown


async def test_without_a_vm_it_goes_after_a_while() -> None:
    table = Table(3128)
    await table.files.route()
    for state in (VmState.RUNNING, VmState.PAUSED):
        await table.turn(state)
        table.clock.advance(LINGER_S / 2)
    await table.turn(VmState.SAVED)
    assert table.proxy.port
    table.clock.advance(LINGER_S)
    await table.turn(VmState.SAVED)
    assert table.proxy.log == ["start", "stop"]


async def test_one_that_died_comes_back_where_it_was() -> None:
    table = Table(3128)
    await table.files.route()
    table.proxy.port = 0
    await table.turn(VmState.RUNNING)
    assert (table.proxy.log, table.led) == (["start", "start"], [])


async def test_one_that_had_to_move_is_led_to() -> None:
    table = Table(3128, 4000)
    await table.files.route()
    table.proxy.port = 0
    await table.turn(VmState.RUNNING)
    assert table.led == [4000]


async def test_a_vm_that_ran_before_the_client_gets_its_proxy_back() -> None:
    table = Table(5000)
    await table.turn(VmState.RUNNING)
    assert table.led == [5000]


async def test_a_vm_without_such_a_way_is_asked_once() -> None:
    table = Table(5000)

    async def refuse() -> None:
        table.led.append(0)
        raise WorkerFailed("routes", "no such way")

    for _ in range(5):
        table.files.attend(VmState.RUNNING, refuse)
        for _ in range(10):
            await asyncio.sleep(0)
    assert table.led == [0]


async def test_one_that_does_not_start_is_told_and_tried_again_later() -> None:
    table = Table(None, None, 3128)
    await table.turn(VmState.RUNNING)
    assert [problem.code for problem in table.board.problems] == ["worker-failed"]
    assert table.proxy.log == ["start"]
    for _ in range(5):
        table.clock.advance(1)
        await table.turn(VmState.RUNNING)
    assert table.proxy.log == ["start"] * 3
    assert table.proxy.port == 3128
    assert table.board.problems == ()


async def test_a_boot_without_it_fails() -> None:
    table = Table(None)
    with pytest.raises(WorkerFailed):
        await table.files.route()


async def test_closing_ends_it() -> None:
    table = Table(3128)
    await table.turn(VmState.RUNNING)
    await table.files.close()
    assert table.proxy.port == 0


def project(**cvmfs: object) -> Project:
    return parse_project({**GOOD, "cvmfs": cvmfs}, "p.toml")


def made(wanted: Project, tmp_path: Path) -> GuestFiles | None:
    clock = FakeClock()
    return guest_files(wanted, Paths(tmp_path), Preferences({}), Board(clock), clock)


def test_only_a_project_that_asks_has_one(tmp_path: Path) -> None:
    assert made(parse_project(GOOD, "p.toml"), tmp_path) is None
    wanted = project(servers=["http://s1.example.org"], repositories=["r.example.org"])
    assert wanted.cvmfs == Cvmfs(("http://s1.example.org",), ("r.example.org",))
    assert made(wanted, tmp_path) is not None
    assert list(tmp_path.iterdir()) == []
