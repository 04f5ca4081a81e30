"""What an attacker can do to a catalogue and cannot do to its client: real servers, real signatures."""

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, TargetFile, Targets

from client.appliance.catalog import Catalog
from client.appliance.errors import (
    ApplianceError,
    CatalogExpired,
    CatalogRefused,
    CatalogRootWrong,
    CatalogUnreachable,
    ClockWrong,
)
from client.appliance.publish import renewal
from client.appliance.publish.keyring import KeyRing
from client.appliance.publish.layout import ProjectFolder, target_file
from client.appliance.publish.store import take_bytes
from client.appliance.target import Target
from tests.helpers.catalogue import START, Server, Shop, Volunteer, answer, dripping, endless, served, versions

pytestmark = pytest.mark.integration
OLD, NEW = ["demo/thin 1.0"], ["demo/thin 1.1", "demo/thin 1.0"]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    shop.add(version="1.0", content=b"image one")
    return shop


@pytest.fixture
def server(shop: Shop) -> Iterator[Server]:
    with served(shop) as server:
        yield server


@pytest.fixture
def volunteer(shop: Shop, server: Server, tmp_path: Path) -> Volunteer:
    return Volunteer(shop, tmp_path / "trust", server)


def refused(volunteer: Volunteer, code: str = CatalogRefused.code) -> list[str]:
    """What the client shows when it refuses what the server has: the last good state, and the reason."""
    found = volunteer.refresh()
    assert not found.is_fresh
    assert found.problem is not None and found.problem["code"] == code, found.problem
    return versions(found)


def refused_whole(volunteer: Volunteer) -> ApplianceError:
    """The error when there is no good state either."""
    shutil.rmtree(volunteer.folder, ignore_errors=True)
    with pytest.raises(ApplianceError) as caught:
        volunteer.refresh()
    return caught.value


def targets_of(found: Catalog) -> list[Target]:
    """Everything in a catalogue that could be fetched."""
    every: list[Target | None] = []
    for project in found.projects:
        every += [project.picture, project.project_file, *project.templates.values()]
        for one in project.appliances:
            every += [one.manifest, one.context, one.sources, *one.files.values()]
    return [one for one in every if one]


def test_the_client_sees_what_is_published(shop: Shop, server: Server, volunteer: Volunteer) -> None:
    assert volunteer.versions() == OLD
    shop.add(version="1.1", content=b"image two")
    found = volunteer.refresh()
    assert found.is_fresh and versions(found) == NEW
    image = found.choose("thin", "9").files["thin.qcow2"]
    assert (image.size_bytes, image.urls[0].startswith(f"{server.base}targets/demo/thin/1.1/")) == (9, True)


# Rollback


def test_an_older_whole_state_is_refused(shop: Shop, server: Server, volunteer: Volunteer, tmp_path: Path) -> None:
    shutil.copytree(shop.folder.public, tmp_path / "old")
    shop.add(version="1.1", content=b"image two")
    assert volunteer.versions() == NEW
    server.folder = tmp_path / "old"
    assert refused(volunteer) == NEW


def test_an_older_snapshot_is_refused_though_the_timestamp_is_new(shop: Shop, volunteer: Volunteer) -> None:
    old = shop.catalogue.repository.snapshot.signed.version
    shop.add(version="1.1", content=b"image two")
    assert volunteer.versions() == NEW
    shop.forge({}, snapshot=old)
    assert refused(volunteer) == NEW


@pytest.mark.parametrize("role", ["targets", "demo"])
def test_an_older_list_is_refused_though_the_snapshot_is_new(shop: Shop, volunteer: Volunteer, role: str) -> None:
    shop.add(version="1.1", content=b"image two")
    renewal.renew(shop.catalogue, everything=True)
    assert volunteer.versions() == NEW
    shop.forge({}, **{role: shop.catalogue.repository.lists[role].signed.version - 1})
    assert refused(volunteer) == NEW


