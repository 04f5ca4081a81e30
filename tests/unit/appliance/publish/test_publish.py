"""What `publish` makes: folders, keys, lists, files; and what it refuses."""

import json
import os
import shutil
import tomllib
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, TargetFile, Targets

from client.appliance.errors import BadTemplate
from client.appliance.publish import renewal
from client.appliance.publish.catalogue import Catalogue
from client.appliance.publish.command import main
from client.appliance.publish.images import read_image
from client.appliance.publish.keyring import KeyRing
from client.appliance.publish.layout import CatalogueFolder, ProjectFolder, role_file, target_file
from client.appliance.publish.settings import Settings, read_settings
from client.appliance.publish.status import read_status
from client.appliance.publish.store import hash_file, take_in
from client.appliance.target import PIECE_BYTES
from client.errors import BadInput, CommandFailed
from tests.helpers.catalogue import Shop, write_image


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    shop.add()
    return shop


def appliances(shop: Shop) -> list[str]:
    return list(read_status(shop.catalogue).appliances)


def test_one_command_publishes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = write_image(tmp_path / "images", "thin", "1.0", b"image")
    folder = tmp_path / "catalogue"
    words = ["--project", "demo", "--name", "Demo", "--url", "https://my.host/cat"]
    assert main(["add", str(folder), str(facts), *words]) == 0
    assert main(["status", str(folder), "--json"]) == 0
    said = capsys.readouterr().out
    assert '"demo/thin 1.0"' in said
    assert read_settings(folder / "catalogue.toml").metadata_urls == ("https://my.host/cat/metadata/",)
    assert 'targets = ["https://my.host/cat/targets/"]' in (folder / "clients/catalogue.toml").read_text()


def test_keys_are_for_their_owner_only_and_the_offline_ones_apart(shop: Shop) -> None:
    keys = list(shop.base.rglob("*.pem"))
    assert len(keys) == 5
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    assert {path.parent.stat().st_mode & 0o777 for path in keys} == {0o700}
    assert {path.name.split(".")[0] for path in shop.folder.offline_keys.iterdir()} == {"root", "targets"}
    assert not list(shop.folder.public.rglob("*.pem"))


def test_keys_that_others_can_read_are_told(shop: Shop) -> None:
    key = next(shop.folder.online_keys.iterdir())
    key.chmod(0o644)
    assert any(str(key) in warning for warning in read_status(shop.catalogue).warnings)


def test_a_passphrase_locks_the_offline_keys(tmp_path: Path) -> None:
    word = tmp_path / "word"
    word.write_text("secret word\n")
    folder = tmp_path / "catalogue"
    facts = write_image(tmp_path / "images", "thin", "1.0", b"image")
    assert main(["init", str(folder), "--passphrase-file", str(word)]) == 0
    assert b"ENCRYPTED" in next((folder / "keys/offline").iterdir()).read_bytes()
    words = ["add", str(folder), str(facts), "--project", "demo"]
    with pytest.raises(BadInput, match="passphrase"):
        main(words)
    assert main([*words, "--passphrase-file", str(word)]) == 0
    assert main(["renew", str(folder)]) == 0, "cron has no passphrase"


def test_renewal_needs_the_online_keys_only(shop: Shop) -> None:
    shutil.rmtree(shop.folder.offline_keys)
    shop.later(days=3)
    renewal.renew(shop.catalogue)
    assert shop.catalogue.repository.timestamp.signed.expires == shop.now + timedelta(days=7)
    before = shop.catalogue.repository.snapshot.signed.version
    shop.later(days=20)
    renewal.renew(shop.catalogue)
    assert shop.catalogue.repository.snapshot.signed.version == before + 1
    with pytest.raises(BadInput, match="keys of root"):
        renewal.renew(shop.catalogue, everything=True)


def test_status_warns_before_the_end(shop: Shop) -> None:
    assert not read_status(shop.catalogue).needs_work
    shop.later(days=6)
    (late,) = [one for one in read_status(shop.catalogue).roles if one.to_do]
    assert late.role == "timestamp" and "renew" in late.to_do
    shop.later(days=2)
    assert any("expired" in one.to_do for one in read_status(shop.catalogue).roles)
    shop.later(days=150)
    renewal.renew(shop.catalogue)
    assert {one.role for one in read_status(shop.catalogue).roles if one.to_do} == {"targets", "demo"}


