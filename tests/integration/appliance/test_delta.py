"""Updates by difference with the real xdelta3: the right file by the patch, or by the full download."""

import asyncio
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from client import process
from client.appliance import xdelta
from client.appliance.target import Patch
from client.appliance.worker import run_worker
from client.appliance.xdelta import make_patch
from client.errors import CommandFailed, DiskFull
from tests.helpers import hostile_http as http
from tests.helpers.hostile_http import Server, serving
from tests.integration.appliance.kit import CONTENT, SIZE, target_of

pytestmark = pytest.mark.integration

NEW = CONTENT[:200_000] + b"changed here" + CONTENT[200_000:500_000] + CONTENT[500_100:]


class Site:
    """A server with the new file and one with a patch, and the old file here."""

    def __init__(self, folder: Path, full: Server, patch: Server) -> None:
        self.folder, self.full, self.patch = folder, full, patch
        self.old = folder / "old"
        self.old.write_bytes(CONTENT)
        self.to, self.part = folder / "new", folder / "new.part"
        self.publish(NEW)

    def publish(self, made: bytes) -> None:
        """Let the patch make these bytes."""
        new, out = self.folder / "made", self.folder / "patch"
        new.write_bytes(made)
        make_patch(self.old, new, out)
        self.patch.content = out.read_bytes()
        new.unlink()
        out.unlink()

    def order(self, patch: bytes | None = None) -> dict[str, Any]:
        """Args: patch: what the catalogue says of the patch, if not the truth."""
        mine = target_of(patch or self.patch.content, [self.patch.url])
        full = replace(target_of(NEW, [self.full.url]), patches=(Patch("ab" * 32, mine),))
        paths = {"to": str(self.to), "part": str(self.part), "from": {"ab" * 32: str(self.old)}}
        return {"target": full.to_json(), **paths, "pause_s": 0.01}

    async def update(self, **more: Any) -> dict[str, Any]:
        result = dict(await run_worker("patch", self.order() | more))
        assert self.to.read_bytes() == NEW
        assert {path.name for path in self.folder.iterdir()} <= {"old", "new", "bin"}
        return result


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(NEW) as full, serving(b"") as patch:
        yield Site(tmp_path, full, patch)


async def test_a_patch_makes_the_file(site: Site) -> None:
    result = await site.update()
    assert result == {"kind": "patch", "bytes_fetched": len(site.patch.content), "mirror": site.patch.url}
    assert len(site.patch.content) < SIZE / 100
    assert site.full.requests == []
    assert (await site.update())["bytes_fetched"] == 0


def spoil_patch(site: Site) -> None:
    site.patch.always = http.altered(40)


def lose_patch(site: Site) -> None:
    site.patch.always = http.answers("404 Not Found")


def spoil_old(site: Site) -> None:
    site.old.write_bytes(CONTENT[:300_000] + b"x" + CONTENT[300_001:])


def lose_old(site: Site) -> None:
    site.old.unlink()


def make_another(site: Site) -> None:
    site.publish(NEW[:-1] + b"x")


def make_more(site: Site) -> None:
    site.publish(NEW + bytes(50_000_000))


def no_patch_at_all(site: Site) -> None:
    site.patch.content = b"MZ this is not a patch, though it is what the catalogue says"