def test_a_list_that_vanishes_from_the_snapshot_is_refused(shop: Shop, volunteer: Volunteer) -> None:
    assert volunteer.versions() == OLD
    repository = shop.catalogue.repository
    del repository.snapshot.signed.meta["demo.json"]
    repository.snapshot.signed.version += 1
    shop.sign(repository.snapshot, shop.catalogue.ring, "snapshot")
    shop.write("snapshot", repository.snapshot)
    shop.forge({}, snapshot=repository.snapshot.signed.version)
    assert refused(volunteer) == OLD


# Freeze


def test_a_state_that_is_shown_for_ever_ends(shop: Shop, server: Server, volunteer: Volunteer) -> None:
    assert volunteer.versions() == OLD
    shop.later(days=6.9)
    assert volunteer.refresh().is_fresh
    shop.later(days=0.2)
    with pytest.raises(CatalogExpired) as caught:
        volunteer.refresh()
    assert (caught.value.part, caught.value.expired_at) == ("timestamp", "2026-03-08 12:00 UTC")


def test_a_fresh_timestamp_does_not_prolong_the_rest(shop: Shop, volunteer: Volunteer) -> None:
    for part, days in (("snapshot", 31), ("list of projects", 181), ("root", 366)):
        shop.now = START + timedelta(days=days)
        if part == "snapshot":
            shop.catalogue.repository.renew_timestamp(shop.catalogue.ring)
        else:
            renewal.renew(shop.catalogue)
        error = refused_whole(volunteer)
        assert isinstance(error, CatalogExpired) and error.part == part


def test_a_project_that_lets_its_list_expire_hides_only_itself(shop: Shop, volunteer: Volunteer) -> None:
    shop.add("other", "thick", "3")
    shop.later(days=170)
    other = shop.project("other")
    other.sign()
    shop.accept(other.folder.outbox)
    shop.later(days=20)
    renewal.renew(shop.catalogue, everything=True)
    found = volunteer.refresh()
    assert versions(found) == ["other/thick 3"]
    assert "good until" in found.project("demo").problem


# Mix and match


def test_a_list_of_another_moment_is_refused(shop: Shop, server: Server, volunteer: Volunteer) -> None:
    old = shop.listed("demo").to_bytes()
    shop.add(version="1.1", content=b"image two")
    version = shop.catalogue.repository.lists["demo"].signed.version
    server.lie(f"{version}.demo.json", old)
    found = volunteer.refresh()
    assert versions(found) == []
    assert "other bytes" in found.project("demo").problem


@pytest.mark.parametrize("role", ["targets", "snapshot"])
def test_lists_of_two_moments_are_refused(shop: Shop, server: Server, volunteer: Volunteer, role: str) -> None:
    assert volunteer.versions() == OLD
    repository = shop.catalogue.repository
    old = repository.snapshot if role == "snapshot" else repository.lists[role]
    content = shop.folder.metadata_file(role, old.signed.version).read_bytes()
    renewal.renew(shop.catalogue, everything=True)
    repository = shop.catalogue.repository
    new = repository.snapshot if role == "snapshot" else repository.lists[role]
    server.lie(f"{new.signed.version}.{role}.json", content)
    assert refused(volunteer) == OLD


def test_the_mirrored_files_of_another_catalogue_are_refused(shop: Shop, server: Server, volunteer: Volunteer) -> None:
    listed = shop.catalogue.repository.lists["targets"].signed.targets["catalog.json"]
    server.lie(f"{listed.hashes['sha256']}.catalog.json", b'{"schema": 1, "projects": []}' + b" " * 200)
    assert isinstance(refused_whole(volunteer), CatalogUnreachable | CatalogRefused)


# Stolen keys


