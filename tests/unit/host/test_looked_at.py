"""Memory, heat, disk, programs and sleep, from what systems say."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from client.host import battery, disk, memory
from client.host.heat import Heat, fastest, hottest
from client.host.process_name import name_of, plain, stat_in
from client.host.programs import Programs
from client.host.wake import SleepWatch, slept_s

PRESSURE = """\
some avg10=12.34 avg60=3.00 avg300=0.00 total=22077443
full avg10=5.00 avg60=0.00 avg300=0.00 total=13276713
"""


def test_pressure_is_the_share_of_waiting() -> None:
    assert memory.some_in(PRESSURE) == 12.34
    assert memory.some_in("") is None
    with pytest.raises(ValueError):
        memory.some_in("some avg10=much")


def test_memory_of_this_computer() -> None:
    free = memory.look()["free_memory_mib"]
    assert free is not None
    assert free > 0
    assert free % 16 == 0


def sensor(folder: Path, number: int, name: str, **files: object) -> None:
    device = folder / f"hwmon{number}"
    device.mkdir()
    (device / "name").write_text(f"{name}\n")
    for file, value in files.items():
        (device / f"{file}_input").write_text(f"{value}\n")


def test_the_hottest_sensor_of_the_processor(tmp_path: Path) -> None:
    sensor(tmp_path, 0, "acpitz", temp1=99000)
    sensor(tmp_path, 1, "coretemp", temp1=41000, temp2=66240, temp3="broken")
    sensor(tmp_path, 2, "nvme", temp1=80000)
    assert Heat(tmp_path).look() == {"temperature_c": 66.2, "fan_rpm": None}


def test_the_board_is_read_when_the_processor_has_no_sensor(tmp_path: Path) -> None:
    sensor(tmp_path, 0, "acpitz", temp1=45000)
    sensor(tmp_path, 1, "coretemp", temp1=-128000)
    assert Heat(tmp_path).look()["temperature_c"] == 45.0


def test_cards_and_disks_are_left_asleep(tmp_path: Path) -> None:
    sensor(tmp_path, 0, "amdgpu", temp1=90000, fan1=3000)
    sensor(tmp_path, 1, "drivetemp", temp1=50000)
    assert Heat(tmp_path).look() == {"temperature_c": None, "fan_rpm": None}


def test_a_driver_that_comes_later_is_found(tmp_path: Path) -> None:
    found = Heat(tmp_path)
    assert found.look()["temperature_c"] is None
    sensor(tmp_path, 0, "k10temp", temp1=51000)
    assert [found.look()["temperature_c"] for _ in range(30)][-1] == 51.0


def test_the_fastest_fan(tmp_path: Path) -> None:
    sensor(tmp_path, 0, "thinkpad", fan1=2100, fan2=65535)
    sensor(tmp_path, 1, "nct6775", fan1=2500, fan3=0)
    assert Heat(tmp_path).look()["fan_rpm"] == 2500
    assert fastest([]) is None
    assert fastest([0]) == 0
    assert hottest([0, 255_000]) is None


def test_a_computer_without_battery_has_mains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(battery.psutil, "sensors_battery", lambda: None)
    assert battery.look() == {"on_battery": False, "battery_percent": None}
    monkeypatch.setattr(battery.psutil, "sensors_battery", lambda: SimpleNamespace(power_plugged=False, percent=41.7))
    assert battery.look() == {"on_battery": True, "battery_percent": 42}
    monkeypatch.setattr(battery.psutil, "sensors_battery", lambda: SimpleNamespace(power_plugged=None, percent=41))
    assert battery.look()["on_battery"] is None


def test_free_disk(tmp_path: Path) -> None:
    assert disk.look(None) == {"free_disk_mib": None}
    assert (disk.look(tmp_path)["free_disk_mib"] or 0) > 0
    assert (disk.look(tmp_path / "to be" / "made")["free_disk_mib"] or 0) > 0


def test_names_are_as_preferences_have_them() -> None:
    assert plain("Game.EXE") == "game"
    assert name_of(2**30) == ""


def test_names_in_the_kernels_words() -> None:
    assert stat_in("812 (Web Content) S 700 812 700 0 -1 4194560 9 0") == ("Web Content", False)
    assert stat_in("812 (a) S (b) R 700 812 700 0 -1 4194304 9 0") == ("a) S (b", False)
    assert stat_in("37 (kworker/0:1-events) I 2 0 0 0 -1 69238880 0 0") == ("kworker/0:1-events", True)
    with pytest.raises(ValueError):
        stat_in("")
    with pytest.raises(IndexError):
        stat_in("1 (init) S")


def test_programs_of_this_computer() -> None:
    programs = Programs()
    first, second = programs.look()["programs"], programs.look()["programs"]
    assert first is not None
    assert second is not None
    assert name_of(os.getpid()) in first & second
    assert "" not in first | second


def test_each_sleep_is_noticed_once() -> None:
    slept, woken = [100.0], []
    watch = SleepWatch(woken.append, lambda: slept[0])
    watch.check()
    slept[0] = 100.2
    watch.check()
    assert woken == []
    slept[0] = 3700.2
    watch.check()
    watch.check()
    assert woken == [3600.0]


def test_the_clocks_of_this_computer_can_be_compared() -> None:
    first = slept_s()
    assert slept_s() == pytest.approx(first, abs=0.5)