def test_thresholds_ask_for_that_many_keys(tmp_path: Path) -> None:
    shop = Shop(tmp_path, keys=3, threshold=2)
    shop.add()
    one, two, three = sorted(shop.folder.offline_keys.glob("targets.*"))
    one.unlink()
    shop.add("other", "thick", "1")
    two.rename(tmp_path / two.name)
    with pytest.raises(BadInput, match="2 of the keys of targets"):
        shop.add("third", "thick", "1")
    stick = tmp_path / "stick"
    stick.mkdir()
    (tmp_path / two.name).rename(stick / two.name)
    ring = KeyRing([shop.folder.online_keys, shop.folder.offline_keys, stick])
    Catalogue.open(shop.folder, ring, shop.clock).withdraw("other")
    assert three.exists() and appliances(shop) == ["demo/thin 1.0"]


def test_the_same_image_again_changes_nothing(shop: Shop) -> None:
    before = sorted(path.name for path in shop.folder.public.rglob("*"))
    shop.add()
    assert sorted(path.name for path in shop.folder.public.rglob("*")) == before


def test_other_bytes_under_a_known_version_must_be_said(shop: Shop) -> None:
    project = shop.project("demo")
    other = shop.image("thin", "1.0", b"other bytes")
    with pytest.raises(BadInput, match="--replace"):
        project.add(other)
    project.add(other, replace=True)
    assert project.files().appliances[0].size_bytes == 11


def test_old_versions_leave_the_list_and_their_files_stay_for_a_while(shop: Shop) -> None:
    first = target_file(shop.folder.targets, *_place(shop, "demo/thin/1.0/thin.qcow2"))
    for minor in range(1, 4):
        shop.add(version=f"1.{minor}", content=b"image %d" % minor)
    assert appliances(shop) == ["demo/thin 1.3", "demo/thin 1.2", "demo/thin 1.1"]
    assert first.exists()
    for minor in range(4, 7):
        shop.add(version=f"1.{minor}", content=b"image %d" % minor)
    assert not first.exists()
    lists = sorted(int(path.name.split(".")[0]) for path in shop.folder.metadata.glob("*.demo.json"))
    assert lists == [5, 6, 7, 8]


def _place(shop: Shop, name: str) -> tuple[str, str]:
    return name, shop.listed("demo").signed.targets[name].hashes["sha256"]


def test_what_did_not_change_takes_no_space_twice(shop: Shop) -> None:
    shop.add(version="1.1", content=b"image one")
    files = [path for path in shop.base.rglob("*.qcow2") if "images" not in path.parts]
    assert len(files) == 4 and len({path.stat().st_ino for path in files}) == 1


def test_a_version_can_be_withdrawn(shop: Shop) -> None:
    shop.add(version="1.1", content=b"bad image")
    assert main(["remove", str(shop.folder.base), "demo/thin/1.1"]) == 0
    assert appliances(shop) == ["demo/thin 1.0"]
    with pytest.raises(BadInput, match="no such version"):
        main(["remove", str(shop.folder.base), "demo/thin/1.1"])


def test_a_project_that_was_withdrawn_leaves_nothing_and_may_return(shop: Shop) -> None:
    shop.catalogue.withdraw("demo")
    assert appliances(shop) == []
    assert not list(shop.folder.targets.rglob("*.qcow2"))
    project = shop.project("demo")
    with pytest.raises(BadInput, match="clients have seen"):
        shop.accept(project.folder.outbox, project.key_ids)
    project.sign()
    shop.accept(project.folder.outbox, project.key_ids)
    assert appliances(shop) == ["demo/thin 1.0"]


