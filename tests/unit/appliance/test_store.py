"""The store on disk: what is remembered, who needs what, hands that meddle, clocks that jump."""

import contextlib
import hashlib
import json
import threading
from pathlib import Path

import pytest

from client.appliance.book import Book, moment
from client.appliance.catalog_facts import ApplianceNeeds, Facts
from client.appliance.choice import Choice, Wish, from_manifest, read_choice
from client.appliance.errors import (
    BadManifest,
    DiskBudgetSmall,
    ImageNeeded,
    NeedsNotMet,
    NoSuchImage,
    StoreTooSmall,
)
from client.appliance.known import Known, Standing
from client.appliance.needs import Offer, check_needs, unmet
from client.appliance.objects import Objects
from client.appliance.references import needed_by_vms
from client.appliance.store import Census, Store, used_choices
from client.appliance.target import Target
from client.appliance.upkeep import find_image, store_views
from client.messages import sentence
from tests.helpers.clock import FakeClock

ONE, TWO, THREE = (hashlib.sha256(word).hexdigest() for word in (b"one", b"two", b"three"))


def make_choice(version: str, *files: str) -> Choice:
    manifest = Target("manifest.json", 5, hashlib.sha256(version.encode()).hexdigest())
    return Choice(
        "thin", version, manifest, {f"f{sha256[:4]}": Target(f"f{sha256[:4]}", 5, sha256) for sha256 in files}
    )


def put(objects: Objects, sha256: str, data: bytes = b"12345", name: str = "file") -> Path:
    part = objects.part(sha256)
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(data)
    objects.take_in(part, sha256, name)
    return objects.place(sha256, name)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "appliances", tmp_path / "vms", FakeClock(), 1000)


def fill(store: Store, choice: Choice) -> None:
    store.known.add(choice)
    for target in choice.targets:
        put(store.objects, target.sha256)


def test_one_content_has_one_place_whatever_it_is_called(store: Store) -> None:
    path = put(store.objects, ONE, name="kernel")
    assert put(store.objects, ONE, name="vmlinux") == path
    assert store.objects.place(ONE, "other") == path
    assert not path.stat().st_mode & 0o222
    assert store.objects.sizes() == {ONE: 5}


def test_mended_files_have_the_time_that_disks_over_them_know(store: Store) -> None:
    before = put(store.objects, ONE).stat().st_mtime_ns
    store.objects.set_aside(ONE)
    assert not store.objects.has(ONE, 5)
    assert put(store.objects, ONE).stat().st_mtime_ns == before
    assert not store.objects.aside(ONE).exists()


def test_the_book_knows_order_not_time(tmp_path: Path) -> None:
    clock = FakeClock()
    book = Book(tmp_path / "store.json", clock)
    book.used([ONE])
    clock.advance(-10 * 365 * 86400)
    book.used([TWO])
    assert book.entry(TWO).used > book.entry(ONE).used
    again = Book(tmp_path / "store.json", clock)
    assert again.entry(ONE) == book.entry(ONE)


def test_a_clock_that_was_ahead_does_not_put_checks_off_for_ever(tmp_path: Path) -> None:
    clock = FakeClock()
    book = Book(tmp_path / "store.json", clock)
    clock.advance(20 * 365 * 86400)
    book.checked([ONE])
    assert not book.is_due(ONE, 86400)
    clock.advance(-20 * 365 * 86400)
    assert book.is_due(ONE, 30 * 86400)
    book.checked([ONE])
    assert not book.is_due(ONE, 86400)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"files": 3}',
        '{"files": {"x": 7}}',
        '{"files": {"x": {"used": -1, "checked_at": 1e400}}}',
        "[" * 9999,
    ],
)
def test_a_damaged_book_is_an_empty_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "store.json").write_text(text)
    book = Book(tmp_path / "store.json", FakeClock())
    assert book.is_due(ONE, 86400)
    book.used([ONE])
    assert book.entry(ONE).used == 1


def test_times_for_people() -> None:
    assert moment(0.0) is None
    assert moment(1e12) is None
    found = moment(86400.0)
    assert found is not None and found.isoformat() == "1970-01-02T00:00:00+00:00"


def test_everything_in_a_vms_folder_that_names_a_file_needs_it(tmp_path: Path) -> None:
    vm = tmp_path / "vms" / "work-1"
    (vm / "snapshots" / "000001-x").mkdir(parents=True)
    (vm / "spec.json").write_text(json.dumps({"path": rf"C:\base\appliances\objects\{ONE[:2]}\{ONE}\a"}))
    (vm / "snapshots" / "000001-x" / "scratch.qcow2").write_bytes(b"QFI\xfb" + f"/b/objects/{TWO[:2]}/{TWO}/s".encode())
    (vm / "system.iso").symlink_to(f"/b/appliances/objects/{THREE[:2]}/{THREE}/x.iso")
    (vm / "console.log").write_text(f"objects/00/{'0' * 64}/lies")
    assert needed_by_vms(tmp_path / "vms") == {sha256: {"work-1"} for sha256 in (ONE, TWO, THREE)}
    assert needed_by_vms(tmp_path / "nothing") == {}


