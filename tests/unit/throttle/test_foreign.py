"""What other systems are asked with: their structures have the sizes that their headers give."""

import ctypes
import os
import sys

import pytest

from client import process
from client.throttle import foreign_macos, guard_child


def test_sizes_are_those_of_the_headers_of_macos() -> None:
    # PROC_PIDTBSDINFO_SIZE and sizeof(struct rusage_info_v0)
    assert ctypes.sizeof(foreign_macos._Facts) == 136
    assert ctypes.sizeof(foreign_macos._Usage) == 96
    assert foreign_macos._Facts.started_s.offset == 120


@pytest.mark.skipif(sys.platform == "win32", reason="the guard asks otherwise there")
def test_the_guard_names_a_process_as_the_client_does() -> None:
    me = process.identity(os.getpid())
    assert me is not None
    assert guard_child.start_of(me.pid) == me.started_at
    assert guard_child.start_of(2**22 + 1) == ""
    assert guard_child.cpu_clock(me.pid) > 0
    assert guard_child.cpu_clock(2**22 + 1) == 0
