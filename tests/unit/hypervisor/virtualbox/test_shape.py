"""A VM's shape as words for VBoxManage."""

import itertools
from dataclasses import replace

import pytest

from client.hypervisor.driver import MediumRole, Route, VmSpec
from client.hypervisor.virtualbox import shape
from client.hypervisor.virtualbox.shape import Abilities, Drive, Naming

NAMING = Naming("uuid", "vc-one", "/vms/one", "/vms/one/console.log", "/vms/one/link.sock")
SPEC = VmSpec("one", "One", cpus=2, memory_mib=256, media=())
NEW = Abilities()
ROUTE = Route("xmpp", shape.HOST_ADDRESS, 40000, "example.org", 5222)


def options(spec: VmSpec, abilities: Abilities = NEW) -> dict[str, str]:
    words = shape.build_modify(spec, NAMING, abilities)
    at = [index for index, word in enumerate(words) if word.startswith("--")] + [len(words)]
    return {words[here]: " ".join(words[here + 1 : there]) for here, there in itertools.pairwise(at)}


def test_processor_memory_and_serial_lines() -> None:
    said = options(SPEC)
    assert (said["--cpus"], said["--memory"], said["--rtcuseutc"]) == ("2", "256", "on")
    assert (said["--uart1"], said["--uartmode1"]) == ("0x3F8 4", "file /vms/one/console.log")
    assert (said["--uart2"], said["--uartmode2"]) == ("0x2F8 3", "server /vms/one/link.sock")


@pytest.mark.parametrize(
    ("changes", "kind", "opens_loopback"),
    [
        ({}, "null", "off"),
        ({"internet": True}, "nat", "off"),
        ({"routes": (ROUTE,)}, "nat", "on"),
    ],
    ids=["nothing", "internet", "routes"],
)
def test_the_network_leads_only_where_it_must(changes: dict[str, object], kind: str, opens_loopback: str) -> None:
    said = options(replace(SPEC, **changes))  # type: ignore[arg-type]
    assert (said["--nic1"], said["--nat-localhostreachable1"]) == (kind, opens_loopback)


def test_no_virtio_card_leads_nowhere() -> None:
    assert options(SPEC)["--nictype1"] == "82540EM"
    assert options(replace(SPEC, internet=True))["--nictype1"] == "virtio"


def test_what_an_older_virtualbox_has_not() -> None:
    old = Abilities(has_virtio_scsi=False, has_virtio_net=False, has_localhost_option=False)
    said = options(replace(SPEC, routes=(ROUTE,)), old)
    assert "--nat-localhostreachable1" not in said and said["--nictype1"] == "82540EM"
    drives = shape.plan_drives({MediumRole.SCRATCH: "/base.vdi"}, boots_from_disk=False)
    (words,) = shape.build_controllers(NAMING, drives, old)
    assert "sata" in words


def test_the_cable_is_out_from_the_beginning() -> None:
    assert options(replace(SPEC, network=False))["--cableconnected1"] == "off"


def test_extra_words_come_last() -> None:
    assert shape.build_modify(replace(SPEC, extra_arguments=("--hpet", "on")), NAMING, Abilities())[-2:] == (
        "--hpet",
        "on",
    )


def test_every_medium_has_a_place_of_its_own() -> None:
    media = {role: f"/{role}" for role in (*MediumRole, shape.INBOX, shape.OUTBOX)}
    drives = shape.plan_drives(media, boots_from_disk=False)
    assert len({drive.place for drive in drives}) == len(media)
    kinds = {drive.medium: (drive.kind, drive.use) for drive in drives}
    assert kinds["/system"] == kinds["/context"] == kinds["/software"] == kinds["/inbox"] == ("dvddrive", "")
    assert kinds["/scratch"] == ("hdd", "multiattach")
    assert kinds["/outbox"] == ("hdd", "writethrough")
    assert len(shape.build_controllers(NAMING, drives, Abilities())) == 2


def test_a_system_on_a_disk_boots_from_a_layer_over_it() -> None:
    drives = shape.plan_drives({MediumRole.SYSTEM: "/base.vdi"}, boots_from_disk=True)
    assert [(drive.controller, drive.use) for drive in drives] == [(shape.BOOT_CONTROLLER, "multiattach")]
    (words,) = shape.build_controllers(NAMING, drives, Abilities())
    assert words[-2:] == ("--bootable", "on")


def test_only_changed_drives_are_touched() -> None:
    scratch = Drive("Disks", "0", "0", "hdd", "/a", "multiattach")
    outbox = Drive("Disks", "1", "0", "hdd", "/b", "writethrough")
    other = replace(scratch, medium="/c")
    assert shape.changed_drives((scratch, outbox), (scratch, outbox)) == ()
    assert shape.changed_drives((scratch, outbox), (other,)) == (
        Drive("Disks", "1", "0", "hdd", shape.NOTHING),
        other,
    )


def test_few_calls_for_a_whole_machine() -> None:
    media = {role: f"/{role}" for role in (*MediumRole, shape.INBOX, shape.OUTBOX)}
    drives = shape.plan_drives(media, boots_from_disk=False)
    assert 3 + len(shape.build_controllers(NAMING, drives, Abilities())) + len(drives) <= 11


def test_all_disks_go_through_the_cache_of_this_computer() -> None:
    media = {role: f"/{role}" for role in (*MediumRole, shape.OUTBOX)}
    for boots_from_disk in (True, False):
        drives = shape.plan_drives(media, boots_from_disk)
        for words in shape.build_controllers(NAMING, drives, Abilities()):
            assert words[words.index("--hostiocache") + 1] == "on"


def test_a_disk_that_is_all_there_is_to_boot_from_can_be_booted_from() -> None:
    (drive,) = shape.plan_drives({"scratch": "/b.vdi"}, boots_from_disk=False)
    assert (drive.controller, drive.kind, drive.use) == (shape.BOOT_CONTROLLER, "hdd", shape.LAYERED)
    found = shape.media_in([(*drive.place, "/b.vdi")])
    assert shape.plan_drives(found, boots_from_disk=True) == (drive,)