def test_hashes_are_of_the_whole_and_of_each_piece(tmp_path: Path) -> None:
    content = os.urandom(PIECE_BYTES) * 2 + b"end"
    (tmp_path / "image").write_bytes(content)
    target = take_in(tmp_path / "image", "p/a/1/image", tmp_path / "targets")
    found = hash_file(tmp_path / "image")
    hashes = {"sha256": list(found.pieces), "prefixes": list(found.prefixes)}
    assert target.custom == {"pieces": {"bytes": PIECE_BYTES, **hashes}}
    assert len(found.pieces) == 3 and found.pieces[0] == found.pieces[1] != found.sha256
    assert found.prefixes == (found.pieces[0], sha256(content[: 2 * PIECE_BYTES]).hexdigest(), found.sha256)
    assert target_file(tmp_path / "targets", "p/a/1/image", found.sha256).read_bytes() == content


# Images


def test_an_appliance_of_ours_without_its_sources_is_refused(tmp_path: Path) -> None:
    folder = _built(tmp_path)
    image = read_image(folder)
    assert image.facts.formats == ("iso",) and image.sources == folder / "sources.json"
    (folder / "sources.json").unlink()
    with pytest.raises(BadInput, match="exact source packages"):
        read_image(folder)


def test_a_built_appliance_whose_files_are_damaged_is_refused(tmp_path: Path) -> None:
    folder = _built(tmp_path)
    (folder / "a.iso").write_bytes(b"ISO")
    with pytest.raises(BadInput, match="build it again"):
        read_image(folder)


def test_sources_are_published_beside_and_named(shop: Shop, tmp_path: Path) -> None:
    project = shop.project("demo")
    project.add(read_image(_built(tmp_path)))
    (found,) = [one for one in project.files().appliances if one.facts.name == "ours"]
    assert found.facts.sources == "demo/ours/1/sources.json"
    assert found.sources is not None and list(found.files) == ["a.iso"]


def _built(tmp_path: Path) -> Path:
    folder = tmp_path / "built"
    folder.mkdir()
    (folder / "a.iso").write_bytes(b"iso")
    about = {"size_bytes": 3, "sha256": hash_file(folder / "a.iso").sha256, "role": "iso"}
    body = {"schema": 1, "name": "ours", "version": "1", "files": {"a.iso": about}, "iso": {"system": "a.iso"}}
    (folder / "manifest.json").write_text(json.dumps(body))
    (folder / "sources.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    "wrong",
    [
        {"image": "../x"},
        {"format": "exe"},
        {"format": "ovf"},
        {"sources": ""},
        {"sources": "not-there.json"},
        {"name": "a b"},
        {"end_of_life": "soon"},
    ],
)
def test_facts_that_cannot_be_are_refused(tmp_path: Path, wrong: dict[str, str]) -> None:
    path = write_image(tmp_path, "thin", "1", b"image", **wrong)
    with pytest.raises(BadInput):
        read_image(path)


def test_needs_that_are_no_table_are_refused(tmp_path: Path) -> None:
    facts = tmp_path / "facts.toml"
    facts.write_text('needs = "much"')
    with pytest.raises(BadInput):
        read_image(_built(tmp_path), facts)


def test_a_plain_image_gets_a_manifest(tmp_path: Path) -> None:
    path = write_image(tmp_path, "cernvm", "4.5", b"image", end_of_life="2024-06-30", licence="several")
    image = read_image(path)
    said = json.loads(image.manifest)
    assert said["disk"] == {"file": "cernvm.qcow2", "format": "qcow2"}
    assert image.facts.end_of_life == "2024-06-30"


def test_small_files_are_published_with_it(tmp_path: Path, shop: Shop) -> None:
    for name in ("my-project.toml", "logo.png"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "usual.toml").write_text('[template]\nname = "Usual"\nsystem = "cloud-init"\n')
    words = ["--template", "usual.toml", "--project-file", "my-project.toml", "--picture", "logo.png"]
    words = [word if word.startswith("--") else str(tmp_path / word) for word in words]
    assert main(["add", str(shop.folder.base), *words]) == 0
    found = shop.project("demo").files()
    assert list(found.templates) == ["usual.toml"] and sorted(found.others) == ["logo.png", "project.toml"]
    (told,) = shop.catalogue.projects()
    assert told["picture"] == "demo/logo.png"


def test_a_template_that_nobody_could_fill_in_is_not_published(tmp_path: Path, shop: Shop) -> None:
    shop.add()
    path = tmp_path / "wrong.toml"
    path.write_text('[template]\nname = "Wrong"\nsystem = "toaster"\n')
    with pytest.raises(BadTemplate, match="system"):
        main(["add", str(shop.folder.base), "--template", str(path)])
    assert shop.project("demo").files().templates == {}


