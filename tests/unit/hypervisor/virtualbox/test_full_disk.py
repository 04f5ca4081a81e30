"""What VirtualBox's log says of a VM that a full disk holds. Sources: tests/data/virtualbox/README.md."""

from pathlib import Path

import pytest

from client.hypervisor.virtualbox.full_disk import holds
from client.hypervisor.virtualbox.vm_log import LogTail

DATA = Path(__file__).resolve().parents[3] / "data" / "virtualbox"
CACHE = (
    'I/O cache: Error while writing entry at offset 1048576 (4096 bytes) to medium "ahci-0-0" (rc=VERR_DISK_FULL)\n'
    "VM: Raising runtime error 'BLKCACHE_IOERR' (fFlags=0x6)\n"
    "Console: Machine state changed to 'Paused'\n"
)
DRIVER = (
    "VD#0: Host disk full\n"
    "VM: Raising runtime error 'DrvVD_DISKFULL' (fFlags=0x6)\n"
    'Console: VM runtime error: fatal=false, errorID=DrvVD_DISKFULL message="Host system reported disk full. VM'
    ' execution is suspended. You can resume after freeing some space"\n'
)
NO_MEMORY = CACHE.replace("VERR_DISK_FULL", "VERR_NO_MEMORY")
WENT_ON = "Changing the VM state from 'RESUMING' to 'RUNNING'\n"
GUEST = "VMMDev: Guest Log: I/O cache VERR_DISK_FULL DrvVD_DISKFULL\n"


def test_the_log_of_7_2(tmp_path: Path) -> None:
    captured = (DATA / "7.2" / "log-held.txt").read_text()
    log = tmp_path / "VBox.log"
    log.write_text(captured)
    assert holds(LogTail(log))
    log.write_text(captured + "00:00:09.000000 Changing the VM state from 'RESUMING' to 'RUNNING'\n")
    assert not holds(LogTail(log))


@pytest.mark.parametrize(
    ("said", "is_held"),
    [
        (CACHE, True),
        (DRIVER, True),
        (WENT_ON + CACHE, True),
        (CACHE + WENT_ON, False),
        (CACHE + WENT_ON + DRIVER, True),
        (NO_MEMORY, False),
        (GUEST, False),
        ("", False),
    ],
)
def test_a_log(tmp_path: Path, said: str, is_held: bool) -> None:
    log = tmp_path / "VBox.log"
    log.write_text("".join(f"00:01:02.345678 {line}\n" for line in said.splitlines()))
    assert holds(LogTail(log)) is is_held
