"""What the programs of macOS print; the texts are made after their documentation, none was recorded there."""

import plistlib
import sys
from pathlib import Path

import pytest

from client.host.keep import FAILURES
from client.host.macos.facts import awake_in, saver_in, session_in
from client.host.macos.platform import Asked
from client.host.macos.system import input_idle_s
from client.host.part import Facts

ASSERTIONS = """\
2026-11-21 15:04:05 +0100
Assertion status system-wide:
   BackgroundTask                 1
   ApplePushServiceTask           0
   UserIsActive                   1
   PreventUserIdleDisplaySleep    {display}
   PreventSystemSleep             0
   ExternalMedia                  0
   PreventUserIdleSystemSleep     1
   NetworkClientActive            0
Listed by owning process:
   pid 411(coreaudiod): [0x0000f5d300018e02] 00:00:09 PreventUserIdleSystemSleep named: "audio"
"""
SETTINGS = """\
System-wide power settings:
Currently in use:
 standby              1
 lowpowermode         {saver}
 displaysleep         10 (display sleep prevented by Music)
"""


def session(*users: dict[str, object]) -> str:
    return plistlib.dumps({"IOConsoleUsers": list(users), "IOObjectClass": "IORegistryEntry"}).decode()


def test_a_program_keeps_the_display_on() -> None:
    assert awake_in(ASSERTIONS.format(display=1)) == {"awake": True}
    assert awake_in(ASSERTIONS.format(display=0)) == {"awake": False}
    assert awake_in("") == {"awake": None}


def test_low_power_mode() -> None:
    assert saver_in(SETTINGS.format(saver=1)) == {"power_saver": True}
    assert saver_in(SETTINGS.format(saver=0)) == {"power_saver": False}
    # a Mac without a battery has no such line
    assert saver_in("Currently in use:\n displaysleep 10\n") == {"power_saver": None}


def test_the_lock_of_the_session_that_is_shown() -> None:
    me = {"kCGSSessionUserNameKey": "me", "kCGSSessionOnConsoleKey": True}
    assert session_in(session(me), "me") == {"locked": False}
    assert session_in(session({**me, "CGSSessionScreenIsLocked": True}), "me") == {"locked": True}
    other = {"kCGSSessionUserNameKey": "other", "kCGSSessionOnConsoleKey": True}
    assert session_in(session(other, {**me, "kCGSSessionOnConsoleKey": False}), "me") == {"locked": None}
    assert session_in(session(), "me") == {"locked": None}


@pytest.mark.parametrize("text", ["", "no list", "<plist><array/></plist>", "<plist><dict><key>a</key></dict></plist>"])
def test_a_broken_list(text: str) -> None:
    try:
        assert session_in(text, "me") == {"locked": None}
    except ValueError as error:
        assert isinstance(error, FAILURES)


@pytest.mark.skipif(sys.platform == "darwin", reason="here macOS answers")
def test_elsewhere_there_is_no_such_framework() -> None:
    with pytest.raises(OSError):
        input_idle_s()


async def test_a_program_is_asked_and_read(tmp_path: Path) -> None:
    told: list[Facts] = []

    class Enough(Exception):
        pass

    def tell(facts: Facts) -> None:
        told.append(facts)
        raise Enough

    with pytest.raises(Enough):
        await Asked("echo", ("echo", " lowpowermode 1"), 1.0, saver_in).run(tell)
    assert told == [{"power_saver": True}]
    with pytest.raises(OSError):
        await Asked("none", (str(tmp_path / "none"),), 1.0, saver_in).run(told.append)
    with pytest.raises(OSError):
        await Asked("fails", ("false",), 1.0, saver_in).run(told.append)
