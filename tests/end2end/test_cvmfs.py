"""A job in a real guest reads a repository's files by the host's proxy: the server gives each of them once."""

import contextlib
from pathlib import Path

import psutil
import pytest

from tests.end2end.test_faults_client import TCG
from tests.helpers.cvmfs import NAME, FileHandler, FileServer, Repository, fill, serve_files
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
busybox wget -q -O other http://127.0.0.1:1/cvmfs/x/y 2>> refused && exit 3
echo $CVMFS_HTTP_PROXY >> sums
exit 0
"""


_AGAIN = """#!/bin/sh
until http_proxy=$CVMFS_HTTP_PROXY busybox wget -q -O object {url} 2> /dev/null; do sleep 1; done
busybox sha1sum object | cut -c 1-40 > sums
"""


def kill_proxy(client: Client) -> None:
    for child in psutil.Process(client.process.pid).children():
        # Other children may end while they are looked at.
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.cmdline()[-1:] == ["cvmfs-proxy"]:
                child.kill()


class Table:
    """A site whose project uses a repository, and the repository's server."""

    def __init__(self, folder: Path, site: Site, server: FileServer) -> None:
        self.site = site
        self.server = server
        self.base = folder / "base"
        self.project = folder / "project.toml"
        self._folder = folder
        text = site.project.read_text().replace("network = false", "network = true")
        assert "network = true" in text
        self.project.write_text(f'{text}\n[cvmfs]\nservers = ["{server.base}"]\nrepositories = ["{NAME}"]\n')

    def submit(self, name: str, script: str, **places: str) -> str:
        path = self._folder / name
        path.write_text(script.format(**{word: f"{self.server.base}{place}" for word, place in places.items()}))
        (job_id,) = self.site.submit("--command", name, "--input-files", str(path))
        return job_id

    def client(self) -> contextlib.AbstractContextManager[Client]:
        words = ("--project", str(self.project), "--set", "network.internet=true", *TCG, "--start")
        return open_client(self.base, "headless", *words)

    def output(self, job_id: str, name: str) -> str:
        return (self.site.folder / "storage" / "results" / job_id / "output" / name).read_text()


def test_guests_read_by_the_proxy_whoever_is_killed(tmp_path: Path, site: Site) -> None:
    repository = Repository(tmp_path / "www")
    fill(repository)
    digests = [repository.put(repository.contents[name]) for name in ("/v1/lib/part3.so", "/v1/lib/part4.so")]
    path, late = (f"/cvmfs/{NAME}/data/{digest[:2]}/{digest[2:]}" for digest in digests)
    with serve_files(tmp_path / "www") as server:
        table = Table(tmp_path, site, server)
        other = "/cvmfs/other.org/.cvmfspublished"
        first = table.submit("first.sh", _JOB, url=path, late=late, other=other)
        with table.client() as client:

            def in_the_middle(handler: FileHandler) -> None:
                del server.faults[late]
                kill_proxy(client)
                handler.close_connection = True

            server.faults[late] = in_the_middle
            wait_for("the verdict", lambda: client.accepted() == 1, 120)
            (guest,) = client.qemus()
            client.kill()
        # The guest lives on, and its way leads to a proxy that is no more.
        second = table.submit("second.sh", _AGAIN, url=path)
        with table.client() as client:
            wait_for("the second verdict", lambda: client.accepted() == 2, 120)
            assert client.qemus() == [guest]
            assert client.quit("--stop-work") == 0
        assert processes_of(table.base) == []
        assert server.asked == {path: 1, late: 2}
    assert table.output(first, "sums").split() == [digests[0], *digests, "http://10.0.2.102:3128"]
    assert table.output(first, "refused").count("403") == 2
    assert table.output(second, "sums").split() == [digests[0]]
    objects = (table.base / "cvmfs" / "objects").rglob("*")
    assert {one.parent.name + one.name for one in objects if one.is_file()} == set(digests)
