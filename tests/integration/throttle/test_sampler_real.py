"""The sampler on real processes that are busy."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from client.throttle.sampler import PsutilReader, Reader, Sampler
from client.throttle.sampler_linux import LinuxReader

pytestmark = [pytest.mark.integration, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

#: burns 3 ms of each 10 ms, which estimates by ticks get wrong; by the processes' own clock
PULSES = """
import time
while True:
    end = time.process_time() + 0.003
    while time.process_time() < end: pass
    time.sleep(0.007)
"""
#: one child after the other, each gone before anybody can look
SHORT_LIVED = """
import subprocess, sys
burn = "import time\\nwhile time.process_time() < 0.06: pass"
while True:
    subprocess.run([sys.executable, "-S", "-c", burn])
"""


@pytest.fixture
def busy() -> Iterator["subprocess.Popen[bytes]"]:
    child = subprocess.Popen([sys.executable, "-S", "-c", PULSES], start_new_session=True)
    yield child
    child.kill()
    child.wait()


@pytest.mark.parametrize("reader", [LinuxReader, PsutilReader])
def test_a_vm_s_use_is_what_its_clock_says(reader: type[Reader], busy: "subprocess.Popen[bytes]") -> None:
    sampler = Sampler(reader())
    clock = (~busy.pid << 3) | 2
    sampler.measure({"vm": (busy.pid,)})
    began_s = time.clock_gettime(clock)
    time.sleep(1.0)
    used = sampler.measure({"vm": (busy.pid,)}).vms["vm"]
    assert used.cpu_s == pytest.approx(time.clock_gettime(clock) - began_s, abs=0.03)
    assert used.memory_bytes > 2**20


def test_children_that_come_and_go_are_the_vm_s() -> None:
    child = subprocess.Popen([sys.executable, "-S", "-c", SHORT_LIVED], start_new_session=True)
    try:
        sampler = Sampler()
        sampler.measure({"vm": (child.pid,)})
        began = time.monotonic()
        time.sleep(1.5)
        measured = sampler.measure({"vm": (child.pid,)})
        passed_s = time.monotonic() - began
        # Two look at the same seconds: the VM's account, and what the computer was not idle.
        assert measured.vms["vm"].cpu_s > 0.2 * passed_s
        assert measured.others_percent is not None and measured.busy_percent is not None
        of_all = 100 * measured.vms["vm"].cpu_s / passed_s / (os.cpu_count() or 1)
        assert measured.others_percent <= measured.busy_percent - of_all * 0.8 + 3
    finally:
        child.terminate()
        child.wait()


def test_a_look_is_cheap(busy: "subprocess.Popen[bytes]") -> None:
    sampler = Sampler()
    sampler.measure({"vm": (busy.pid,)})
    reader = LinuxReader()
    costs = []
    for _ in range(50):
        began = time.thread_time()
        reader.look(busy.pid, {"vm": (busy.pid,)})
        costs.append(time.thread_time() - began)
    # 0.05 % of a core at one look a second.
    assert sorted(costs)[25] < 0.0005