def test_what_cannot_be_read_is_no_reason_to_remove_anything(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, make_choice("1", ONE))

    def refuse(vms: Path) -> dict[str, frozenset[str]]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("client.appliance.store.needed_by_vms", refuse)
    store.limit_bytes = 0
    assert store.tidy() == 0
    assert store.make_room(10) == 0
    assert store.objects.has(ONE, 5)


def test_a_version_is_used_by_whoever_has_most_of_it() -> None:
    old, new = make_choice("1", ONE, TWO), make_choice("2", ONE, THREE)
    assert used_choices([old, new], {ONE, THREE}) == {new.id}
    assert used_choices([old, new], {ONE}) == {old.id, new.id}
    assert used_choices([old, new], {"0" * 64}) == set()


def test_a_version_that_is_over_goes_and_what_both_have_stays(store: Store) -> None:
    old, new = make_choice("1", ONE, TWO), make_choice("2", ONE, THREE)
    fill(store, old)
    fill(store, new)
    store.known.stand("w", Standing(new.id))
    store.known.pin("project", "the project", {target.sha256 for target in new.targets})
    assert store.tidy() == 10
    assert store.known.choice(old.id) is None
    assert set(store.objects.sizes()) == {target.sha256 for target in new.targets}


def test_removing_says_who_needs_it(store: Store) -> None:
    choice = make_choice("1", ONE)
    fill(store, choice)
    store.known.pin("project", "the project Demo", {choice.id, ONE})
    with pytest.raises(ImageNeeded) as refused:
        store.remove(choice)
    assert refused.value.who == "the project Demo"
    store.known.pin("project", "", ())
    assert store.remove(choice) == 10
    assert store.objects.sizes() == {}


def test_strangers_are_removed_and_workers_are_not_disturbed(store: Store, tmp_path: Path) -> None:
    choice = make_choice("1", ONE)
    fill(store, choice)
    store.known.stand("w", Standing(choice.id))
    objects = tmp_path / "appliances" / "objects"
    (objects / "holiday").mkdir()
    (objects / "holiday" / "photo.jpg").write_bytes(b"x")
    (objects / "note.txt").write_text("x")
    (tmp_path / "appliances" / "parts" / "thumbs.db").write_bytes(b"x")
    coming = objects / TWO[:2] / TWO
    coming.mkdir(parents=True)
    with store.holding([Target("x", 5, TWO)]):
        store.tidy()
        assert coming.is_dir()
    store.tidy()
    assert not coming.exists()
    assert [path.name for path in objects.iterdir() if path.is_file() or len(path.name) > 2] == []
    assert store.objects.has(ONE, 5)
    assert not (tmp_path / "appliances" / "parts" / "thumbs.db").exists()


def test_what_is_on_its_way_in_stays_though_nothing_names_it_yet(store: Store) -> None:
    with store.arriving():
        path = put(store.objects, ONE)
        store.tidy()
        assert path.is_file()
    store.tidy()
    assert not path.exists()


def test_what_arrives_while_somebody_tidies_up_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    choice, census, arrival = make_choice("1", ONE), store.census, contextlib.ExitStack()
    arrival.enter_context(store.arriving())
    path = put(store.objects, choice.manifest.sha256)

    def census_before_it_is_known() -> Census:
        seen = census()
        store.known.add(choice)
        arrival.close()
        return seen

    monkeypatch.setattr(store, "census", census_before_it_is_known)
    store.tidy()
    assert path.is_file()
    assert store.known.choice(choice.id) == choice


def test_nobody_who_holds_files_waits_until_all_is_tidied_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    choice, census, hold = make_choice("1", ONE), store.census, contextlib.ExitStack()
    path = put(store.objects, ONE)

    def census_while_another_begins_to_hold() -> Census:
        seen = census()
        thread = threading.Thread(target=lambda: hold.enter_context(store.holding(choice.targets)))
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        return seen

    monkeypatch.setattr(store, "census", census_while_another_begins_to_hold)
    with hold:
        store.tidy()
        assert path.is_file()
    monkeypatch.setattr(store, "census", census)
    store.tidy()
    assert not path.exists()


def test_hidden_files_and_copies_are_not_taken_for_the_file(store: Store) -> None:
    choice = make_choice("1", ONE)
    fill(store, choice)
    store.known.stand("w", Standing(choice.id))
    path = store.objects.place(ONE, "")
    path.with_name(".DS_Store").write_bytes(b"x" * 9)
    path.with_name("file (copy)").write_bytes(b"12345")
    assert store.objects.place(ONE, "") == path
    assert store.objects.has(ONE, 5)
    store.tidy()
    assert not path.with_name(".DS_Store").exists()
    store.objects.remove(ONE)
    assert not path.parent.exists()


