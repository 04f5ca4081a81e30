"""A VirtualBox in memory, behind VBoxManage's words: enough of it for the driver's tests, settings files included."""

from dataclasses import dataclass, field
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5
from xml.sax.saxutils import quoteattr

import pytest

from client import process
from client.errors import ClientError
from client.hypervisor.virtualbox.problems import ObjectNotFound, WrongState
from client.process import Identity


@dataclass
class Box:
    """A registered machine."""

    uuid: str
    settings: Path
    state: str = "poweroff"
    pid: int = 0
    options: dict[str, str] = field(default_factory=dict)
    drives: dict[tuple[str, str, str], str] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)
    snapshots: list[tuple[str, str, bool]] = field(default_factory=list)
    aborted: bool = False

    def write(self) -> None:
        state = ' stateFile="x.sav"' if self.state == "saved" else ""
        aborted = ' aborted="true"' if self.aborted else ""
        extra = "".join(f"<ExtraDataItem name={quoteattr(k)} value={quoteattr(v)}/>" for k, v in self.extra.items())
        memory = ' stateFile="y"'
        points = "".join(f'<Snapshot uuid="{{{u}}}" name={quoteattr(n)}{memory * m}/>' for u, n, m in self.snapshots)
        drives = self._registry() + "".join(self._controller(name) for name in ("CDs", "Disks", "Boot"))
        self.settings.parent.mkdir(parents=True, exist_ok=True)
        self.settings.write_text(
            f'<VirtualBox xmlns="http://www.virtualbox.org/"><Machine uuid="{{{self.uuid}}}" '
            f'name="{self.settings.stem}"{state}{aborted}><ExtraData>{extra}</ExtraData>{drives}{points}</Machine></VirtualBox>'
        )

    def _registry(self) -> str:
        cds = [medium for place, medium in self.drives.items() if place[0] == "CDs" and medium != "emptydrive"]
        images = "".join(f"<Image uuid={_key(medium)} location={quoteattr(medium)}/>" for medium in cds)
        bases = [medium for place, medium in self.drives.items() if place[0] != "CDs"]
        disks = "".join(
            f"<HardDisk uuid='{{base}}' location={quoteattr(base)}><HardDisk uuid={_key(base)}/></HardDisk>"
            for base in bases
        )
        return f"<MediaRegistry><HardDisks>{disks}</HardDisks><DVDImages>{images}</DVDImages></MediaRegistry>"

    def _controller(self, name: str) -> str:
        kind = "DVD" if name == "CDs" else "HardDisk"
        drives = "".join(
            f'<AttachedDevice type="{kind}" port="{place[1]}" device="{place[2]}">'
            + (f"<Image uuid={_key(medium)}/>" if medium != "emptydrive" else "")
            + "</AttachedDevice>"
            for place, medium in self.drives.items()
            if place[0] == name
        )
        return f'<StorageController name="{name}">{drives}</StorageController>' if drives else ""


def _key(medium: str) -> str:
    return quoteattr(f"{{{uuid5(NAMESPACE_URL, medium)}}}")


