"""The upkeep: checks that are interrupted and gone on with, damage that is found; workers are played."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from client.appliance.cache import ApplianceCache
from client.appliance.choice import Wish
from client.appliance.errors import ImageDamaged
from client.appliance.formats import Format
from client.appliance.known import Standing
from client.appliance.own_check import CHECKING_OWN
from client.appliance.own_images import Form, OwnFile, OwnImage
from client.appliance.store import Store
from client.appliance.transfers import Transfers
from client.appliance.upkeep import CHECKING, Faces, Upkeep
from client.appliance.worker import OnProgress, Steering
from client.errors import ClientError
from tests.helpers.client_core import make_manifest, write_appliance
from tests.helpers.clock import FakeClock

ID = hashlib.sha256(make_manifest()).hexdigest()


class Checker:
    """Plays the worker that checks: answers, or tells how far it is and hangs."""

    def __init__(self) -> None:
        self.orders: list[Mapping[str, Any]] = []
        self.bad: list[str] = []
        self.hangs_at = 0
        self.began = asyncio.Event()

    async def __call__(
        self, kind: str, order: Mapping[str, Any], *, on_progress: OnProgress = print, steer: Steering | None = None
    ) -> Mapping[str, Any]:
        assert kind == "verify"
        self.orders.append(order)
        files = [one["target"]["sha256"] for one in order["files"]]
        on_progress({"file": files[0]})
        if self.hangs_at:
            for pieces in range(self.hangs_at + 1):
                on_progress({"step": "checking", "pieces": pieces, "done_bytes": 0, "total_bytes": 100})
            self.began.set()
            await asyncio.Event().wait()
        return {"good": [one for one in files if one not in self.bad], "bad": [one for one in files if one in self.bad]}


class Desk:
    """One store with the tiny appliance, and what its upkeep told."""

    def __init__(self, base: Path) -> None:
        self.base, self.clock, self.checker = base, FakeClock(), Checker()
        self.failed: dict[str, Exception] = {}
        write_appliance(base / "appliances")
        self.open()

    def open(self) -> None:
        self.store = Store(self.base / "appliances", self.base / "vms", self.clock, 1 << 20)
        transfers = Transfers(None, is_held=False, run=self.checker)
        wish = Wish("", ID, "https://c.example/", "1" * 64, "tiny")
        cache = ApplianceCache(self.store, transfers, wish, label="the project", direct=True, now=self._now)
        self.store.known.stand(wish.id, Standing(ID))
        self.upkeep = Upkeep(
            self.store, transfers, cache, Faces(lambda view: None, lambda views, size: None, self._fail)
        )

    def _now(self) -> float:
        return self.clock.now().timestamp()

    def _fail(self, about: str, error: Exception | None) -> None:
        if error is not None:
            self.failed[about] = error

    def asked(self) -> dict[str, int]:
        """File -> from which piece on, of the last check."""
        return {one["target"]["sha256"]: one.get("from_piece", 0) for one in self.checker.orders[-1]["files"]}


async def test_all_is_checked_once_a_month_and_early_only_if_asked(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.upkeep.round(is_early=True)
    assert desk.checker.orders == []
    await desk.upkeep.round()
    assert len(desk.asked()) == 4
    await desk.upkeep.round()
    assert len(desk.checker.orders) == 1
    desk.clock.advance(31 * 86400)
    await desk.upkeep.round()
    assert len(desk.checker.orders) == 2
    desk.upkeep.soon(check=True)
    await desk.upkeep.round(is_early=True)
    assert len(desk.checker.orders) == 3


async def test_an_interrupted_check_is_gone_on_with(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.checker.hangs_at = 130
    going = asyncio.create_task(desk.upkeep.round())
    async with asyncio.timeout(10):
        await desk.checker.began.wait()
    going.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await going
    first = desk.checker.orders[-1]["files"][0]["target"]["sha256"]
    desk.checker.hangs_at = 0
    desk.open()
    await desk.upkeep.round()
    assert desk.asked()[first] == 128
    assert sum(desk.asked().values()) == 128
    assert desk.store.book.entry(first).pieces == 0
    desk.upkeep.soon(check=True)
    await desk.upkeep.round()
    assert not any(desk.asked().values()), "what the user asks for is read from the beginning"


async def test_what_is_found_damaged_loses_its_place(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (victim,) = (tmp_path / "appliances" / "objects").rglob("root.squashfs")
    desk.checker.bad = [victim.parent.name]
    with contextlib.suppress(AssertionError):
        # It is fetched at once, which this worker cannot play.
        await desk.upkeep.round()
    assert not victim.exists()
    assert desk.store.objects.aside(victim.parent.name).exists()


async def test_a_check_that_fails_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def fail(kind: str, order: Mapping[str, Any], **_: Any) -> Mapping[str, Any]:
        raise ClientError

    desk.upkeep._transfers = Transfers(None, is_held=False, run=fail)
    await desk.upkeep.round()
    assert set(desk.failed) == {CHECKING}


def add_own(desk: Desk) -> tuple[str, str]:
    """An own image with one other form; returns the digests of both."""
    files = []
    for data in (b"as it came", b"as it was made"):
        sha256 = hashlib.sha256(data).hexdigest()
        part = desk.store.objects.part(sha256)
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        desk.store.objects.take_in(part, sha256, "disk")
        files.append(sha256)
    form = Form(Format.QCOW2, files[1], len(b"as it was made"))
    file = OwnFile("d.vdi", Format.VDI, files[0], len(b"as it came"), forms=(form,))
    desk.store.own.write(OwnImage("mine", "/home/me/d.vdi", "vdi", "2026-11-20T00:00:00+00:00", (file,)))
    return files[0], files[1]


async def test_own_images_are_checked_once_a_month_and_damage_is_told_until_they_are_gone(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    came, made = add_own(desk)
    await desk.upkeep.round()
    assert set(desk.asked()) == {came, made}
    checks = len(desk.checker.orders)
    await desk.upkeep.round()
    assert len(desk.checker.orders) == checks
    desk.clock.advance(31 * 86400)
    desk.checker.bad = [came]
    for _ in range(2):
        await desk.upkeep.round()
        assert isinstance(desk.failed.pop(CHECKING_OWN), ImageDamaged)
    assert len(desk.checker.orders) == checks + 2, "what is known to be damaged is not read each hour"
    desk.store.own.remove(desk.store.own.find("mine"), {})
    await desk.upkeep.round()
    assert desk.failed == {}


async def test_a_damaged_form_goes_unless_a_machine_lies_over_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    came, made = add_own(desk)
    desk.checker.bad = [made]
    vm = tmp_path / "own" / "o1"
    vm.mkdir(parents=True)
    (vm / "vm.toml").write_text(f'image = "{desk.store.objects.place(made, "")}"')
    await desk.upkeep.round()
    assert isinstance(desk.failed.pop(CHECKING_OWN), ImageDamaged)
    assert desk.store.objects.place(made, "").is_file()
    (vm / "vm.toml").unlink()
    desk.upkeep.soon(check=True)
    await desk.upkeep.round()
    assert not desk.store.objects.place(made, "").exists()
    assert desk.store.objects.place(came, "").is_file()
    assert desk.failed == {}


async def test_what_came_of_an_own_image_goes_when_nobody_goes_on_with_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    coming = desk.store.own.folder / "coming"
    for name in ("old", "new"):
        (coming / name).mkdir(parents=True)
        (coming / name / "x.part").write_bytes(b"begun")
    for path in (coming / "old" / "x.part", coming / "old"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    await desk.upkeep.tidy()
    assert [path.name for path in coming.iterdir()] == ["new"]
