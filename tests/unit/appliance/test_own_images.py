"""What is known of own images on disk, who needs their files, and what goes when one is removed."""

from pathlib import Path

import pytest

from client.appliance.errors import ImageExists, ImageNeeded, NoSuchImage, OwnNoteDamaged
from client.appliance.formats import Format
from client.appliance.ovf import Asked, Disk
from client.appliance.own_images import Form, OwnFile, OwnImage, OwnImages, name_from, read_own_image
from client.appliance.store import Store
from client.clock import SystemClock
from client.errors import BadInput
from client.service.image_command import described

A, B, C = "a" * 64, "b" * 64, "c" * 64


def image(name: str, *digests: str, forms: tuple[Form, ...] = ()) -> OwnImage:
    files = tuple(OwnFile("d", Format.VMDK, digest, 3, "growing", 4096, True, forms) for digest in digests)
    return OwnImage(name, "/home/x", "vmdk", "2026-01-02T03:04:05+00:00", files)


def put(images: OwnImages, one: OwnImage) -> OwnImage:
    for digest in one.digests:
        place = images.objects.place(digest, "disk.vmdk")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"123")
    images.write(one)
    return one


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "appliances", tmp_path / "vms", SystemClock(), 1)


def test_all_that_is_known_comes_back_from_disk(store: Store) -> None:
    asked = Asked("vm", 'a "system"\n', 512, 2, 1, (Disk("d", 5, True),), ("d",))
    proof = {"manifest": "SHA1", "signer": "CN=x", "issuer": "CN=y", "expired_at": "2030-01-01"}
    one = image("one", A, forms=(Form(Format.QCOW2, B, 9),))
    one = OwnImage(one.name, one.origin, one.came_as, one.added_at, one.files, asked, proof, "2024-06-30")
    store.own.write(one)
    assert store.own.images() == (one,) == (store.own.find("one"),)
    assert read_own_image(one.to_json(), "one") == one
    told = "\n".join(described(one))
    assert "512 MiB" in told and "signed by CN=x" in told and "no updates since 2024-06-30" in told


def test_the_store_keeps_own_images_however_small_it_may_be(store: Store) -> None:
    put(store.own, image("one", A, forms=(Form(Format.QCOW2, B, 3),)))
    put(store.own, image("two", C))
    store.own.remove(store.own.find("two"), {})
    assert store.tidy() == 0
    assert set(store.objects.sizes()) == {A, B}
    assert store.census().needed == {A: {"your image one"}, B: {"your image one"}}


def test_a_note_that_cannot_be_read_lets_nothing_be_removed(store: Store) -> None:
    put(store.own, image("one", A))
    (store.own.folder / "two.toml").write_text("files = 3")
    assert store.tidy() == 0 and set(store.objects.sizes()) == {A}
    for ask in (store.own.images, lambda: store.own.remove(store.own.find("one"), {}), lambda: store.own.find("two")):
        with pytest.raises(OwnNoteDamaged, match="damaged"):
            ask()
    assert store.own.find("one").name == "one"


def test_removing_lets_go_of_what_no_other_has(store: Store) -> None:
    put(store.own, image("one", A, B))
    put(store.own, image("two", B, C))
    assert store.own.remove(store.own.find("one"), {}) == 3
    assert set(store.objects.sizes()) == {B, C}
    with pytest.raises(ImageNeeded):
        store.own.remove(store.own.find("two"), {C: ["the virtual machine x"]})
    assert [one.name for one in store.own.images()] == ["two"]


def test_names_are_checked_and_taken_once(store: Store) -> None:
    store.own.write(image("one", A))
    with pytest.raises(ImageExists):
        store.own.free_name("", Path("one.vmdk"))
    for bad in ("../x", "a/b", " ", "-x", "x" * 64):
        with pytest.raises(BadInput):
            store.own.free_name(bad, Path("one"))
        with pytest.raises(NoSuchImage):
            store.own.find(bad)


@pytest.mark.parametrize(
    ("file", "name"),
    [("disk.raw.gz", "disk"), ("My VM (1).ova", "My-VM-1"), (".iso", "iso"), ("   ", "image"), ("x" * 99, "x" * 63)],
)
def test_a_name_is_made_of_the_files(file: str, name: str) -> None:
    assert name_from(Path(file)) == name


def test_a_qcow2_with_new_features_is_not_given_to_every_reader() -> None:
    new = OwnFile("d", Format.QCOW2, A, 3, plain=False, forms=(Form(Format.RAW, B, 4),))
    assert new.form((Format.QCOW2, Format.RAW)) == Form(Format.RAW, B, 4)
    assert OwnFile("d", Format.QCOW2, A, 3).form((Format.RAW, Format.QCOW2)) == Form(Format.QCOW2, A, 3)
    assert new.form((Format.VDI,)) is None
