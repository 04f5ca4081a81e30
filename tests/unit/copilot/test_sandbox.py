import resource
import subprocess
import sys

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
