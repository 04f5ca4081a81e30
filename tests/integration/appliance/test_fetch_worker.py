"""Downloads in their own process: killed at any moment, over proxies and TLS, at a rate, on a full disk."""

import asyncio
import hashlib
import json
import random
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from client.appliance import fault
from client.appliance.errors import DownloadFailed
from client.appliance.worker import Steering, run_worker
from client.errors import DiskFull
from tests.helpers import hostile_http as http
from tests.helpers.hostile_http import serving
from tests.integration.appliance.kit import CONTENT, PIECE, SIZE, Trial, target_of

pytestmark = pytest.mark.integration

LARGE = random.Random(6).randbytes(8 * 2**20)


def order(folder: Path, content: bytes, *urls: str, **more: Any) -> dict[str, Any]:
    target = target_of(content, urls, PIECE).to_json()
    paths = {"to": str(folder / "image"), "part": str(folder / "image.part")}
    return {"target": target, **paths, "pause_s": 0.01, **more}


async def test_a_worker_killed_at_random_moments_goes_on(tmp_path: Path) -> None:
    """SIGKILL: nothing of it has a chance to clean up."""
    chance, kills = random.Random(7), 6
    with serving(LARGE, always=http.steady(1_000_000)) as server:
        for _ in range(kills):
            await killed_after(order(tmp_path, LARGE, server.url), chance.uniform(0.02, 0.5))
            assert not (tmp_path / "image").exists()
        server.always = None
        result = await run_worker("download", order(tmp_path, LARGE, server.url))
    assert (tmp_path / "image").read_bytes() == LARGE
    assert result["bytes_fetched"] < len(LARGE)
    # What the worker had not taken out of the socket is lost with it.
    assert server.sent <= len(LARGE) + kills * 16 * PIECE


async def killed_after(work: Mapping[str, Any], seconds: float) -> None:
    began = asyncio.Event()
    doing = asyncio.create_task(run_worker("download", work, on_progress=lambda said: began.set()))
    async with asyncio.timeout(60):
        await began.wait()
    await asyncio.sleep(seconds)
    (child,) = [one for one in psutil.Process().children() if "worker" in one.cmdline()]
    child.send_signal(signal.SIGKILL)
    await asyncio.gather(doing, return_exceptions=True)


async def test_two_at_once_make_one_good_file(tmp_path: Path) -> None:
    """As when a client is killed and started again while its worker has not noticed yet."""
    with serving(LARGE, always=http.steady(20_000_000)) as server:
        both = [run_worker("download", order(tmp_path, LARGE, server.url)) for _ in range(2)]
        results = await asyncio.gather(*both)
    assert sorted(one["bytes_fetched"] for one in results) == [0, len(LARGE)]
    assert (tmp_path / "image").read_bytes() == LARGE


async def test_the_rate_is_kept_and_can_be_changed_under_way(tmp_path: Path) -> None:
    steer, told = Steering(), []
    steer.limit(500_000)
    with serving(LARGE) as server:
        began = time.monotonic()
        doing = asyncio.create_task(
            run_worker("download", order(tmp_path, LARGE, server.url), on_progress=told.append, steer=steer)
        )
        while not told or told[-1]["done_bytes"] < 1_000_000:
            await asyncio.sleep(0.01)
        taken = time.monotonic() - began
        assert taken >= 1.8
        assert told[-1]["done_bytes"] / taken <= 550_000
        assert told[-1]["left_s"] is not None
        steer.limit(None)
        await doing
    assert (tmp_path / "image").read_bytes() == LARGE


async def test_the_errors_of_a_download_come_through_the_process(tmp_path: Path) -> None:
    with serving(CONTENT, always=http.answers("404 Not Found")) as server:
        with pytest.raises(DownloadFailed) as caught:
            await run_worker("download", order(tmp_path, CONTENT, server.url))
        assert caught.value.details() == {"url": server.url, "said": "the server says 404"}