def test_what_cannot_be_removed_stays_and_the_rest_goes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, make_choice("1", ONE))
    remove = store.objects.remove

    def refuse_one(sha256: str) -> int:
        if sha256 == ONE:
            raise PermissionError(1, "Operation not permitted")
        return remove(sha256)

    monkeypatch.setattr(store.objects, "remove", refuse_one)
    store.limit_bytes = 0
    assert store.tidy() == 5
    assert set(store.objects.sizes()) == {ONE}


def test_what_is_known_survives_damage(store: Store, tmp_path: Path) -> None:
    choice = make_choice("1", ONE)
    store.known.add(choice)
    folder = tmp_path / "appliances" / "known"
    (folder / f"{TWO}.json").write_text("{")
    (folder / "wish-w.json").write_text("[1]")
    again = Known(folder)
    assert again.choices() == (choice,)
    assert not (folder / f"{TWO}.json").exists()
    assert again.standing("w") == Standing()
    (folder / "pins.json").write_text('{"project": 3}')
    with pytest.raises(ValueError, match="damaged"):
        again.pins()
    again.pin("project", "the project", [ONE])
    assert again.pins()["project"].files == {ONE}


def test_a_choice_comes_back_from_json_and_hostile_json_does_not() -> None:
    choice = make_choice("1", ONE, TWO)
    assert read_choice(json.loads(json.dumps(choice.to_json())), "here") == choice
    said = choice.to_json()
    for bad in (None, {}, said | {"files": []}, said | {"manifest": {"name": "../x"}}, said | {"files": {"a": 1}}):
        with pytest.raises(BadManifest):
            read_choice(bad, "here")
    moved = Choice("thin", "1", Target("m", 5, choice.id, urls=("https://new/m",)))
    assert choice.with_urls_of(moved).manifest.urls == ("https://new/m",)


def test_a_manifest_must_be_the_one_that_is_named() -> None:
    with pytest.raises(BadManifest):
        from_manifest("https://x/manifest.json", ONE, b"two")


def test_wishes_are_the_same_wherever_they_are_fulfilled() -> None:
    here = Wish(catalogue_url="https://a/", root_sha256=ONE, name="thin")
    assert here.id == Wish(catalogue_url="https://b/", root_sha256=ONE, name="thin").id
    assert here.id != Wish(catalogue_url="https://a/", root_sha256=TWO, name="thin").id
    assert not here.is_fixed
    assert Wish("https://a/manifest.json", ONE).is_fixed


def test_needs_name_what_to_change() -> None:
    offer = Offer(memory_mib=512, cpus=1, bits=32)
    missing = unmet(ApplianceNeeds(memory_mib=1024, cpus=2, bits=64, network="open"), offer)
    assert len(missing) == 4
    assert unmet(ApplianceNeeds(memory_mib=512, cpus=1, bits=32, network="project"), offer) == ()
    with pytest.raises(NeedsNotMet) as refused:
        check_needs(Facts("thin", "1", ("iso",), needs=ApplianceNeeds(bits=64)), offer)
    assert refused.value.appliance == "thin"


def test_images_are_found_by_what_people_type(store: Store) -> None:
    old, new = make_choice("1", ONE), make_choice("2", TWO)
    assert find_image((old, new), "thin 2") is new
    assert find_image((old, new), old.id[:8]) is old
    for words in ("thin", "fat", "", old.id[:3]):
        with pytest.raises(NoSuchImage):
            find_image((old, new), words)


def test_views_say_what_removing_would_free(store: Store) -> None:
    old, new = make_choice("1", ONE, TWO), make_choice("2", ONE, THREE)
    fill(store, old)
    fill(store, new)
    store.known.pin("project", "the project", {target.sha256 for target in new.targets})
    store.book.used(target.sha256 for target in new.targets)
    views = {view.version: view for view in store_views(store, store.census(), lambda id: id == new.id)}
    assert (views["1"].size_bytes, views["1"].own_bytes, views["1"].needed_by) == (15, 10, ())
    assert (views["2"].size_bytes, views["2"].own_bytes, views["2"].needed_by) == (15, 0, ("the project",))
    assert views["2"].is_whole and not views["1"].is_whole
    assert views["2"].used_at is not None


def test_the_budget_for_the_disk_counts_where_it_is_the_lower(store: Store) -> None:
    old, new = make_choice("1", ONE), make_choice("2", TWO)
    fill(store, old)
    store.room_bytes = 2000
    assert store.most_bytes == 1000
    store.check_fits(old, old.targets)
    store.room_bytes = 7
    with pytest.raises(DiskBudgetSmall) as caught:
        store.check_fits(new, new.targets)
    assert "disk.most_percent" in sentence(caught.value).doing
    assert store.tidy() == 5
    store.limit_bytes = 6
    with pytest.raises(StoreTooSmall):
        store.check_fits(new, new.targets)
