"""The machine, its preparation and the totals from a snapshot."""

from dataclasses import replace

import pytest

from client.snapshot import Reason, Totals, TransferView, VmState
from tests.unit.ui import samples
from ui.machine_view import (
    NO_MACHINE,
    machine_card,
    main_vm,
    preparations,
    total_figures,
    transfer_progress,
    vm_words,
)
from ui.trace import Trace


@pytest.mark.parametrize("state", list(VmState))
def test_each_state_has_words(state: VmState) -> None:
    assert vm_words(replace(samples.VM, state=state))[0].isupper()


def test_speed_is_said_only_while_it_runs() -> None:
    assert vm_words(samples.VM) == "Running, emulated in software (TCG)"
    assert vm_words(replace(samples.VM, accelerator="new-thing")) == "Running, new-thing"
    assert vm_words(replace(samples.VM, state=VmState.PAUSED)) == "Held in memory"
    assert vm_words(replace(samples.VM, state=VmState.SAVED)) == "Saved to disk"


def test_figures() -> None:
    card = machine_card(samples.VM)
    rows = {caption: value.replace("\u00a0", " ") for caption, value in card.rows}
    assert card.cpu.value.replace("\u00a0", " ") == "98 %"
    assert rows["Memory used inside"] == "143 MiB of 486 MiB"
    assert rows["Received"] == "1.3 MB"
    assert rows["Project"] == "connected"


@pytest.mark.parametrize("state", [VmState.PAUSED, VmState.SAVED])
def test_a_held_machine_takes_no_processor_time(state: VmState) -> None:
    held = replace(samples.VM, state=state, cpu_percent=97.0)
    assert machine_card(held).cpu.value == "0\u00a0%"
    trace = Trace()
    trace.add(replace(samples.BASE, vms=(held,)))
    assert trace.cpu_percent == (0.0,)


def test_a_failed_machine_says_its_cause() -> None:
    failed = replace(samples.VM, state=VmState.FAILED, cause="The process ended with signal 9.")
    assert machine_card(failed).note == "The process ended with signal 9."


def test_without_a_machine_it_says_what_it_will_be() -> None:
    assert machine_card(None).note == NO_MACHINE


def test_the_living_machine_is_the_one_shown() -> None:
    saved = replace(samples.VM, vm_id="old", state=VmState.SAVED)
    assert main_vm(replace(samples.BASE, vms=(saved, samples.VM))) == samples.VM
    assert main_vm(replace(samples.BASE, vms=(saved,))) == saved
    assert main_vm(samples.BASE) is None


def test_download_says_how_far_how_fast_and_how_long() -> None:
    bar = transfer_progress(samples.TRANSFER)
    assert bar.label == "Downloading the appliance"
    assert bar.detail.replace("\u00a0", " ") == "12.0 MB of 30.1 MB · 3.1 MB/s · a few seconds left"
    assert bar.fraction == pytest.approx(12 / 30.1)


def test_download_of_unknown_size() -> None:
    bar = transfer_progress(TransferView("catalogue", "verifying", 1000, 0, 0.0, None))
    assert (bar.label, bar.fraction, bar.detail.replace("\u00a0", " ")) == ("Checking catalogue", None, "1.0 kB")


def test_a_download_that_rests_says_why() -> None:
    reason = Reason("no-server-answers", "No server gives it now (Connection refused); trying again.")
    bar = transfer_progress(TransferView("the appliance", "downloading", 1000, 0, 0.0, None, reason))
    assert bar.detail.endswith(" · No server gives it now (Connection refused); trying again")


def test_boot_is_shown_until_the_agent_is_there() -> None:
    (bar,) = preparations(samples.BOOTING)
    assert (bar.fraction, bar.detail) == (0.62, "mounting the software disk")
    assert preparations(samples.WORKING) == ()
    assert preparations(samples.with_vm(samples.BASE, state=VmState.SAVED, boot_fraction=0.0)) == ()


def test_totals() -> None:
    assert [figure.value for figure in total_figures(Totals(1, 0, 500, 60))] == ["1", "500", "1\u00a0min"]
    assert total_figures(Totals(1, 2, 500, 60))[-1].caption == "without result"


@pytest.mark.parametrize(
    ("name", "accelerator", "shown", "words"),
    [
        ("virtualbox", "native-api", "VirtualBox", "Running, at reduced speed, under the system's own hypervisor"),
        ("qemu", "kvm", "QEMU", "Running, at hardware speed (KVM)"),
        ("bhyve", "magic", "bhyve", "Running, magic"),
    ],
)
def test_the_hypervisor_is_named(name: str, accelerator: str, shown: str, words: str) -> None:
    card = machine_card(replace(samples.VM, hypervisor=name, accelerator=accelerator))
    assert dict(card.rows)["Runs under"] == shown
    assert card.state == words
