"""The order of jobs that `make run` submits. The site and the program are left out; `submit` is the real one."""

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from client.copilot.queue.sqlite import SqliteQueue
from client.service.operator import pythia8_orders, submit
from client.service.site_folder import SiteFolder
from client.service.site_plan import load_plan, save_plan

REPOSITORY = Path(__file__).resolve().parents[3]
PYTHON = f"""#!/bin/sh
case "$2" in
submit) shift; exec "{sys.executable}" "{REPOSITORY / "main.py"}" "$@" ;;
site) [ "$3" = up ] && exec sleep 30 ;;
esac
exit 0
"""


@pytest.mark.skipif(sys.platform == "win32", reason="make run is for Debian")
def test_the_jobs_asked_for_are_done_before_those_of_earlier_runs(tmp_path: Path) -> None:
    for folder in ("packaging", ".venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(REPOSITORY / "packaging" / "run.sh", tmp_path / "packaging")
    (tmp_path / ".venv/bin/python").write_text(PYTHON)
    (tmp_path / ".venv/bin/python").chmod(0o755)
    site = SiteFolder(tmp_path / "base" / "site")
    site.make()
    save_plan(site.plan, load_plan(site.plan))
    submit(site.base, *pythia8_orders(200, 2, 1))
    environment = os.environ | {"BASEDIR": str(tmp_path / "base"), "JOBS": "1", "EVENTS": "500"}
    script = tmp_path / "packaging" / "run.sh"
    subprocess.run([script], env=environment, check=True, capture_output=True, timeout=60)
    with closing(SqliteQueue(site.queue)) as queue:
        leases = [queue.hand_out(f"{number}@x/1", 0, extends=True) for number in range(3)]
    assert [lease and lease.job.new.expected["events"] for lease in leases] == [500, 200, 200]