# What projects send


@pytest.fixture
def atlas(shop: Shop, tmp_path: Path) -> ProjectFolder:
    folder = ProjectFolder(tmp_path / "atlas")
    shop.project("atlas", folder).add(shop.image("big", "1", b"atlas image"))
    return folder


def test_a_new_project_is_taken_only_with_its_key_named(shop: Shop, atlas: ProjectFolder) -> None:
    (key,) = shop.project("atlas", atlas).key_ids
    with pytest.raises(BadInput, match="not trusted"):
        shop.accept(atlas.outbox)
    for wrong in ("0" * 64, key[:15]):
        with pytest.raises(BadInput, match="did not name"):
            shop.accept(atlas.outbox, [wrong])
    shop.accept(atlas.outbox, [key[:16]])
    shop.project("atlas", atlas).add(shop.image("big", "2", b"atlas image 2"))
    shop.accept(atlas.outbox)
    assert appliances(shop) == ["atlas/big 2", "atlas/big 1", "demo/thin 1.0"]
    assert shop.accept(atlas.outbox) == ["atlas: nothing is new."]


def test_changed_keys_must_be_named_again(shop: Shop, atlas: ProjectFolder) -> None:
    shop.accept(atlas.outbox, shop.project("atlas", atlas).key_ids)
    new = shop.project("atlas", atlas).new_keys()
    shop.accept(atlas.outbox)  # both keys signed
    shop.project("atlas", atlas).sign()
    with pytest.raises(BadInput, match="not trusted"):
        shop.accept(atlas.outbox)
    shop.accept(atlas.outbox, new)
    assert "atlas/big 1" in appliances(shop)


def test_what_was_altered_on_the_way_is_refused_and_nothing_changes(shop: Shop, atlas: ProjectFolder) -> None:
    keys = shop.project("atlas", atlas).key_ids
    before = sorted(path.name for path in shop.folder.metadata.iterdir())
    image = next((atlas.outbox / "targets").rglob("*.qcow2"))
    for alter in (lambda: image.write_bytes(b"other image"), image.unlink):
        alter()
        with pytest.raises(BadInput):
            shop.accept(atlas.outbox, keys)
    assert sorted(path.name for path in shop.folder.metadata.iterdir()) == before
    assert appliances(shop) == ["demo/thin 1.0"]


@pytest.mark.parametrize("said", ["{}", '{"schema": 1, "name": "big", "version": "2"}'])
def test_a_manifest_that_no_client_could_use_is_refused(shop: Shop, atlas: ProjectFolder, said: str) -> None:
    keys = shop.project("atlas", atlas).key_ids
    shop.accept(atlas.outbox, keys)
    image = replace(shop.image("big", "2", b"atlas image 2"), manifest=said.encode())
    shop.project("atlas", atlas).add(image)
    with pytest.raises(BadInput, match="big 2"):
        shop.accept(atlas.outbox)
    assert "atlas/big 2" not in appliances(shop)


def test_a_link_in_what_was_sent_is_not_followed(shop: Shop, atlas: ProjectFolder, tmp_path: Path) -> None:
    image = next((atlas.outbox / "targets").rglob("*.qcow2"))
    shutil.move(image, tmp_path / "secret")
    image.symlink_to(tmp_path / "secret")
    with pytest.raises(BadInput, match="were not sent"):
        shop.accept(atlas.outbox, shop.project("atlas", atlas).key_ids)


def test_a_list_that_is_a_link_is_not_read(shop: Shop, atlas: ProjectFolder) -> None:
    path = role_file(atlas.outbox, "atlas")
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(BadInput, match="no file"):
        shop.accept(atlas.outbox)


