"""The command line, as text."""

import itertools
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.hypervisor.driver import DirectBoot, Medium, MediumRole, Route, VmSpec
from client.hypervisor.qemu.cmdline import Launch, build_command, escape

ROUTES = (Route("xmpp", "10.0.2.100", 5222, "127.0.0.1", 1), Route("chirp", "10.0.2.101", 9094, "127.0.0.1", 2))
MEDIA = (
    Medium(MediumRole.SYSTEM, Path("/a/root.squashfs")),
    Medium(MediumRole.CONTEXT, Path("/c/one.iso")),
    Medium(MediumRole.SCRATCH, Path("/a/scratch.qcow2")),
)
BOOT = DirectBoot(Path("/a/vmlinux"), Path("/a/initrd.img"), "quiet panic=5")
SPEC = VmSpec("one", "One", 1, 256, MEDIA, direct_boot=BOOT, routes=ROUTES)
LAUNCH = Launch("/usr/bin/qemu-system-x86_64", "tcg", Path("/vms/one"), ("/py", "-I", "/relay.py"))


def values(command: tuple[str, ...], option: str) -> list[str]:
    return [after for before, after in itertools.pairwise(command) if before == option]


def test_direct_boot() -> None:
    command = build_command(SPEC, LAUNCH)
    assert command[0] == "/usr/bin/qemu-system-x86_64"
    assert values(command, "-machine") == ["q35,usb=off,vmport=off"]
    assert values(command, "-kernel") == ["/a/vmlinux"]
    assert values(command, "-append") == ["console=ttyS0 quiet panic=5"]
    assert "virtio-blk-pci,drive=system,serial=system" in values(command, "-device")
    assert {"-nodefaults", "-no-user-config", "-daemonize"} < set(command)
    assert "-incoming" not in command and "-sandbox" not in command


def test_only_the_scratch_disk_can_be_written() -> None:
    system, context, scratch = values(build_command(SPEC, LAUNCH), "-drive")
    assert "readonly=on" in system and "readonly=on" in context
    assert "file=/vms/one/scratch.qcow2" in scratch and "readonly" not in scratch


def test_iso_boot_uses_the_machine_whose_cd_the_small_kernel_knows() -> None:
    command = build_command(replace(SPEC, direct_boot=None), LAUNCH)
    assert values(command, "-machine") == ["pc,usb=off,vmport=off"]
    assert "ide-cd,drive=system,serial=system" in values(command, "-device")
    assert "-kernel" not in command


def test_the_network_is_shut_but_for_the_routes() -> None:
    (network,) = values(build_command(SPEC, LAUNCH), "-netdev")
    assert ",restrict=on," in network
    assert network.count("guestfwd=tcp:") == 2
    assert "guestfwd=tcp:10.0.2.100:5222-cmd:/py -I /relay.py xmpp /vms/one/routes.tsv" in network
    assert "127.0.0.1" not in network, "targets are the relay's to know, they may change"
    (with_internet,) = values(build_command(replace(SPEC, internet=True), LAUNCH), "-netdev")
    assert "restrict" not in with_internet
    (bare,) = values(build_command(replace(SPEC, routes=()), LAUNCH), "-netdev")
    assert bare == "user,id=net,ipv6=off,restrict=on"


@pytest.mark.parametrize(("link", "device"), [("auto", "virtserialport"), ("virtio", "virtserialport")])
def test_the_link_is_a_virtio_port(link: str, device: str) -> None:
    devices = values(build_command(replace(SPEC, link_device=link), LAUNCH), "-device")
    assert f"{device},chardev=link,name=org.volunteercloud.link" in devices


def test_the_link_as_second_serial_line() -> None:
    devices = values(build_command(replace(SPEC, link_device="uart"), LAUNCH), "-device")
    assert [one for one in devices if one.startswith("isa-serial")] == [
        "isa-serial,chardev=console",
        "isa-serial,chardev=link",
    ]


def test_the_exchange_is_two_disks_of_which_the_guest_writes_one() -> None:
    assert not [one for one in values(build_command(SPEC, LAUNCH), "-drive") if "inbox" in one or "outbox" in one]
    command = build_command(replace(SPEC, exchange_mib=64), LAUNCH)
    inbox, outbox = values(command, "-drive")[-2:]
    assert "file=/vms/one/inbox.raw" in inbox and "readonly=on" in inbox and "format=raw" in inbox
    assert "file=/vms/one/outbox.raw" in outbox and "readonly" not in outbox and "format=raw" in outbox
    devices = values(command, "-device")
    assert {"virtio-blk-pci,drive=inbox,serial=inbox", "virtio-blk-pci,drive=outbox,serial=outbox"} < set(devices)


def test_a_vm_can_be_started_held() -> None:
    command = build_command(SPEC, replace(LAUNCH, is_held=True))
    assert "-S" in command and "-incoming" not in command
    assert "-S" not in build_command(SPEC, LAUNCH)


def test_accelerators_sandbox_restore_and_extras() -> None:
    launch = replace(LAUNCH, accelerator="kvm", has_sandbox=True, is_restore=True)
    command = build_command(replace(SPEC, extra_arguments=("-d", "int")), launch)
    assert (values(command, "-accel"), values(command, "-cpu")) == (["kvm"], ["host"])
    assert values(command, "-incoming") == ["defer"] and "-S" in command
    assert "spawn=deny" not in values(command, "-sandbox")[0]
    assert command[-2:] == ("-d", "int")


folder_names = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=20)


@given(folder_names)
def test_any_folder_name_survives_both_quotings(name: str) -> None:
    folder = Path("/vms") / name
    launch = replace(LAUNCH, folder=folder, relay_command=("/py", f"/{name}/relay.py"))
    (network,) = values(build_command(replace(SPEC, routes=ROUTES[:1]), launch), "-netdev")
    prefix = "user,id=net,ipv6=off,restrict=on,guestfwd=tcp:10.0.2.100:5222-cmd:"
    assert network.startswith(prefix)
    quoted = network.removeprefix(prefix)
    assert not re.search(r"(?<!,)(?:,,)*,(?!,)", quoted), "a single comma would end the option"
    command = shlex.split(quoted.replace(",,", ","))
    assert command[:4] == ["/py", f"/{name}/relay.py", "xmpp", str(folder / "routes.tsv")]


def test_escape() -> None:
    assert escape("a,b,,c") == "a,,b,,,,c"


def test_an_own_vm_boots_from_its_cd_else_from_its_disk_and_finds_its_context_on_a_cd() -> None:
    def command(*roles: MediumRole) -> str:
        media = tuple(Medium(role, Path(f"/{role}")) for role in roles)
        spec = VmSpec("own-a", "a", 1, 256, media)
        return " ".join(build_command(spec, Launch("qemu", "tcg", Path("/vms/own-a"), ("relay",))))

    assert "-boot order=dc," in command(MediumRole.SYSTEM, MediumRole.SCRATCH)
    disk = command(MediumRole.SCRATCH, MediumRole.CONTEXT)
    assert "-boot order=c," in disk
    assert "ide-cd,drive=context" in disk
