"""The limit of open files, in a process of its own: it can only be lowered for good."""

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
TOLD = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 200))
from client.service.open_files import raise_limit
raise_limit()
raise_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_a_site_takes_as_many_as_it_may() -> None:
    ran = subprocess.run([sys.executable, "-c", TOLD], cwd=TOP, capture_output=True, check=True, timeout=30)
    assert ran.stdout.split() == [b"200", b"200"]
