"""What VirtualBox says of itself, and what is taken for granted when it says nothing."""

from pathlib import Path

import pytest

from client.hypervisor.virtualbox.capabilities import judge, parse_options, probe
from client.hypervisor.virtualbox.parse import Version
from client.hypervisor.virtualbox.vboxmanage import VBoxManage
from tests.unit.hypervisor.virtualbox.stand_in import StandIn
from tests.unit.hypervisor.virtualbox.test_parse import text

#: As VirtualBox 6.1 prints its help for all commands; the spelling of options is that of its manual.
OLD_HELP = """\
Usage:

  list [--long|-l]          vms|runningvms

  modifyvm                  <uuid|vmname>
                            [--cpus <number>]
                            [--paravirtprovider none|default|legacy|minimal|
                                                hyperv|kvm]
                            [--nictype<1-N> Am79C970A|Am79C973|82540EM|
                                            82543GC|82545EM|virtio]
                            [--uarttype<1-N> 16450|16550A|16750]

  storagectl                <uuid|vmname>
                            --name <name>
                            [--controller LSILogic|IntelAHCI|
                                          PIIX4|NVMe|VirtIO]
"""
OLD, NEW = Version(6, 1, 50), Version(7, 2, 22)


def test_options_of_the_real_help() -> None:
    options = parse_options(text("7.2/help.txt"), "modifyvm")
    assert options["nic-type"] >= {"virtio", "82540EM", "usbnet"}
    assert options["uart-type"] == {"16450", "16550A", "16750"}
    assert options["vm-execution-engine"] >= {"default", "hwvirt", "native-api", "interpreter", "recompiler"}
    assert {"boot", "cpus", "nat-localhostreachable", "cable-connected", "testing-cfg-dwordidx"} <= set(options)
    assert parse_options(text("7.2/help.txt"), "storagectl")["controller"] >= {"VirtIO", "PIIX4"}


def test_judged_by_what_it_tells() -> None:
    told = judge(
        NEW,
        parse_options(text("7.2/help.txt"), "modifyvm"),
        parse_options(text("7.2/help.txt"), "storagectl"),
        {"Maximum guest CPU count": "64", "Maximum guest RAM size": "2097152 Megabytes"},
    )
    assert (told.paravirt, told.nat_localhost_option, told.uart_types) == ("kvm", True, True)
    assert (told.virtio_net, told.virtio_scsi, "recompiler" in told.accelerators) == (True, True, True)
    assert (told.most_cpus, told.most_memory_mib) == (64, 2097152)
    assert told.word("audio-driver", "audio") == "audio-driver"
    assert told.word("no-such", "older") == "older"


@pytest.mark.parametrize(("version", "has_option"), [(OLD, False), (NEW, True)])
def test_judged_by_the_table(version: Version, has_option: bool) -> None:
    told = judge(version, {}, {}, {})
    assert (told.nat_localhost_option, told.virtio_scsi, told.virtio_net) == (has_option, True, True)
    assert (told.most_cpus, told.accelerators) == (0, frozenset())


def test_what_it_lacks_is_believed_over_the_table() -> None:
    told = judge(NEW, {"paravirt-provider": frozenset({"none"})}, {"controller": frozenset({"PIIX4"})}, {})
    assert (told.paravirt, told.virtio_scsi, told.nat_localhost_option) == ("", False, False)


async def test_an_old_one(tmp_path: Path) -> None:
    there = StandIn(tmp_path, {"stdout": OLD_HELP}, {"exit": 1})
    told = await probe(VBoxManage(there.program), OLD)
    assert set(told.options) == {"cpus", "paravirtprovider", "nictype", "uarttype"}
    assert (told.paravirt, told.virtio_net, told.virtio_scsi) == ("kvm", True, True)
    assert (told.uart_types, told.nat_localhost_option, told.most_cpus) == (True, False, 0)


async def test_two_calls(tmp_path: Path) -> None:
    limits = "Minimum guest CPU count:         1\nMaximum guest CPU count:         64\n"
    there = StandIn(tmp_path, {"stdout": text("7.2/help.txt")}, {"stdout": limits})
    told = await probe(VBoxManage(there.program), NEW)
    assert there.calls == [["help"], ["list", "systemproperties"]]
    assert (told.most_cpus, "recompiler" in told.accelerators, "controller" in told.options) == (64, True, False)


async def test_one_that_says_nothing(tmp_path: Path) -> None:
    there = StandIn(tmp_path, {"exit": 1})
    assert await probe(VBoxManage(there.program), NEW) == judge(NEW, {}, {}, {})