def half_a_patch(site: Site) -> None:
    site.patch.content = site.patch.content[: len(site.patch.content) // 2]


BREAKS = [spoil_patch, lose_patch, spoil_old, lose_old, make_another, make_more, no_patch_at_all, half_a_patch]


@pytest.mark.parametrize("broken", BREAKS, ids=lambda one: one.__name__)
async def test_whatever_is_wrong_the_full_file_comes(broken: Callable[[Site], None], site: Site) -> None:
    await asyncio.to_thread(broken, site)
    result = await site.update()
    assert (result["kind"], result["mirror"]) == ("full", site.full.url)
    assert len(NEW) <= result["bytes_fetched"] <= len(NEW) + 2 * len(site.patch.content)


PROGRAMS = {
    "is missing": None,
    "fails": "#!/bin/sh\nexit 1\n",
    "is killed": "#!/bin/sh\nkill -9 $$\n",
    "says well done and makes nothing": "#!/bin/sh\n",
    "has no memory": '#!/bin/sh\nulimit -v 20000\nexec /usr/bin/xdelta3 "$@"\n',
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
async def test_whatever_the_program_does_the_full_file_comes(
    program: str | None, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = site.folder / "bin"
    folder.mkdir()
    if program is None:
        monkeypatch.setenv("PATH", str(folder))
    else:
        (folder / "xdelta3").write_text(program)
        (folder / "xdelta3").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    said: list[str] = []
    monkeypatch.setattr("client.appliance.worker._log", lambda line: said.append(line["text"]))
    assert (await site.update())["kind"] == "full"
    assert ["a/image is fetched whole" in line for line in said] == [True]
    assert program is not None or "is not installed" in said[0]


async def test_little_is_missing_so_no_patch_is_fetched(site: Site) -> None:
    site.part.write_bytes(NEW[:-100])
    assert await site.update() == {"kind": "full", "bytes_fetched": 100, "mirror": site.full.url}
    assert site.patch.requests == []


async def test_a_worker_killed_while_it_patches_goes_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = site.folder / "bin"
    folder.mkdir()
    (folder / "xdelta3").write_text("#!/bin/sh\nexec sleep 60\n")
    (folder / "xdelta3").chmod(0o755)
    with monkeypatch.context() as slow:
        slow.setenv("PATH", f"{folder}:/usr/bin:/bin")
        patching = asyncio.Event()
        doing = asyncio.create_task(
            run_worker("patch", site.order(), on_progress=lambda s: s["step"] == "patching" and patching.set())
        )
        async with asyncio.timeout(60):
            await patching.wait()
        (worker,) = [one for one in psutil.Process().children() if "worker" in one.cmdline()]
        (program,) = worker.children()
        worker.send_signal(signal.SIGKILL)
        await asyncio.gather(doing, return_exceptions=True)
        # It was tied to the worker: nothing goes on behind our back.
        who = process.identity(program.pid)
        assert who is None or await process.wait_gone(who, 20)
    before = site.patch.sent
    assert (await site.update())["kind"] == "patch"
    assert site.patch.sent == before


async def test_a_disk_that_is_too_small_is_said(site: Site, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", small], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode()}")
    try:
        site.to, site.part = small / "new", small / "new.part"
        with pytest.raises(DiskFull) as caught:
            await run_worker("patch", site.order())
        assert caught.value.needed_bytes >= len(NEW)
    finally:
        subprocess.run(["umount", small], check=True)


def test_one_percent_of_a_large_image_costs_little_and_takes_little_memory(tmp_path: Path) -> None:
    chance = random.Random(1)
    old, new, out, again = (tmp_path / name for name in ("old", "new", "patch", "again"))
    with old.open("wb") as one, new.open("wb") as two:
        for _ in range(100):
            block = chance.randbytes(2**20)
            one.write(block)
            place = chance.randrange(2**20 - 10_000)
            two.write(block[:place] + chance.randbytes(10_000) + block[place + 10_000 :])
    make_patch(old, new, out)
    assert out.stat().st_size < 0.015 * new.stat().st_size
    subprocess.run(["xdelta3", "-d", "-B", str(xdelta._APPLY_WINDOW), "-s", old, out, again], check=True)
    assert subprocess.run(["cmp", new, again], check=False).returncode == 0
    with pytest.raises(CommandFailed):
        make_patch(tmp_path / "no such file", new, out)
    assert not out.exists()


def test_the_names_of_the_publisher_s_files_are_not_told(site: Site) -> None:
    assert str(site.folder).encode() not in site.patch.content