class FakeVirtualBox:
    """See `client.hypervisor.virtualbox.installation.Manage`.

    Attributes:
        calls: all words so far.
        failures: verb -> error that it raises the next time.
        alive: pids of processes that run.
    """

    def __init__(self) -> None:
        self.boxes: dict[str, Box] = {}
        self.media: dict[str, tuple[str, str]] = {}
        self.calls: list[tuple[str, ...]] = []
        self.failures: dict[str, ClientError] = {}
        self.alive: set[int] = set()
        self.log_lines = "00:00:00.2 HM: HMR3Init: VT-x w/ nested paging\n"
        self._pids = 5000

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the program see this VirtualBox's processes instead of the computer's."""

        async def gone(who: Identity, timeout_s: float) -> bool:
            return who.pid not in self.alive

        async def terminate(who: Identity, timeout_s: float = 5.0) -> bool:
            self.crash(who.pid)
            return True

        monkeypatch.setattr(process, "identity", lambda pid: Identity(pid, "then") if pid in self.alive else None)
        monkeypatch.setattr(process, "alive", lambda pid, started_at: pid in self.alive)
        monkeypatch.setattr(process, "command_line", self._command_line)
        monkeypatch.setattr(process, "wait_gone", gone)
        monkeypatch.setattr(process, "terminate", terminate)

    def only(self) -> Box:
        """The one machine there is."""
        (box,) = self.boxes.values()
        return box

    def crash(self, pid: int) -> None:
        """A VM's process ends without VirtualBox's doing."""
        self.alive.discard(pid)
        for box in self.boxes.values():
            if box.pid == pid:
                box.state, box.pid, box.aborted = "aborted", 0, True
                box.write()

    def said(self, verb: str) -> list[tuple[str, ...]]:
        """Calls of a verb."""
        return [words for words in self.calls if words[0] == verb]

    async def read(self, *words: str, timeout_s: float = 20.0) -> str:
        return self._do(words)

    async def change(self, *words: str, timeout_s: float = 60.0) -> str:
        return self._do(words)

    def _do(self, words: tuple[str, ...]) -> str:
        self.calls.append(words)
        for key in (words[0], " ".join((words[0], *words[2:3]))):
            if error := self.failures.pop(key, None):
                raise error
        return getattr(self, f"_{words[0]}")(*words[1:]) or ""

    def _command_line(self, pid: int) -> tuple[str, ...]:
        return next((("VBoxHeadless", "--startvm", box.uuid) for box in self.boxes.values() if box.pid == pid), ())

    def _box(self, uuid: str) -> Box:
        try:
            return self.boxes[uuid]
        except KeyError:
            raise ObjectNotFound(uuid, "no such machine") from None

    def _createvm(self, *words: str) -> None:
        said = dict(zip(words[::2], words[1::2], strict=False))
        name, uuid = said["--name"], said["--uuid"]
        box = Box(uuid, Path(said["--basefolder"]) / name / f"{name}.vbox")
        self.boxes[uuid] = box
        box.write()

    def _registervm(self, path: str) -> None:
        text = Path(path).read_text()
        uuid = text.split('uuid="{')[1].split("}")[0]
        self.boxes[uuid] = Box(uuid, Path(path), state="saved" if "stateFile" in text else "poweroff")

    def _unregistervm(self, uuid: str) -> None:
        if self._box(uuid).pid:
            raise WrongState("locked")
        del self.boxes[uuid]

    def _setextradata(self, uuid: str, key: str, value: str) -> None:
        box = self._box(uuid)
        box.extra[key] = value
        box.write()

    def _modifyvm(self, uuid: str, *words: str) -> None:
        box = self._box(uuid)
        if box.state not in ("poweroff", "aborted") and words[0] != "--cableconnected1":
            raise WrongState("The machine is not mutable")
        at = [index for index, word in enumerate(words) if word.startswith("--")]
        for here, there in zip(at, [*at[1:], len(words)], strict=True):
            box.options[words[here]] = " ".join(words[here + 1 : there])
        box.write()

    def _storagectl(self, uuid: str, *words: str) -> None:
        self._box(uuid).options[f"controller {words[1]}"] = words[3]

    def _storageattach(self, uuid: str, *words: str) -> None:
        said = dict(zip(words[::2], words[1::2], strict=False))
        box, medium = self._box(uuid), said["--medium"]
        place = (said["--storagectl"], said["--port"], said["--device"])
        if said.get("--mtype") == "multiattach" and medium not in self.media:
            raise WrongState("the media type 'MultiAttach' can only be used on media registered with a machine")
        if medium == "none":
            box.drives.pop(place, None)
            box.write()
            return
        box.drives[place] = medium
        if medium != "emptydrive":
            self.media[medium] = (said["--type"], str(uuid5(NAMESPACE_URL, medium)))
        box.write()

    def _startvm(self, uuid: str, *words: str) -> None:
        box = self._box(uuid)
        if box.pid:
            raise WrongState("already running")
        self._pids += 1
        box.pid = self._pids
        self.alive.add(box.pid)
        box.state, box.aborted = "running", False
        box.write()
        log = box.settings.parent / "Logs" / "VBox.log"
        log.parent.mkdir(exist_ok=True)
        log.unlink(missing_ok=True)
        log.write_text(f"00:00:00.1 Process ID: {box.pid}\n{self.log_lines}")

    def note(self, box: Box, line: str) -> None:
        """Write a line into a VM's log."""
        with (box.settings.parent / "Logs" / "VBox.log").open("a") as log:
            log.write(f"00:00:01.000000 {line}\n")

    def _controlvm(self, uuid: str, word: str, *more: str) -> None:
        box = self._box(uuid)
        if not box.pid:
            raise WrongState("is not currently running")
        before = box.state
        allowed = {"pause": "running", "resume": "paused", "reset": "running"}
        if before != allowed.get(word, before):
            raise WrongState(word)
        if word == "reset":
            self.note(box, "Changing the VM state from 'RUNNING' to 'RESETTING'")
        elif word in ("savestate", "poweroff", "acpipowerbutton"):
            self.alive.discard(box.pid)
            box.pid = 0
            box.state = "saved" if word == "savestate" else "poweroff"
        elif word in ("pause", "resume"):
            box.state = {"pause": "paused", "resume": "running"}[word]
        else:
            box.options[f"live {word}"] = " ".join(more)
        box.write()

    def _discardstate(self, uuid: str) -> None:
        box = self._box(uuid)
        if box.state != "saved":
            raise WrongState("no saved state")
        box.state = "poweroff"
        box.write()

    def _snapshot(self, uuid: str, verb: str, what: str, *more: str) -> None:
        box = self._box(uuid)
        at = next((index for index, (known, _, _) in enumerate(box.snapshots) if known == what), -1)
        if verb == "take":
            has_memory = box.state in ("running", "paused", "saved")
            box.snapshots.append((f"{len(self.calls):08d}-0000-4000-8000-000000000000", what, has_memory))
        elif verb == "delete":
            del box.snapshots[at]
        elif verb == "edit":
            box.snapshots[at] = (what, more[1], box.snapshots[at][2])
        else:
            box.state = "saved" if box.snapshots[at][2] else "poweroff"
        box.write()

    def _showvminfo(self, uuid: str, *words: str) -> str:
        box = self._box(uuid)
        if not box.settings.exists():
            return 'name="<inaccessible>"\n'
        drives = "".join(f'"{"-".join(place)}"="{medium}"\n' for place, medium in box.drives.items())
        head = f'name="{box.settings.stem}"\nCfgFile="{box.settings}"\nUUID="{box.uuid}"\n'
        return f'{head}VMState="{box.state}"\n{drives}'

    def _list(self, what: str, *words: str) -> str:
        if what == "vms":
            names = (box.settings.stem if box.settings.exists() else None for box in self.boxes.values())
            lines = (f'"{name}"' if name else "<inaccessible>" for name in names)
            return "".join(f"{line} {{{uuid}}}\n" for line, uuid in zip(lines, self.boxes, strict=True))
        kind = {"hdds": "hdd", "dvds": "dvddrive"}[what]
        used = {medium for box in self.boxes.values() for medium in box.drives.values()}
        return "\n\n".join(
            f"UUID:           {uuid}\nParent UUID:    base\nState:          created\nLocation:       {path}"
            + (f"\nIn use by VMs:  x (UUID: {uuid})" if path in used else "")
            for path, (one, uuid) in self.media.items()
            if one == kind
        )

    def _closemedium(self, kind: str, medium: str, *words: str) -> None:
        self.media = {path: one for path, one in self.media.items() if medium not in (path, one[1])}