def test_the_online_keys_cannot_sign_software(shop: Shop, volunteer: Volunteer) -> None:
    assert volunteer.versions() == OLD
    evil = shop.listed("demo")
    evil.signed.version += 1
    evil.signed.targets["demo/thin/1.0/thin.qcow2"] = TargetFile(4, {"sha256": "0" * 64}, "demo/thin/1.0/thin.qcow2")
    shop.sign(evil, shop.catalogue.ring, "timestamp", "snapshot")
    shop.forge({"demo": evil})
    found = volunteer.refresh()
    assert versions(found) == []
    assert "signatures are missing" in found.project("demo").problem


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_a_revoked_key_signs_nothing_any_more(shop: Shop, volunteer: Volunteer, tmp_path: Path, role: str) -> None:
    assert volunteer.versions() == OLD
    stolen = tmp_path / "stolen"
    stolen.mkdir()
    ring = shop.catalogue.ring
    for path in ring.files().values():
        shutil.copy(path, stolen)
    renewal.rotate(shop.catalogue, role)
    assert volunteer.refresh().is_fresh
    repository = shop.catalogue.repository
    thief = KeyRing([stolen])
    one: Any = {"timestamp": repository.timestamp, "snapshot": repository.snapshot}.get(role) or repository.lists[role]
    one.signed.version += 1
    shop.sign(one, thief, role)
    if role == "timestamp":
        shop.write(role, one)
    elif role == "snapshot":
        shop.write(role, one)
        shop.forge({}, snapshot=one.signed.version)
    else:
        shop.forge({role: one})
    assert refused(volunteer) == OLD


def test_a_rotated_root_is_followed_over_many_steps(shop: Shop, volunteer: Volunteer) -> None:
    assert volunteer.versions() == OLD
    for role in ("root", "timestamp", "root", "snapshot", "targets", "root"):
        renewal.rotate(shop.catalogue, role)
    shop.add(version="1.1", content=b"image two")
    assert volunteer.versions() == NEW
    assert shop.catalogue.repository.root.signed.version == 7


def test_a_root_that_came_with_the_program_needs_no_other(shop: Shop, server: Server, volunteer: Volunteer) -> None:
    renewal.rotate(shop.catalogue, "root")
    shop.catalogue.write_for_clients()
    # What the program brought along is of the past by now, and the first root is nowhere any more.
    shipped = shop.base / "root.json"
    shutil.copy(shop.folder.clients / "root.json", shipped)
    renewal.rotate(shop.catalogue, "root")
    shop.folder.metadata_file("root", 1).unlink()
    assert versions(volunteer.refresh(root=str(shipped))) == OLD
    evil = Shop(shop.base / "evil")
    evil.add(version="6.6", content=b"evil")
    server.folder = evil.folder.public
    assert versions(volunteer.refresh(root=str(shipped))) == OLD


def test_a_root_that_the_old_keys_did_not_sign_is_refused(shop: Shop, volunteer: Volunteer) -> None:
    assert volunteer.versions() == OLD
    root = shop.catalogue.repository.root
    thief = KeyRing([shop.base / "thief"])
    for keyid in list(root.signed.roles["root"].keyids):
        root.signed.revoke_key(keyid, "root")
    root.signed.add_key(thief.make("root", shop.base / "thief"), "root")
    root.signed.version += 1
    shop.sign(root, thief, "root")
    shop.write("root", root)
    assert refused(volunteer) == OLD


def test_a_fast_forward_is_healed_by_new_keys(shop: Shop, volunteer: Volunteer) -> None:
    repository = shop.catalogue.repository
    repository.timestamp.signed.version = 10**9
    shop.sign(repository.timestamp, shop.catalogue.ring, "timestamp")
    shop.write("timestamp", repository.timestamp)
    assert volunteer.versions() == OLD
    good = shop.catalogue
    good.repository.timestamp.signed.version = 5
    good.repository.timestamp.signatures.clear()
    renewal.rotate(good, "timestamp")
    assert volunteer.refresh().is_fresh


def test_fewer_signatures_than_asked_for_are_none(tmp_path: Path) -> None:
    shop = Shop(tmp_path, keys=2, threshold=2)
    shop.add()
    with served(shop) as server:
        volunteer = Volunteer(shop, tmp_path / "trust", server)
        assert volunteer.versions() == OLD
        listed = shop.catalogue.next_targets()
        one = sorted(shop.catalogue.repository.root.signed.roles["targets"].keyids)[0]
        listed.signatures.clear()
        shop.catalogue.ring.sign(listed, "targets", [one], 1)
        shop.forge({"targets": listed})
        assert refused(volunteer) == OLD


