"""The power button, as the kernel tells of it."""

import asyncio
import os
import struct
from pathlib import Path

from client.copilot.power_button import PowerButton


def event(kind: int, code: int, value: int) -> bytes:
    return struct.pack("qqHHi", 1, 2, kind, code, value)


def open_files() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_only_a_press_of_the_power_key_counts(tmp_path: Path) -> None:
    pressed: list[int] = []
    os.mkfifo(tmp_path / "event0")
    os.mkfifo(tmp_path / "event1")
    (tmp_path / "mice").write_bytes(event(1, 116, 1))
    button = PowerButton(lambda: pressed.append(1), tmp_path)
    assert button.listen() == 2
    with (tmp_path / "event1").open("wb", buffering=0) as device:
        # Released, another key, a relative movement, the end of a report, and half an event.
        for said in (event(1, 116, 0), event(1, 30, 1), event(2, 116, 1), event(0, 0, 0), b"12345"):
            device.write(said)
            await settle()
        assert pressed == []
        device.write(event(1, 116, 1) + event(0, 0, 0))
        await settle()
        assert pressed == [1]
    await settle()
    button.close()


async def test_a_device_that_goes_away_is_forgotten(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "event0")
    button = PowerButton(lambda: None, tmp_path)
    assert button.listen() == 1
    before = open_files()
    with (tmp_path / "event0").open("wb"):
        pass
    await settle()
    assert open_files() == before - 1
    button.close()
    button.close()


async def test_a_machine_without_input_devices(tmp_path: Path) -> None:
    button = PowerButton(lambda: None, tmp_path / "nothing here")
    assert button.listen() == 0
    button.close()