async def test_an_http_proxy_is_used_when_told_and_when_the_environment_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(CONTENT) as proxy:
        at = f"http://127.0.0.1:{proxy.port}"
        await run_worker("download", order(tmp_path / "told", CONTENT, "http://image.invalid/x", proxy=at))
        monkeypatch.setenv("http_proxy", at)
        await run_worker("download", order(tmp_path / "environment", CONTENT, "http://image.invalid/x"))
        assert {request.path for request in proxy.requests} == {"http://image.invalid/x"}
        with pytest.raises(DownloadFailed):
            await run_worker("download", order(tmp_path / "none", CONTENT, "http://image.invalid/x", proxy=""))


def authority(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that signs itself, and the context of a server that has it."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-nodes"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-keyout", key, "-out", certificate, *subject]
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


async def test_https_trusts_whom_the_computer_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, context = authority(tmp_path)
    with serving(CONTENT, tls=context) as server, serving(CONTENT) as plain:
        url = server.url.replace("http:", "https:")
        with pytest.raises(DownloadFailed):
            await run_worker("download", order(tmp_path, CONTENT, url))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        await run_worker("download", order(tmp_path, CONTENT, url))
        server.plays.append(http.answers("302 Found", Location=plain.url))
        with pytest.raises(DownloadFailed) as caught:
            await run_worker("download", order(tmp_path / "b", CONTENT, url))
        assert "https" in caught.value.said
        assert plain.requests == []


async def test_passwords_of_the_user_are_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(CONTENT) as server:
        await run_worker("download", order(tmp_path, CONTENT, server.url))
        assert "authorization" not in server.requests[0].headers


def test_a_disk_that_is_too_small_is_seen_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault, "SPARE_BYTES", 2**60)
    with serving(CONTENT) as server:
        with pytest.raises(DiskFull) as caught:
            Trial(tmp_path, target_of(CONTENT, [server.url])).run()
        assert server.requests == []
    assert caught.value.needed_bytes == SIZE + 2**60


_LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (300000, 300000))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
"""


def test_a_file_that_cannot_grow_is_no_bad_file(tmp_path: Path) -> None:
    """The system refuses to write in the middle of the file, as it does when a quota is reached."""
    with serving(CONTENT) as server:
        trial = Trial(tmp_path, target_of(CONTENT, [server.url]))
        code = _LIMITED + (
            "import io\nfrom pathlib import Path\n"
            "from tests.integration.appliance.kit import *\n"
            f"Trial(Path({str(tmp_path)!r}), target_of(CONTENT, [{server.url!r}])).run()\n"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "File too large" in ended.stderr
        assert not trial.to.exists()
        assert trial.run()["bytes_fetched"] < SIZE - 200_000
    assert hashlib.sha256(trial.to.read_bytes()).hexdigest() == trial.target.sha256


async def test_a_client_that_dies_leaves_no_worker(tmp_path: Path) -> None:
    """The client's own process is killed; its worker sees the end of its input."""
    with serving(LARGE, always=http.steady(200_000)) as server:
        code = (
            "import asyncio, json, sys\nfrom client.appliance.worker import run_worker\n"
            "order, told = json.loads(sys.argv[1]), lambda said: print('on', flush=True)\n"
            "asyncio.run(run_worker('download', order, on_progress=told))"
        )
        command = [sys.executable, "-c", code, json.dumps(order(tmp_path, LARGE, server.url))]
        client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert client.stdout
        client.stdout.readline()
        (worker,) = psutil.Process(client.pid).children()
        client.kill()
        client.wait(10)
        client.stdout.close()
        assert await asyncio.to_thread(lambda: not psutil.wait_procs([worker], 20)[1])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=384k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_fills_up_under_way_keeps_the_pieces(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault, "SPARE_BYTES", -(2**40))
    with serving(CONTENT) as server:
        trial = Trial(small_disk, target_of(CONTENT, [server.url]))
        with pytest.raises(DiskFull) as caught:
            trial.run()
        assert 0 < caught.value.needed_bytes <= SIZE
        assert not trial.to.exists()
        subprocess.run(["mount", "-o", "remount,size=2m", small_disk], check=True)
        assert trial.run()["bytes_fetched"] <= SIZE - 3 * PIECE
