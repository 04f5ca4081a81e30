"""pyvbox played by a small stand-in: where it fits, where it reads states wrongly, and where it hangs."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from client.hypervisor.virtualbox.session import SessionHelper

#: As pyvbox 2.1.1 has them (6.1), and as VirtualBox 7.0 and later number them: it came in between.
OF_6_1 = {"Null": 0, "PoweredOff": 1, "Saved": 2, "Teleported": 3, "Aborted": 4, "Running": 5, "Paused": 6, "Stuck": 7}
OF_7 = {**OF_6_1, "AbortedSaved": 5, "Running": 6, "Paused": 7, "Stuck": 8}


class Refused(Exception):
    """As pyvbox's VBoxError."""


class Machine:
    """One VM; numbers are those of the installed VirtualBox, words are pyvbox's for them."""

    def __init__(self, installed: dict[str, int], known: dict[str, int]) -> None:
        self.number = installed["Running"]
        self.asked: list[str] = []
        self.refuses = False
        self.hangs = threading.Event()
        self.hangs.set()
        self.progress = Progress()
        self.on_become: Callable[[str], None] = lambda word: None
        self._installed = installed
        self._words = {number: word for word, number in known.items()}

    @property
    def state(self) -> str:
        return self._words[self.number]

    def lock_machine(self, session: Any, kind: str) -> None:
        self.hangs.wait(10)
        self.asked.append(kind)

    def become(self, word: str) -> None:
        self.asked.append(word)
        if self.refuses:
            raise Refused("not now")
        self.number = self._installed[word]
        self.on_become(word)

    def save_state(self) -> "Progress":
        self.become("Saved")
        return self.progress


class Progress:
    """Further at each look; the result is there when it is done, not before."""

    def __init__(self) -> None:
        self._left = [10, 60, 100]
        self.result = 0
        self.on_look: Callable[[], None] = lambda: None

    @property
    def completed(self) -> bool:
        self.on_look()
        return len(self._left) == 1

    @property
    def percent(self) -> int:
        return self._left[0] if len(self._left) == 1 else self._left.pop(0)

    @property
    def result_code(self) -> int:
        if len(self._left) > 1:
            raise AssertionError("operation is still in progress")
        return self.result


class FakePyvbox:
    """The modules `virtualbox` and `vboxapi.VirtualBox_constants`."""

    def __init__(self, installed: dict[str, int], known: dict[str, int] = OF_6_1) -> None:
        self.machine = Machine(installed, known)
        self._installed = {**installed, "FirstOnline": installed["Running"]}
        self.library = SimpleNamespace(
            MachineState=SimpleNamespace(_enums=[(word, number, "") for word, number in known.items()]),
            LockType=SimpleNamespace(shared="shared"),
            VBoxError=Refused,
        )

    def VirtualBox(self) -> Any:
        return SimpleNamespace(version="6.1.16", find_machine=lambda uuid: self.machine)

    def Session(self) -> Any:
        console = SimpleNamespace(
            pause=lambda: self.machine.become("Paused"), resume=lambda: self.machine.become("Running")
        )
        return SimpleNamespace(
            console=console, machine=self.machine, unlock_machine=lambda: self.machine.asked.append("unlocked")
        )

    @property
    def constants(self) -> Any:
        return SimpleNamespace(VirtualBoxReflectionInfo=lambda _: SimpleNamespace(all_values=lambda _: self._installed))

    def helper(self) -> SessionHelper:
        return SessionHelper(lambda: (self, self.constants))
