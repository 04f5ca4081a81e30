"""Versions, holds and removals as the core sees them: the fake driver, a real store, workers that are played."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client.appliance.catalog_facts import ApplianceNeeds, Facts
from client.appliance.choice import from_manifest
from client.appliance.errors import CatalogUnreachable
from client.appliance.known import Known, Standing
from client.appliance.objects import Objects
from client.appliances import wish_of
from client.commands import HoldFetching, RemoveImage, Start, Stop, TendStore
from client.hypervisor.spec_file import parse_spec
from client.preferences.store import save
from client.project.definition import load_project
from client.service.images_desk import ImagesDesk
from client.snapshot import Activity, Reason, Severity, VmState
from tests.helpers.client_core import FILES, URL, Rig, make_manifest, quicken

ROOT = "5" * 64


class Publisher:
    """Plays workers: a catalogue with one appliance, of which it publishes one version after the other."""

    def __init__(self, folder: Path) -> None:
        self.objects = Objects(folder)
        self.error: Exception | None = None
        self.facts: Facts | None = None
        self.kinds: list[str] = []
        self.publish("1")

    def publish(self, version: str) -> str:
        said = json.loads(make_manifest()) | {"version": version}
        self.files = {name: data + version.encode() for name, (_, data) in FILES.items()}
        for name, data in self.files.items():
            said["files"][name] |= {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        self.manifest = json.dumps(said).encode()
        self.id = hashlib.sha256(self.manifest).hexdigest()
        return self.id

    async def work(self, kind: str, order: Mapping[str, Any], **_: Any) -> Mapping[str, Any]:
        self.kinds.append(kind)
        if self.error is not None:
            raise self.error
        choice = replace(from_manifest(URL, self.id, self.manifest), facts=self.facts)
        if kind == "look":
            self._put(self.id, "manifest.json", self.manifest)
            return {"choice": choice.to_json(), "is_fresh": True, "problem": None}
        for one in order["files"]:
            name = one["target"]["name"]
            self._put(one["target"]["sha256"], name, self.files[name])
        return {"files": []}

    def _put(self, sha256: str, name: str, data: bytes) -> None:
        part = self.objects.part(sha256)
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        self.objects.take_in(part, sha256, name)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    quicken(monkeypatch)
    rig = Rig(tmp_path)
    rig.prepare()
    return rig


@pytest.fixture
def publisher(rig: Rig) -> Publisher:
    """The rig's project has its appliance out of a catalogue."""
    text = rig.paths.project.read_text()
    head = text[: text.index("[appliance]")]
    catalogue = f'[catalogue]\nurl = "https://c.example/"\nroot_sha256 = "{ROOT}"\n[appliance]\nname = "tiny"\n'
    rig.paths.project.write_text(head + catalogue)
    publisher = Publisher(rig.paths.appliances)
    rig.worker = publisher.work
    return publisher


def version_of_vm(rig: Rig) -> str:
    """Which version the VM's definition names."""
    spec = parse_spec((rig.paths.vms / "work-1" / "spec.json").read_text())
    (system,) = [medium.path for medium in spec.media if medium.role == "system"]
    return system.read_bytes()[4:].decode()


async def test_a_saved_guest_keeps_its_version_and_a_fresh_boot_has_the_new_one(rig: Rig, publisher: Publisher) -> None:
    first = publisher.id
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        assert version_of_vm(rig) == "1"
        await core.handle(Stop())
        await rig.until(lambda s: s.vms[0].state is VmState.SAVED)
        second = publisher.publish("2")
        await core.handle(TendStore(look=True))
        await rig.until(lambda s: {one.version for one in s.store if one.is_whole} == {"1", "2"})
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING and s.vms[0].state is VmState.RUNNING)
        assert version_of_vm(rig) == "1"
        assert rig.tokens == 1
        assert rig.driver is not None
        await rig.driver.power_off("work-1")
        await rig.until(lambda _: rig.tokens == 2)
        seen = await rig.until(lambda s: [one.image_id for one in s.store] == [second])
        assert version_of_vm(rig) == "2"
        assert "the project Test" in seen.store[0].needed_by
    assert Known(rig.paths.appliances / "known").choice(first) is None


async def test_a_catalogue_that_is_away_stops_nobody_who_has_an_appliance(rig: Rig, publisher: Publisher) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
    publisher.error = CatalogUnreachable("https://c.example/", "no route")
    async with rig.running() as core:
        await core.handle(TendStore(look=True))
        seen = await rig.until(lambda s: "catalog-unreachable" in {one.code for one in s.problems})
        assert all(one.severity is not Severity.ERROR for one in seen.problems)
        await rig.until(lambda s: s.activity is Activity.WORKING)
        publisher.error = None
        await core.handle(TendStore(look=True))
        await rig.until(lambda s: not s.problems)


async def test_without_an_appliance_the_cause_is_told_and_it_goes_on_by_itself(rig: Rig, publisher: Publisher) -> None:
    publisher.error = CatalogUnreachable("https://c.example/", "no route")
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: "catalog-unreachable" in {one.code for one in s.problems})
        publisher.error = None
        await rig.until(lambda s: s.activity is Activity.WORKING)
        await rig.until(lambda s: not s.problems)


async def test_nothing_is_looked_for_while_the_program_starts(rig: Rig, publisher: Publisher) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
    project = load_project(rig.paths.project)
    known = Known(rig.paths.appliances / "known")
    known.stand(wish_of(project).id, Standing(publisher.id))
    publisher.kinds.clear()
    async with rig.running() as core:
        await rig.until(lambda s: s.activity is Activity.WORKING and s.store)
        core.appliances.soon()
        await rig.until(lambda s: s.totals.jobs_accepted)
    assert publisher.kinds == []


