"""A Redis that guards its doors: TLS with an authority of its own, users with few rights."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from client.copilot.queue.errors import RedisUnusable
from client.copilot.queue.queue import JobState
from client.copilot.queue.redis import RedisQueue
from client.copilot.queue.redis_original import FedRedisQueue, push_original
from client.copilot.queue.redis_place import parse_place
from client.service.site_certificate import Certificates
from client.service.site_ports import HeldPorts
from tests.integration.redis_server import RedisServer, running_server
from tests.unit.copilot.queue.jobs import new_job

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def certificates() -> Iterator[Certificates]:
    with tempfile.TemporaryDirectory(prefix="vc-tls-") as folder:
        found = Certificates(Path(folder))
        found.make("localhost", "127.0.0.1")
        yield found


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    held = HeldPorts()
    yield held.take_any()
    held.close()


@pytest.fixture(scope="module")
def server(certificates: Certificates, port: int) -> Iterator[RedisServer]:
    tls = ["--tls-port", str(port), "--bind", "127.0.0.1", "--tls-auth-clients", "no"]
    tls += ["--tls-cert-file", str(certificates.server), "--tls-key-file", str(certificates.server_key)]
    tls += ["--tls-ca-cert-file", str(certificates.authority)]
    with running_server(*tls) as server:
        yield server


def test_tls_with_an_authority_of_its_own(server: RedisServer, certificates: Certificates, port: int) -> None:
    url = f"rediss://localhost:{port}/0?ca={certificates.authority}"
    with closing(RedisQueue(parse_place(url))) as queue:
        queue.submit([new_job("one")], 0)
        assert queue.counts()[JobState.WAITING] == 1
    for wrong in (f"rediss://localhost:{port}/0", f"redis://localhost:{port}/0"):
        with closing(RedisQueue(parse_place(wrong))) as queue, pytest.raises(RedisUnusable, match="no connection"):
            queue.counts()


def test_a_user_who_may_only_do_what_is_needed(server: RedisServer) -> None:
    rights = ["~vc:*", "~waiting_jobs", "~job:*", "+@all", "-@admin", "-@dangerous"]
    server.command("ACL", "SETUSER", "manager", "on", ">secret", *rights)
    url = f"unix://{server.place.socket}?username=manager&password=secret"
    push_original(url, [new_job("two").description])
    with closing(FedRedisQueue(parse_place(url))) as queue:
        queue.submit([new_job(f"job-{number}") for number in range(600)], 0)
        queue.expire(1)
        lease = queue.hand_out("a@x/1", 2, extends=True)
        assert lease is not None
        assert queue.get("two") is not None
    server.command("ACL", "SETUSER", "manager", "resetkeys")
    with (
        closing(RedisQueue(parse_place(url))) as queue,
        pytest.raises(RedisUnusable, match="can't access at least one of the keys"),
    ):
        queue.submit([new_job("three")], 0)
