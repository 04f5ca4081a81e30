"""What systemd hears from us, on a real D-Bus with a double of systemd: its manager takes calls of these types only."""

import os
import shutil
import sys
from typing import Any

import pytest

from client import process
from client.errors import CommandFailed
from client.process import Identity
from client.throttle.means import Budget
from client.throttle.means_systemd import SystemdMeans
from tests.helpers.buses import Double, double, private_bus
from tests.helpers.busy import busy

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux" or shutil.which("busctl") is None, reason="busctl is not installed"),
]

NAME, PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
MANAGER = f"{NAME}.Manager"
STARTED = "ret = dbus.ObjectPath('/job/1')"
#: as systemd before 252 answers, which has no weight for "idle"
OLDER = """
if any(name == 'CPUWeight' and value == 0 for name, value in args[2]):
    raise dbus.exceptions.DBusException('out of range', name='org.freedesktop.DBus.Error.InvalidArgs')
"""


async def take_calls(systemd: Double, on_limit: str = "") -> None:
    add = ("AddMethod", "sssss", MANAGER)
    await systemd.mock(PATH, *add, "StartTransientUnit", "ssa(sv)a(sa(sv))", "o", STARTED)
    await systemd.mock(PATH, *add, "SetUnitProperties", "sba(sv)", "", on_limit)


async def heard(systemd: Double) -> list[tuple[str, list[Any]]]:
    """Members and arguments of all calls so far, and none of them again."""
    (calls,) = await systemd.mock(PATH, "GetCalls", "")
    await systemd.mock(PATH, "ClearCalls", "")
    return [(member, [plain(one) for one in arguments]) for _, member, arguments in calls]


def plain(value: Any) -> Any:
    value = getattr(value, "value", value)
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


@pytest.fixture
def bus_name() -> str:
    return "DBUS_SYSTEM_BUS_ADDRESS" if os.getuid() == 0 else "DBUS_SESSION_BUS_ADDRESS"


async def test_a_slice_with_a_limit_and_a_scope_for_each_vm(monkeypatch: pytest.MonkeyPatch, bus_name: str) -> None:
    with private_bus() as bus, busy(2, "import time; time.sleep(1000)") as (one, other):
        monkeypatch.setenv(bus_name, bus.address)
        async with double(bus, NAME, PATH, MANAGER) as systemd:
            await take_calls(systemd)
            means = SystemdMeans()
            kept = await means.keep(Budget(30.0, {"a": (one,), "b": (other,)}))
            started, limited, *scopes = await heard(systemd)
            our_slice = started[1][0]
            assert started == ("StartTransientUnit", [our_slice, "replace", [], []])
            usual = [["CPUQuotaPerSecUSec", 300_000], ["CPUQuotaPeriodUSec", 10_000], ["CPUWeight", 0]]
            assert limited == ("SetUnitProperties", [our_slice, True, usual])
            for (member, (_, mode, properties, _)), who in zip(scopes, (one, other), strict=True):
                assert (member, mode) == ("StartTransientUnit", "replace")
                assert properties == [["PIDs", [who.pid]], ["Slice", our_slice]]
            assert kept.lift[0][0].endswith(f"/{our_slice}/cpu.max")
            # The same again says nothing; less, and without one that is to be free, says just that.
            await means.keep(Budget(30.2, {"a": (one,), "b": (other,)}))
            assert await heard(systemd) == []
            await means.keep(Budget(20.0, {"a": (one,)}))
            (_, (_, _, changed)), (_, (_, _, moved, _)) = await heard(systemd)
            assert changed[0] == ["CPUQuotaPerSecUSec", 200_000]
            assert moved == [["PIDs", [other.pid]]]
            await means.release()
            ((_, (_, _, free)),) = await heard(systemd)
            assert free[0] == ["CPUQuotaPerSecUSec", 2**64 - 1]


async def test_an_older_systemd_gets_the_least_weight(monkeypatch: pytest.MonkeyPatch, bus_name: str) -> None:
    me = process.identity(os.getpid())
    assert me is not None
    with private_bus() as bus:
        monkeypatch.setenv(bus_name, bus.address)
        async with double(bus, NAME, PATH, MANAGER) as systemd:
            await take_calls(systemd, OLDER)
            await SystemdMeans().keep(Budget(30.0, {"a": (me,)}))
            weights = [said[2][2][1] for member, said in await heard(systemd) if member == "SetUnitProperties"]
    assert weights == [0, 1]


async def test_a_manager_that_is_not_there_is_refusal(monkeypatch: pytest.MonkeyPatch, bus_name: str) -> None:
    with private_bus() as bus:
        monkeypatch.setenv(bus_name, bus.address)
        with pytest.raises(CommandFailed):
            await SystemdMeans().keep(Budget(30.0, {"a": (Identity(1, "x"),)}))