# Servers that do not stop, or are slow


@pytest.mark.parametrize("end", ["timestamp.json", "1.root.json", "2.root.json", "snapshot.json", "catalog.json"])
def test_endless_data_is_cut(server: Server, volunteer: Volunteer, end: str) -> None:
    server.lies[end] = endless(server)
    assert isinstance(refused_whole(volunteer), CatalogUnreachable | CatalogRefused)
    # What is on its way already, in buffers of two sockets, counts as well.
    assert server.sent_bytes < 16e6


@pytest.mark.parametrize("headers", [False, True])
def test_a_dripping_server_is_left(server: Server, volunteer: Volunteer, headers: bool) -> None:
    server.lies["timestamp.json"] = dripping(server, headers=headers)
    with pytest.raises(CatalogUnreachable):
        volunteer.refresh(stall_s=1, whole_s=1)


def test_a_second_address_helps_when_the_first_is_slow_lying_or_old(
    shop: Shop, server: Server, volunteer: Volunteer, tmp_path: Path
) -> None:
    assert volunteer.versions() == OLD
    shutil.copytree(shop.folder.public, tmp_path / "old")
    shop.add(version="1.1", content=b"image two")
    with served(shop) as second:
        for lie in (dripping(server), lambda handler: answer(handler, b"{}"), lambda handler: handler.send_error(500)):
            server.lies["timestamp.json"] = lie
            both = Volunteer(shop, tmp_path / "both", server, second)
            found = both.refresh(stall_s=5, whole_s=5)
            assert found.is_fresh and versions(found) == NEW
        server.lies.clear()
        server.folder = tmp_path / "old"
        found = Volunteer(shop, tmp_path / "fresh", server, second).refresh()
        assert found.is_fresh and versions(found) == NEW


# Other software, other roles


def test_another_catalogue_in_its_place_is_refused(shop: Shop, server: Server, volunteer: Volunteer) -> None:
    assert volunteer.versions() == OLD
    evil = Shop(shop.base / "evil")
    evil.add(version="6.6", content=b"evil")
    server.folder = evil.folder.public
    assert refused(volunteer) == OLD
    assert isinstance(refused_whole(volunteer), CatalogRootWrong)


def test_a_project_cannot_name_files_of_others(shop: Shop, volunteer: Volunteer) -> None:
    shop.add("other", "thick", "3")
    mine = shop.listed("demo")
    mine.signed.version += 1
    stolen = shop.listed("other").signed.targets
    mine.signed.targets |= stolen
    mine.signed.targets["catalog.json"] = TargetFile(4, {"sha256": "0" * 64}, "catalog.json")
    mine.signed.targets["demo/a/b/c/d/deep.img"] = TargetFile(4, {"sha256": "0" * 64}, "demo/a/b/c/d/deep.img")
    shop.sign(mine, KeyRing([shop.folder.project("demo").keys]), "demo")
    shop.forge({"demo": mine})
    found = volunteer.refresh()
    assert found.is_fresh and versions(found) == [*OLD, "other/thick 3"]
    shop.catalogue.withdraw("other")
    assert volunteer.versions() == OLD


def test_another_projects_list_is_not_taken_for_ones_own(shop: Shop, volunteer: Volunteer) -> None:
    shop.add("other", "thick", "3")
    other = shop.listed("other")
    other.signed.version = shop.listed("demo").signed.version + 1
    shop.sign(other, KeyRing([shop.folder.project("other").keys]), "other")
    shop.forge({"demo": other})
    found = volunteer.refresh()
    assert versions(found) == ["other/thick 3"]
    assert "signatures" in found.project("demo").problem


@pytest.mark.parametrize("to", ["Targets", "timestamp2", "root.json", "../up"])
def test_a_project_cannot_delegate_further(shop: Shop, volunteer: Volunteer, to: str) -> None:
    mine = shop.listed("demo")
    mine.signed.version += 1
    mine.signed.delegations = Delegations({}, {to: DelegatedRole(to, [], 1, True, paths=["demo/*/*/*"])})
    shop.sign(mine, KeyRing([shop.folder.project("demo").keys]), "demo")
    shop.forge({"demo": mine})
    found = volunteer.refresh()
    assert versions(found) == [] and "delegates further" in found.project("demo").problem
    assert not list(volunteer.folder.rglob("*argets.json.json"))


