"""A job that goes on until a test lets it end: whatever the test does meanwhile, it is in the middle of it.

It makes four steps a second and needs hardly any processor. Asked to end it notes how far it is, as jobs should.
"""

from pathlib import Path

from tests.helpers.program import Client, Site, run_main

#: in the guest, where jobs can see it and not make it
_GO = "/run/job-may-end"
_SCRIPT = f"""#!/bin/sh
n=$(cat mark 2> /dev/null || echo 0)
trap 'echo $n > mark; exit 0' TERM
while [ ! -e {_GO} ]; do
  sleep 0.25
  n=$((n + 1))
  echo "{{\\"done\\": $n, \\"unit\\": \\"steps\\"}}" >&$VC_PROGRESS_FD
done
echo $n > result
"""


def submit_paced(site: Site, folder: Path) -> str:
    """Submit one; returns its id."""
    script = folder / "paced.sh"
    script.write_text(_SCRIPT)
    (job_id,) = site.submit("--command", script.name, "--input-files", str(script))
    return job_id


def let_end(client: Client) -> None:
    """The guest's job, and each that comes before the guest boots again, ends with its next step."""
    done = run_main("vm", "exec", "--root", "--basedir", str(client.base), "--", "/bin/busybox", "touch", _GO)
    assert done.returncode == 0, done.stderr