async def test_what_cannot_run_here_is_refused_before_it_is_fetched(rig: Rig, publisher: Publisher) -> None:
    publisher.facts = Facts("tiny", "1", ("direct",), needs=ApplianceNeeds(cpus=64))
    rig.preferences = {"guest.cpus": 1}
    async with rig.running() as core:
        await core.handle(Start())
        seen = await rig.until(lambda s: s.problems)
        assert seen.problems[0].code == "needs-not-met"
        assert "64 processors" in seen.problems[0].text
    assert "files" not in publisher.kinds


async def test_a_system_without_updates_works_and_is_told_of(rig: Rig, publisher: Publisher) -> None:
    publisher.facts = Facts("tiny", "1", ("direct",), end_of_life="2024-06-30")
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        seen = await rig.until(lambda s: s.problems)
        assert [(one.code, one.severity) for one in seen.problems] == [("appliance-end-of-life", Severity.NOTICE)]
        assert "2024-06-30" in seen.problems[0].text


async def test_holding_is_kept_over_a_restart(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(HoldFetching())
        seen = await rig.until(lambda s: s.fetching_held)
        assert seen.fetching_held is not None
        assert seen.fetching_held.code == "fetching-held"
    async with rig.running() as core:
        await rig.until(lambda s: s.fetching_held)
        await core.handle(HoldFetching(undo=True))
        await rig.until(lambda s: s.fetching_held is None)


async def test_a_metered_network_holds_only_those_who_want_that(rig: Rig) -> None:
    for policy, held in (("wait", True), ("fetch", False)):
        rig.preferences = {"appliances.on_metered": policy}
        async with rig.running() as core:
            core.appliances.note_link(metered=True)
            assert (core.board.facts.fetching_held is not None) is held
            core.appliances.note_link(metered=False)
            assert core.board.facts.fetching_held is None


async def test_the_volunteers_rules_hold_and_say_why(rig: Rig) -> None:
    async with rig.running() as core:
        reason = Reason("network-schedule", "Your schedule has no network now, until 18:00.")
        core.appliances.note_rules(reason)
        assert core.board.facts.fetching_held == reason
        core.appliances.hold()
        core.appliances.note_rules(None)
        held = core.board.facts.fetching_held
        assert held is not None and held.code == "fetching-held"
        core.appliances.hold(False)
        assert core.board.facts.fetching_held is None


async def test_the_system_is_asked_whether_the_network_is_metered(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.appliances.LINK_S", 0.01)
    rig.metered = True
    async with rig.running():
        seen = await rig.until(lambda s: s.fetching_held)
        assert seen.fetching_held is not None
        assert seen.fetching_held.code == "metered-link"
        rig.metered = None
        await rig.until(lambda s: s.fetching_held is None)


async def test_the_store_is_tended_without_a_project_too(rig: Rig) -> None:
    asked: list[str] = []

    async def check(kind: str, order: Mapping[str, Any], **_: Any) -> Mapping[str, Any]:
        asked.append(kind)
        return {"good": [one["target"]["sha256"] for one in order["files"]], "bad": []}

    rig.worker = check
    rig.paths.project.unlink()
    async with rig.running() as core:
        seen = await rig.until(lambda s: s.store)
        assert (seen.store[0].name, seen.store[0].is_whole) == ("tiny", True)
        await core.handle(TendStore(check=True))
        await rig.until(lambda s: s.store[0].checked_at)
    assert set(asked) == {"verify"}


async def test_what_is_needed_is_not_removed_and_why_is_shown(rig: Rig) -> None:
    async with rig.running() as core:
        seen = await rig.until(lambda s: s.store)
        await core.handle(RemoveImage(seen.store[0].image_id))
        after = await rig.until(lambda s: s.problems)
        assert after.problems[0].code == "image-needed"
        assert "the project Test" in after.problems[0].text


async def test_the_desk_lists_removes_and_limits(rig: Rig) -> None:
    said: list[dict[str, Any]] = []

    async def send(one: dict[str, Any]) -> None:
        said.append(one)

    async with rig.running() as core:
        seen = await rig.until(lambda s: s.store)
        desk = ImagesDesk(core.board, core.appliances)
        for word, given in (
            ("list", {}),
            ("remove", {"image": seen.store[0].image_id}),
            ("remove", {"image": "what"}),
            ("limit", {"mib": 100}),
            ("limit", {"mib": -1}),
            ("limit", {"mib": True}),
            ("hold", {}),
            ("go-on", {}),
            ("check", {}),
            ("fly", {}),
        ):
            await desk.answer(f"images {word}", given, send)
        assert [one["ok"] for one in said] == [True, False, False, True, False, False, True, True, True, False]
        assert said[0]["store"][0]["name"] == "tiny"
        json.dumps(said)
        assert core.appliances.store.limit_bytes == 100 << 20
        assert said[1]["error"] == "image-needed"


def test_a_former_standing_is_found_again(rig: Rig, publisher: Publisher) -> None:
    project = load_project(rig.paths.project)
    known = Known(rig.paths.appliances / "known")
    known.stand(wish_of(project).id, Standing("1" * 64))
    moved = replace(project, catalogue_url="https://other.example/")
    assert known.standing(wish_of(moved).id).current == "1" * 64


async def test_limits_that_are_written_hold_at_once(rig: Rig) -> None:
    async with rig.running() as core:
        save(rig.paths.preferences, "appliances.cache_mib", 77)
        await rig.until(lambda _: core.appliances.store.limit_bytes == 77 << 20)
