"""A job in a real guest reads a repository's files by the host's proxy: the server gives each of them once."""

import contextlib
from pathlib import Path

import psutil
import pytest

from tests.end2end.test_faults_client import TCG
from tests.helpers.cvmfs import NAME, FileHandler, Repository, fill, serve_files
from tests.helpers.program import Client, Site, open_client, processes_of
from tests.helpers.screen import wait_for

pytestmark = [pytest.mark.end2end, pytest.mark.timeout(200)]
_JOB = """#!/bin/sh
export http_proxy=$CVMFS_HTTP_PROXY
for try in 1 2; do
  busybox wget -q -O object.$try {url} || exit 1
  busybox sha1sum object.$try | cut -c 1-40 >> sums
done
until busybox wget -q -O late {late} 2> /dev/null; do sleep 1; done
busybox sha1sum late | cut -c 1-40 >> sums
busybox wget -q -O other {other} 2>> refused && exit 2
busybox wget -q -O other {elsewhere} 2>> refused && exit 3
echo $CVMFS_HTTP_PROXY >> sums
exit 0
"""


def kill_proxy(client: Client) -> None:
    for child in psutil.Process(client.process.pid).children():
        if child.cmdline()[-1:] == ["cvmfs-proxy"]:
            child.kill()


def test_a_guest_reads_by_the_proxy_even_if_that_is_killed(tmp_path: Path, site: Site) -> None:
    repository = Repository(tmp_path / "www")
    fill(repository)
    with serve_files(tmp_path / "www") as server, contextlib.ExitStack() as stack:
        digests = [repository.put(repository.contents[name]) for name in ("/v1/lib/part3.so", "/v1/lib/part4.so")]
        path, late = (f"/cvmfs/{NAME}/data/{digest[:2]}/{digest[2:]}" for digest in digests)
        project = tmp_path / "project.toml"
        text = site.project.read_text().replace("network = false", "network = true")
        assert "network = true" in text
        project.write_text(f'{text}\n[cvmfs]\nservers = ["{server.base}"]\nrepositories = ["{NAME}"]\n')
        script = tmp_path / "job.sh"
        script.write_text(
            _JOB.format(
                url=f"{server.base}{path}",
                late=f"{server.base}{late}",
                other=f"{server.base}/cvmfs/other.org/.cvmfspublished",
                elsewhere="http://127.0.0.1:1/cvmfs/x/y",
            )
        )
        (job_id,) = site.submit("--command", "job.sh", "--input-files", str(script))
        base = tmp_path / "base"
        words = ("--project", str(project), "--set", "network.internet=true", *TCG, "--start")
        client = stack.enter_context(open_client(base, "headless", *words))

        def in_the_middle(handler: FileHandler) -> None:
            del server.faults[late]
            kill_proxy(client)
            handler.close_connection = True

        server.faults[late] = in_the_middle
        wait_for("the verdict", lambda: client.snapshot()["totals"]["jobs_accepted"] == 1, 120)
        assert client.quit("--stop-work") == 0
        assert processes_of(base) == []
        assert server.asked == {path: 1, late: 2}
    output = site.folder / "storage" / "results" / job_id / "output"
    assert (output / "sums").read_text().split() == [digests[0], *digests, "http://10.0.2.102:3128"]
    assert (output / "refused").read_text().count("403") == 2
    kept = {path.parent.name + path.name for path in (base / "cvmfs" / "objects").rglob("*") if path.is_file()}
    assert kept == set(digests)