def test_a_project_has_a_status_of_its_own(
    shop: Shop, atlas: ProjectFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.project("atlas", atlas)
    assert main(["status", str(atlas.base)]) in (0, 1)
    assert "big 1" in capsys.readouterr().out


def test_a_folder_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no catalogue in it"):
        main(["status", str(tmp_path / "typo")])
    facts = write_image(tmp_path / "images", "thin", "1", b"image", format="exe")
    with pytest.raises(BadInput, match="format"):
        main(["add", str(tmp_path / "new"), str(facts), "--project", "demo"])
    assert not (tmp_path / "typo").exists() and not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no image is named"),
        (["IMAGE"], "--project my-project"),
        (["IMAGE", "--project", "My project"], "lower-case"),
        (["IMAGE", "--project", "demo", "--url", "ftp://x"], "no https address"),
        (["IMAGE", "--project", "demo", "--picture", "/no/picture.png"], "no such file"),
        (["/no/image", "--project", "demo"], "no such file or folder"),
        (["FOLDER", "--project", "demo"], "without manifest.json"),
    ],
)
def test_what_cannot_be_published_leaves_no_folder(tmp_path: Path, words: list[str], said: str) -> None:
    facts = write_image(tmp_path / "images", "thin", "1", b"image")
    places = {"IMAGE": str(facts), "FOLDER": str(tmp_path / "images")}
    with pytest.raises(BadInput, match=said):
        main(["add", str(tmp_path / "new"), *(places.get(word, word) for word in words)])
    assert not (tmp_path / "new").exists()


def test_a_project_that_was_not_made_to_its_end_is_made_anew(tmp_path: Path) -> None:
    facts, folder = write_image(tmp_path / "images", "thin", "1", b"image"), tmp_path / "new"
    main(["init", str(folder)])
    CatalogueFolder(folder).project("demo").base.mkdir(parents=True)
    assert main(["add", str(folder), str(facts)]) == 0
    assert CatalogueFolder(folder).project("demo").settings.exists()


def test_a_file_is_no_folder_to_publish_in(tmp_path: Path) -> None:
    facts = write_image(tmp_path / "images", "thin", "1", b"image")
    with pytest.raises(BadInput, match="cannot be used"):
        main(["add", str(facts), str(facts), "--project", "demo"])


def test_the_address_can_be_said_later(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, facts = tmp_path / "new", write_image(tmp_path / "images", "thin", "1", b"image")
    assert main(["add", str(folder), str(facts), "--project", "demo"]) == 0
    assert "--url ADDRESS" in capsys.readouterr().out
    main(["status", str(folder)])
    assert "--url ADDRESS" in capsys.readouterr().out
    assert main(["add", str(folder), "--url", "https://my.host/catalogue"]) == 0
    told = tomllib.loads((folder / "clients" / "catalogue.toml").read_text())["catalogue"]
    assert told["url"] == "https://my.host/catalogue/"
    assert told["targets"] == ["https://my.host/catalogue/targets/"]
    capsys.readouterr()
    main(["status", str(folder)])
    assert "--url" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["demo/thin/9/x.img", "atlas/../x", "catalog.json", "atlas/x/y/z/a/b"])
def test_a_list_that_reaches_out_of_its_project_is_refused(shop: Shop, atlas: ProjectFolder, name: str) -> None:
    project = shop.project("atlas", atlas)
    listed: Metadata[Targets] = Metadata.from_bytes(role_file(atlas.outbox, "atlas").read_bytes())
    listed.signed.targets[name] = TargetFile(3, {"sha256": "0" * 64}, name)
    shop.sign(listed, KeyRing([atlas.keys]), "atlas")
    role_file(atlas.outbox, "atlas").write_bytes(listed.to_bytes())
    with pytest.raises(BadInput):
        shop.accept(atlas.outbox, project.key_ids)
    assert appliances(shop) == ["demo/thin 1.0"]


@pytest.mark.parametrize(
    "change",
    [
        {"id": "targets"},
        {"id": "../x"},
        {"id": "demo"},
        {"keys": {}},
        {"keys": {"0" * 64: {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "0" * 64}}}},
        {"keys": {"x": 3}},
        {"threshold": 0},
        {"threshold": 2},
        {"name": "a\u202eb"},
        {"mirrors": ["http://evil.example/"]},
    ],
)
def test_hostile_words_of_a_project_are_refused(shop: Shop, atlas: ProjectFolder, change: dict[str, object]) -> None:
    project = shop.project("atlas", atlas)
    keys = project.key_ids
    listed: Metadata[Targets] = Metadata.from_bytes(role_file(atlas.outbox, "atlas").read_bytes())
    listed.signed.unrecognized_fields["publisher"] |= change
    shop.sign(listed, KeyRing([atlas.keys]), "atlas")
    role_file(atlas.outbox, "atlas").write_bytes(listed.to_bytes())
    with pytest.raises(BadInput):
        shop.accept(atlas.outbox, [*keys, "0" * 64])