# What lies on the client's own disk


def test_tampered_files_on_disk_are_not_believed(shop: Shop, server: Server, volunteer: Volunteer) -> None:
    assert volunteer.versions() == OLD
    for path in [path for path in volunteer.folder.rglob("*.json") if path.is_file()]:
        before = path.read_bytes()
        for content in (
            before.replace(b"1.0", b"6.6").replace(b"thin", b"evil"),
            before[: len(before) // 2],
            b"",
            b"[]",
        ):
            path.write_bytes(content)
            found = volunteer.refresh()
            assert found.is_fresh and versions(found) == OLD, path
            path.write_bytes(before)


def test_what_a_killed_refresh_left_is_cleared_away(volunteer: Volunteer) -> None:
    assert volunteer.versions() == OLD
    before = sorted(volunteer.folder.rglob("*"))
    (volunteer.folder / ".kept.json.x1").write_text("half")
    (volunteer.folder / "seen" / ".timestamp.json.x2").write_text("half")
    (volunteer.folder / ".kept-x3").mkdir()
    assert volunteer.versions() == OLD
    assert sorted(volunteer.folder.rglob("*")) == before


def test_a_tampered_kept_state_is_not_used_offline(shop: Shop, server: Server, volunteer: Volunteer) -> None:
    assert volunteer.versions() == OLD
    server.lies["/"] = server.lies[".json"] = lambda handler: handler.send_error(503)
    assert refused(volunteer, CatalogUnreachable.code) == OLD
    kept = volunteer.folder / "kept.json"
    said = json.loads(kept.read_bytes())
    name = next(name for name in said["lists"] if name.endswith("demo.json"))
    said["lists"][name] = said["lists"][name].replace("thin", "evil")
    kept.write_text(json.dumps(said))
    found = volunteer.refresh()
    assert versions(found) == [] and "other bytes" in found.project("demo").problem
    small = next(iter(said["small"]))
    said["small"][small] = b'{"schema": 1, "projects": []}'.hex()
    kept.write_text(json.dumps(said))
    with pytest.raises(CatalogUnreachable):
        volunteer.refresh()


def test_what_was_kept_ends_with_a_key_that_lost_its_trust(shop: Shop, server: Server, volunteer: Volunteer) -> None:
    assert volunteer.versions() == OLD
    kept = (volunteer.folder / "kept.json").read_bytes()
    renewal.rotate(shop.catalogue, "timestamp")
    assert volunteer.refresh().is_fresh
    (volunteer.folder / "kept.json").write_bytes(kept)
    server.lies["timestamp.json"] = lambda handler: handler.send_error(503)
    # The rotation signed with both keys, but what was kept is from before.
    with pytest.raises(CatalogUnreachable):
        volunteer.refresh()


# Offline, and the clock


def test_offline_the_last_good_state_serves_until_it_ends(shop: Shop, server: Server, volunteer: Volunteer) -> None:
    assert volunteer.versions() == OLD
    server.close()
    shop.later(days=6)
    found = volunteer.refresh(contents=["demo/thin/1.0/manifest.json"])
    assert (found.is_fresh, versions(found)) == (False, OLD)
    assert shop.now - found.fetched_at == timedelta(days=6)
    shop.later(days=2)
    with pytest.raises(CatalogUnreachable):
        volunteer.refresh()


def test_small_files_come_with_it_and_serve_offline(shop: Shop, server: Server, volunteer: Volunteer) -> None:
    name = "demo/thin/1.0/manifest.json"
    online = volunteer.refresh(contents=[name, "demo/none.toml"]).contents
    assert list(online) == [name] and json.loads(online[name])["name"] == "thin"
    server.lies[".json"] = lambda handler: handler.send_error(503)
    assert volunteer.refresh(contents=[name]).contents == online


def test_lists_of_projects_that_nobody_wants_are_not_fetched(shop: Shop, server: Server, volunteer: Volunteer) -> None:
    shop.add("other", "thick", "3")
    found = volunteer.refresh(projects=["demo"])
    assert versions(found) == OLD and [one.id for one in found.projects] == ["demo", "other"]
    assert not [path for path in server.asked if "other" in path]
    assert versions(volunteer.refresh()) == [*OLD, "other/thick 3"]
    volunteer.refresh(projects=["demo"])
    server.close()
    assert volunteer.versions() == [*OLD, "other/thick 3"], "what was kept of the others stays"


@pytest.mark.parametrize("days", [-400, -2, 8, 4000])
def test_a_wrong_clock_is_told_as_such(shop: Shop, server: Server, volunteer: Volunteer, days: int) -> None:
    true = shop.now
    server.clock = lambda: true
    shop.later(days=days)
    with pytest.raises(ClockWrong) as caught:
        volunteer.refresh()
    assert caught.value.there == "2026-03-01 12:00 UTC"
    assert caught.value.here == shop.now.strftime("%Y-%m-%d %H:%M UTC")


# The beginning of trust


def test_another_first_root_is_refused(server: Server, volunteer: Volunteer) -> None:
    volunteer.root_sha256 = "0" * 64
    with pytest.raises(CatalogRootWrong):
        volunteer.refresh()


def test_a_root_from_a_file_serves_as_well(shop: Shop, volunteer: Volunteer, tmp_path: Path) -> None:
    pinned = tmp_path / "root.json"
    shutil.copy(shop.folder.clients / "root.json", pinned)
    renewal.rotate(shop.catalogue, "root")
    renewal.rotate(shop.catalogue, "targets")
    volunteer.root_sha256 = ""
    found = volunteer.refresh(root=str(pinned), root_sha256=None)
    assert found.is_fresh and versions(found) == OLD


# Hostile words, truly signed


@pytest.mark.parametrize(
    "custom",
    [
        [],
        "text",
        {"appliance": []},
        {"appliance": {"name": "thin"}},
        {"appliance": {"name": "thin", "version": "1.0", "formats": "qcow2"}},
        {"appliance": {"name": "thin", "version": "1.0", "formats": ["qcow2"], "needs": {"memory_mib": 10**30}}},
        {"appliance": {"name": "thin", "version": "9.9", "formats": ["qcow2"]}},
        {"appliance": {"name": "thin", "version": "1.0", "formats": ["qcow2"], "licence": "a\u202eb"}},
        {"appliance": {"name": "thin", "version": "1.0", "formats": ["qcow2"], "context": "../../etc/passwd"}},
        {"appliance": {"name": "thin", "version": "1.0", "formats": ["qcow2"], "sources": "demo/thin/1.0/../x"}},
        {"appliance": "x" * 300_000},
        {"pieces": {"bytes": -1, "sha256": ["0" * 64]}},
        {"pieces": {"bytes": 1, "sha256": "0" * 64}},
        {"patch": {"from": "x", "to": 3}},
    ],
)
def test_hostile_facts_cost_their_appliance_only(shop: Shop, volunteer: Volunteer, custom: Any) -> None:
    shop.add(name="good", version="2", content=b"good")
    mine = shop.listed("demo")
    mine.signed.version += 1
    name = "demo/thin/1.0/" + (
        "manifest.json" if "appliance" in custom or not isinstance(custom, dict) else "thin.qcow2"
    )
    mine.signed.targets[name].unrecognized_fields["custom"] = custom
    shop.sign(mine, KeyRing([shop.folder.project("demo").keys]), "demo")
    shop.forge({"demo": mine})
    found = volunteer.refresh()
    assert versions(found) == ["demo/good 2"]
    assert "thin" in found.project("demo").problem


@pytest.mark.parametrize(
    "name",
    [
        "demo/../../../etc/passwd",
        "demo/thin/1.0/..",
        "/etc/passwd",
        "demo//thin",
        "demo\\thin\\x",
        "demo/thin/1.0/a\u202egpj.exe",
        "demo/thin/1.0/\uff0e\uff0e",
        "demo/thin/1.0/a\x00b",
        "demo/thin/1.0/con.img",
        "demo/thin/1.0/THIN.qcow2",
        "demo/thin/1.0/x.",
        "demo/thin/1.0/%2e%2e",
        "dem\u03bf/thin/1.0/x",
        "demo/" + "x" * 5000,
    ],
)
def test_hostile_names_go_nowhere(shop: Shop, server: Server, volunteer: Volunteer, name: str) -> None:
    mine = shop.listed("demo")
    mine.signed.version += 1
    mine.signed.targets[name] = TargetFile(4, {"sha256": "0" * 64}, name)
    shop.sign(mine, KeyRing([shop.folder.project("demo").keys]), "demo")
    shop.forge({"demo": mine})
    found = volunteer.refresh(contents=[name])
    assert found.contents == {}
    assert not [one for one in targets_of(found) if one.name.lower() == name.lower()]
    assert versions(found) in (OLD, [])
    outside = [path for path in shop.base.rglob("*") if path.is_file() and path.stat().st_size == 4]
    assert outside == []


def test_json_that_is_deep_or_strange_is_refused(shop: Shop, server: Server, volunteer: Volunteer) -> None:
    assert volunteer.versions() == OLD
    deep = b'{"signatures": [], "signed": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001
    odd = [
        deep,
        b"[" * 15_000,
        b'{"signed": NaN}',
        b"9" * 16_000,
        b"\xff\xfe",
        b"null",
        b"",
        b'{"signatures": 3, "signed": 4}',
    ]
    for content in odd:
        server.lie("timestamp.json", content[: 16 * 1024] if content is not deep else content)
        assert refused(volunteer) in (OLD,)


def test_deep_facts_that_are_truly_signed_are_refused(shop: Shop, volunteer: Volunteer) -> None:
    mine = shop.listed("demo")
    mine.signed.version += 1
    deep: Any = "x"
    for _ in range(200):
        deep = [deep]
    mine.signed.targets["demo/thin/1.0/manifest.json"].unrecognized_fields["custom"] = {"appliance": deep}
    shop.sign(mine, KeyRing([shop.folder.project("demo").keys]), "demo")
    shop.forge({"demo": mine})
    assert volunteer.versions() == []


def test_hostile_words_about_projects_are_left_out(shop: Shop, volunteer: Volunteer) -> None:
    catalogue = shop.catalogue
    told = [
        {
            "id": "demo",
            "name": "D\u202e",
            "text": 3,
            "homepage": "javascript:alert(1)",
            "mirrors": ["http://evil/", "http://127.0.0.1:1/x", 4],
        },
        {"id": "../x"},
        {"id": "nobody"},
        "text",
        {"id": ["demo"]},
    ]
    listed = catalogue.next_targets()
    catalogue.folder.targets.mkdir(exist_ok=True)
    body = json.dumps({"schema": 1, "projects": told}).encode()
    listed.signed.targets = {"catalog.json": take_bytes(body, "catalog.json", catalogue.folder.targets)}
    shop.forge({"targets": catalogue.signed(listed)})
    found = volunteer.refresh()
    (project,) = found.projects
    assert (project.name, project.text, project.homepage) == ("demo", "", "")
    assert project.mirrors == ("http://127.0.0.1:1/x/",)
    assert versions(found) == OLD


# The files of a project elsewhere


def test_a_project_on_its_own_machine(shop: Shop, volunteer: Volunteer, tmp_path: Path) -> None:
    folder = ProjectFolder(tmp_path / "atlas")
    project = shop.project("atlas", folder)
    project.add(shop.image("big", "1", b"atlas image"))
    shop.accept(folder.outbox, trust=[key[:16] for key in project.key_ids])
    assert volunteer.versions() == [*sorted(["atlas/big 1", *OLD])]
    evil = Metadata[Targets].from_bytes((folder.outbox / "metadata/atlas.json").read_bytes())
    target = evil.signed.targets["atlas/big/1/big.qcow2"]
    assert target_file(shop.folder.targets, target.path, target.hashes["sha256"]).read_bytes() == b"atlas image"
