import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from client.copilot.sandbox import Confinement, confine

MIB = 1024 * 1024


@pytest.mark.parametrize(("hard_mib", "kept_mib"), [(2, 2), (64, 8)])
def test_a_limit_is_ours_or_the_guests_own_when_that_is_lower(hard_mib: int, kept_mib: int) -> None:
    def start() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard_mib * MIB, hard_mib * MIB))
        confine(Confinement(None, network=True, file_limit_bytes=8 * MIB))()

    told = (
        "import resource; print(*resource.getrlimit(resource.RLIMIT_FSIZE), *resource.getrlimit(resource.RLIMIT_CORE))"
    )
    ran = subprocess.run([sys.executable, "-c", told], preexec_fn=start, capture_output=True, check=True, timeout=20)
    assert [int(word) for word in ran.stdout.split()] == [kept_mib * MIB, kept_mib * MIB, 0, 0]


def test_a_job_gives_way_and_takes_nobody_along() -> None:
    def start() -> None:
        confine(Confinement(None, network=True, file_limit_bytes=8 * MIB))()

    told = "import os; print(os.nice(0)); print(open('/proc/self/oom_score_adj').read())"
    before = Path("/proc/self/autogroup").read_text() if Path("/proc/self/autogroup").exists() else ""
    ran = subprocess.run([sys.executable, "-c", told], preexec_fn=start, capture_output=True, check=True, timeout=20)
    assert ran.stdout.split() == [str(min(19, os.nice(0) + 10)).encode(), b"1000"]
    after = Path("/proc/self/autogroup").read_text() if Path("/proc/self/autogroup").exists() else ""
    assert after == before, "the session of who starts it keeps its share"