def test_an_older_list_is_not_taken_again(shop: Shop, atlas: ProjectFolder, tmp_path: Path) -> None:
    keys = shop.project("atlas", atlas).key_ids
    shutil.copytree(atlas.outbox, tmp_path / "old")
    shop.accept(atlas.outbox, keys)
    shop.project("atlas", atlas).add(shop.image("big", "2", b"atlas image 2"))
    shop.accept(atlas.outbox)
    with pytest.raises(BadInput, match="not newer"):
        shop.accept(tmp_path / "old")


# Patches


def test_a_patch_leads_from_the_version_before(shop: Shop) -> None:
    def make(old: Path, new: Path, out: Path) -> None:
        out.write_bytes(old.read_bytes()[:2] + new.read_bytes()[:2])

    before = shop.listed("demo").signed.targets["demo/thin/1.0/thin.qcow2"].hashes["sha256"]
    shop.add(version="1.1", content=b"image two", make_patch=make)
    (newest, _) = shop.project("demo").files().appliances
    (patch,) = newest.files["thin.qcow2"].patches
    assert (patch.from_sha256, patch.target.size_bytes) == (before, 4)
    assert patch.target.name == f"demo/thin/1.1/thin.qcow2.from-{before[:16]}.xdelta"
    assert list(newest.files) == ["thin.qcow2"]


def test_a_patch_that_saves_nothing_is_left_out(shop: Shop) -> None:
    shop.add(version="1.1", content=b"image two", make_patch=lambda old, new, out: out.write_bytes(b"x" * 6) and None)
    assert shop.project("demo").files().appliances[0].files["thin.qcow2"].patches == ()


def test_a_patch_that_cannot_be_made_hinders_nothing(shop: Shop) -> None:
    def fail(old: Path, new: Path, out: Path) -> None:
        raise CommandFailed(("xdelta3",), 1, "no memory")

    shop.add(version="1.1", content=b"image two", make_patch=fail)
    assert appliances(shop) == ["demo/thin 1.1", "demo/thin 1.0"]


# Keys


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_rotation_sets_the_old_key_aside(shop: Shop, role: str) -> None:
    old = set(shop.catalogue.repository.root.signed.roles[role].keyids)
    renewal.rotate(shop.catalogue, role)
    new = set(shop.catalogue.repository.root.signed.roles[role].keyids)
    assert not old & new
    assert new <= shop.catalogue.ring.files().keys() and not old & shop.catalogue.ring.files().keys()
    shop.add(version="1.1", content=b"image two")


def test_a_new_offline_key_is_made_on_the_medium_of_the_old_one(shop: Shop) -> None:
    stick = shop.base / "stick"
    shop.folder.offline_keys.rename(stick)
    assert main(["rotate", str(shop.folder.base), "root", "--keys", str(stick)]) == 0
    assert sum(path.name.startswith("root.") and path.suffix == ".pem" for path in stick.iterdir()) == 1
    assert not shop.folder.offline_keys.exists()


@pytest.mark.parametrize("role", ["snapshot", "timestamp", "targets"])
def test_a_lost_key_can_be_replaced(shop: Shop, role: str) -> None:
    (lost,) = shop.folder.base.glob(f"keys/*/{role}.*.pem")
    lost.unlink()
    renewal.rotate(shop.catalogue, role)
    shop.add(version="1.1", content=b"image two")


def test_a_second_catalogue_is_not_made_over_the_first(shop: Shop) -> None:
    with pytest.raises(BadInput, match="already"):
        Catalogue.make(CatalogueFolder(shop.folder.base), Settings(), shop.catalogue.ring)
    with pytest.raises(BadInput, match="can never sign"):
        main(["init", str(shop.base / "new"), "--threshold", "2"])
