import asyncio
import errno
import io
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pycdlib
import pytest

from client import __version__
from client.appliance import medium
from client.appliance.agent import build_agent
from client.appliance.blank import BlankMedium
from client.appliance.blank_child import make_blank
from client.appliance.context import ROOM_BYTES, ContextSettings, build_context_medium, fill_medium
from client.appliance.worker_child import Face
from client.errors import BadInput, DiskFull

TOP = Path(__file__).resolve().parents[3]


def settings() -> ContextSettings:
    return ContextSettings(
        vm_id="work-1",
        jid="agent-1@localhost",
        password="short-lived",
        host="10.0.2.100",
        port=5222,
        domain="localhost",
        job_manager="jm@localhost",
        wall_clock=1795187548.0,
        transfer={"127.0.0.1:19094": "10.0.2.101:9094", "127.0.0.1:19443": "10.0.2.103:443"},
        https="127.0.0.1:19443",
    )


def test_a_guest_is_told_of_the_proxy_if_there_is_one() -> None:
    assert "cvmfs" not in settings().to_json()
    told = replace(settings(), cvmfs_proxy="http://10.0.2.102:3128").to_json()
    assert told["cvmfs"] == {"proxy": "http://10.0.2.102:3128"}


def read(path: Path, **place: str) -> bytes:
    iso = pycdlib.PyCdlib()
    iso.open(str(path))
    content = io.BytesIO()
    iso.get_file_from_iso_fp(content, **place)
    iso.close()
    return content.getvalue()


def test_both_name_systems_hold_the_files(tmp_path: Path) -> None:
    path = tmp_path / "new" / "work-1.iso"
    build_context_medium(path, settings().to_json(), b"the agent")
    for kind in ("rr_path", "joliet_path"):
        assert read(path, **{kind: "/agent.pyz"}) == b"the agent"
        assert json.loads(read(path, **{kind: "/context.json"})) == settings().to_json()


class Workers:
    """Workers in this process: what they were asked for, and what they fail with."""

    def __init__(self, *errors: DiskFull) -> None:
        self.asked: list[str] = []
        self.errors = list(errors)

    async def run(self, kind: str, order: Mapping[str, Any], **_: Any) -> Mapping[str, Any]:
        self.asked.append(kind)
        if self.errors:
            raise self.errors.pop()
        return make_blank(order, Face(io.StringIO()))


async def test_a_blank_medium_is_made_once_and_filled_for_each_boot(tmp_path: Path) -> None:
    workers = Workers()
    blank = BlankMedium(tmp_path / "blank.iso", workers.run)
    blank.begin()
    agent = build_agent(__version__)
    for number in (1, 22):
        path = tmp_path / f"{number}.iso"
        fill_medium(path, {"n": number}, await blank.get())
        for kind in ("rr_path", "joliet_path"):
            assert json.loads(read(path, **{kind: "/context.json"})) == {"n": number}
            assert read(path, **{kind: "/agent.pyz"}) == agent
    assert workers.asked == ["context"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (tmp_path / "blank.iso").unlink()
    assert (await blank.get()).path.exists()
    await blank.close()


async def test_a_blank_medium_that_failed_is_tried_again(tmp_path: Path) -> None:
    workers = Workers(DiskFull("there", 1, 0))
    blank = BlankMedium(tmp_path / "blank.iso", workers.run)
    with pytest.raises(DiskFull):
        await blank.get()
    assert (await blank.get()).path.exists()
    assert workers.asked == ["context", "context"]


async def test_a_boot_that_is_called_off_does_not_call_off_the_medium(tmp_path: Path) -> None:
    goes_on, workers = asyncio.Event(), Workers()

    async def slow(kind: str, order: Mapping[str, Any], **_: Any) -> Mapping[str, Any]:
        await goes_on.wait()
        return await workers.run(kind, order)

    blank = BlankMedium(tmp_path / "blank.iso", slow)
    boot = asyncio.create_task(blank.get())
    await asyncio.sleep(0)
    boot.cancel()
    await asyncio.gather(boot, return_exceptions=True)
    goes_on.set()
    assert (await blank.get()).path.exists()
    assert workers.asked == ["context"]


def test_settings_that_are_too_long_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        build_context_medium(tmp_path / "a.iso", {"x": "y" * ROOM_BYTES}, b"")
    assert list(tmp_path.iterdir()) == []


def test_label_is_where_the_guest_looks(tmp_path: Path) -> None:
    build_context_medium(tmp_path / "a.iso", {}, b"")
    image = (tmp_path / "a.iso").read_bytes()
    assert image[32769:32774] == b"CD001"
    assert image[32808:32840] == b"CONTEXT".ljust(32)


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    old_mask = os.umask(0)
    try:
        build_context_medium(tmp_path / "a.iso", {}, b"")
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE((tmp_path / "a.iso").stat().st_mode) == 0o600


def test_an_old_one_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.iso"
    (tmp_path / "a.iso.part").write_bytes(b"left by a kill")
    build_context_medium(path, {"n": 1}, b"")
    build_context_medium(path, {"n": 2}, b"")
    assert json.loads(read(path, rr_path="/context.json")) == {"n": 2}
    assert [found.name for found in tmp_path.iterdir()] == ["a.iso"]


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(medium.os, "open", no_space)
    with pytest.raises(DiskFull):
        build_context_medium(tmp_path / "a.iso", {}, b"")
    assert list(tmp_path.iterdir()) == []


def test_settings_have_the_documented_form() -> None:
    text = (TOP / "docs/context-medium.md").read_text(encoding="utf-8")
    block = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert block
    documented = json.loads(block[1])
    said = settings().to_json()
    assert said.keys() == documented.keys()
    for part in ("agent", "job", "link", "network"):
        assert said[part].keys() == documented[part].keys()


def test_the_token_is_not_shown() -> None:
    assert "short-lived" not in repr(settings())
