"""A job that goes on until a test lets it end: whatever the test does meanwhile, it is in the middle of it.

It makes four steps a second and needs hardly any processor. It notes how far it is, as jobs should.
"""

from pathlib import Path

from tests.helpers.program import Client, Site, run_main

#: in the guest, where jobs can see it and not make it
_GO = "/run/job-may-end"
_SCRIPT = f"""#!/bin/sh
n=$(cat mark 2> /dev/null || echo 0)
most=$((n + $([ -e mark ] && echo $1 || echo 1000000)))
while [ ! -e {_GO} ] && [ $n -lt $most ]; do
  sleep 0.25
  n=$((n + 1))
  echo $n > new && mv new mark && sync
  echo "{{\\"done\\": $n, \\"unit\\": \\"steps\\"}}" >&$VC_PROGRESS_FD
done
echo $n > result
"""


def paced_script(folder: Path) -> Path:
    """The script alone; its one argument is `steps_after`."""
    script = folder / "paced.sh"
    script.write_text(_SCRIPT)
    return script


def submit_paced(site: Site, folder: Path, steps_after: int = 1000000) -> str:
    """Submit one; returns its id. steps_after: how many it makes if it was begun anew, where no test can let it end."""
    script = paced_script(folder)
    words = ("--command", script.name, "--arguments", str(steps_after), "--input-files", str(script))
    (job_id,) = site.submit(*words)
    return job_id


def let_end(client: Client) -> None:
    """The guest's job, and each that comes before the guest boots again, ends with its next step."""
    done = run_main("vm", "exec", "--root", "--basedir", str(client.base), "--", "/bin/busybox", "touch", _GO)
    assert done.returncode == 0, done.stderr
