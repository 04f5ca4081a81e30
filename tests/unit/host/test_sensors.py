"""The composite: opens, closes, tells of waking."""

import asyncio

import pytest

from client.host.looks import Look
from client.host.part import Part, Tell, Wanted, Wishes
from client.host.registry import sensors_for
from client.host.sample import Sample
from client.host.sensors import HostSensors


class FakePart:
    name = "fake"

    def __init__(self) -> None:
        self.tell: Tell | None = None
        self.running = asyncio.Event()
        self.ended = False

    async def run(self, tell: Tell) -> None:
        self.tell = tell
        self.running.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True


class FakeHold:
    def __init__(self) -> None:
        self.count = 0

    def let_go(self) -> None:
        self.count += 1


async def test_it_tells_and_ends() -> None:
    part, hold, changes = FakePart(), FakeHold(), []
    parts: list[Part] = [part]
    sensors = HostSensors(parts, [], Wishes(), hold)
    await sensors.open(lambda: changes.append(sensors.look()), lambda slept_s: None)
    await part.running.wait()
    assert part.tell is not None
    part.tell({"on_battery": True})
    part.tell({"metered": None})
    await asyncio.sleep(0)
    assert changes == [Sample(on_battery=True)]
    sensors.let_go()
    assert hold.count == 1
    await sensors.close()
    await sensors.close()
    assert part.ended


async def test_a_part_with_a_fault_is_said_and_leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    class FaultyPart(FakePart):
        async def run(self, tell: Tell) -> None:
            tell({"on_battery": True})
            raise AssertionError("a fault")

    sensors, forgotten = HostSensors([FaultyPart()], [], Wishes()), asyncio.Event()
    await sensors.open(lambda: forgotten.set() if sensors.look().on_battery is None else None, lambda slept_s: None)
    await forgotten.wait()
    await sensors.close()
    assert [record.getMessage() for record in caplog.records] == ["the sensor fake has failed"]


async def test_a_listener_that_fails_is_not_a_part_that_fails() -> None:
    part, failed = FakePart(), []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failed.append(context["exception"]))

    def fail() -> None:
        raise KeyError("in the core")

    parts: list[Part] = [part]
    sensors = HostSensors(parts, [], Wishes())
    await sensors.open(fail, lambda slept_s: None)
    await part.running.wait()
    assert part.tell is not None
    part.tell({"on_battery": True})
    await asyncio.sleep(0)
    assert [type(error) for error in failed] == [KeyError]
    assert not part.ended
    assert sensors.look().on_battery
    await sensors.close()


async def test_a_sleep_is_told_as_soon_as_the_system_says_that_it_is_over() -> None:
    slept, woken, part = [0.0], [], FakePart()
    sensors = HostSensors([part], [], Wishes(), slept=lambda: slept[0])
    await sensors.open(lambda: None, woken.append)
    await part.running.wait()
    assert part.tell is not None
    part.tell({"sleeping": True})
    slept[0] = 600.0
    part.tell({"sleeping": False})
    assert woken == [600.0]
    await sensors.close()


async def test_what_is_wanted_can_change() -> None:
    wishes, asked = Wishes(), asyncio.Event()

    def ask() -> dict[str, object]:
        asked.set()
        return {}

    look = Look("heat", 1, ask, {"temperature_c": None}, lambda: wishes.now.programs)  # type: ignore[arg-type]
    sensors = HostSensors([], [look], wishes)
    sensors.want(Wanted(programs=True))
    await sensors.open(lambda: None, lambda slept_s: None)
    await asked.wait()
    await sensors.close()


@pytest.mark.parametrize("platform", ["linux", "plan9"])
async def test_every_platform_has_some(platform: str) -> None:
    sensors = sensors_for(platform=platform, env={})
    assert sensors.look() == Sample()
    await sensors.close()
