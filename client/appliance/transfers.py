"""Has workers fetch and check files, shows how far they are, holds them when the user or the network calls for it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

from client.appliance.target import Target
from client.appliance.worker import OnProgress, Steering, run_worker
from client.snapshot import Reason, TransferView

#: read after a verb: "Downloading the appliance"
SHOWN_NAME: Final = "the appliance"
BY_USER: Final = "fetching-held"
METERED: Final = "metered-link"
#: the volunteer's rules for the network; whoever holds for it says which
RULES: Final = "network-rules"
#: nobody holds it: there is no server that gives anything at this moment
NO_ANSWER: Final = "no-server-answers"
#: why nothing is fetched, the first that applies is told
REASONS: Final = {
    BY_USER: "You have held the fetching of appliances; it goes on when you say so.",
    METERED: "This network is paid by the byte; appliances are fetched when there is another.",
    RULES: "Your rules let nothing over the network now; appliances are fetched when they do.",
}
#: steps as workers call them -> as the user reads them
_STEPS: Final = {"checking": "verifying", "patching": "unpacking", "applying": "unpacking"}

ShowTransfer = Callable[[TransferView | None], None]


class RunWorker(Protocol):
    """What `run_worker` is to this module."""

    def __call__(
        self, kind: str, order: Mapping[str, Any], *, on_progress: OnProgress = ..., steer: Steering | None = None
    ) -> Awaitable[Mapping[str, Any]]:
        """See `client.appliance.worker.run_worker`."""


def metered(meter: Path, run: RunWorker = run_worker) -> RunWorker:
    """Has workers obey the meter (`client.meter`) in what they fetch.

    Args:
        run: has a worker do something.
    """

    def run_metered(
        kind: str,
        order: Mapping[str, Any],
        *,
        on_progress: OnProgress = lambda said: None,
        steer: Steering | None = None,
    ) -> Awaitable[Mapping[str, Any]]:
        return run(kind, {**order, "meter": str(meter)}, on_progress=on_progress, steer=steer)

    return run_metered


class Transfers:
    """What is under way, of one store."""

    def __init__(self, limit_bytes_per_s: int | None, *, is_held: bool, run: RunWorker = run_worker) -> None:
        """Args: is_held: by the user, before."""
        self._limit = limit_bytes_per_s
        self._run = run
        self._holds = {BY_USER: _reason(BY_USER)} if is_held else {}
        self._steers: list[tuple[Steering, Callable[[], None]]] = []

    @property
    def held(self) -> Reason | None:
        """Why nothing is fetched now; None if it is."""
        return next((self._holds[code] for code in REASONS if code in self._holds), None)

    def hold(self, code: str, reason: Reason | None = None) -> None:
        """Let all fetching rest, for one of REASONS.

        Args:
            reason: what to show for it, if that can be said more closely.
        """
        self._holds[code] = reason or _reason(code)
        self._steer()

    def limit(self, bytes_per_s: int | None) -> None:
        """Fetch no faster than this from now on, what is under way too; None: as fast as it goes."""
        self._limit = bytes_per_s
        for steer, _ in self._steers:
            steer.limit(bytes_per_s)

    def go_on(self, code: str) -> None:
        """Undo `hold` for that reason; there may be others."""
        self._holds.pop(code, None)
        self._steer()

    async def work(
        self,
        kind: str,
        order: Mapping[str, Any],
        show: ShowTransfer,
        targets: Sequence[Target] = (),
        heard: OnProgress = lambda said: None,
    ) -> Mapping[str, Any]:
        """Have a worker do something, and show how far it is. Cancelling it ends the worker.

        Args:
            show: told how far it is; None at the end.
            targets: the files that it works on, one after the other.
            heard: told all that the worker says.

        Raises:
            ClientError: as the worker's.
        """
        steer, line = Steering(), _Line(show, targets)
        steer.limit(self._limit)
        entry = (steer, lambda: line.hold(self.held))
        self._steers.append(entry)

        def listen(said: Mapping[str, Any]) -> None:
            heard(said)
            line.take(said)

        try:
            self._steer()
            said = {**order, "limit_bytes_per_s": self._limit}
            return await self._run(kind, said, on_progress=listen, steer=steer)
        finally:
            self._steers.remove(entry)
            show(None)

    def _steer(self) -> None:
        for steer, tell in self._steers:
            if self._holds:
                steer.hold()
            else:
                steer.go_on()
            tell()


def _reason(code: str) -> Reason:
    return Reason(code, REASONS[code])


class _Line:
    """How far one worker is with all its files."""

    def __init__(self, show: ShowTransfer, targets: Sequence[Target]) -> None:
        self._show = show
        self._sizes = {target.sha256: target.size_bytes for target in targets}
        self._total = sum(self._sizes.values())
        self._before = 0
        self._file = ""
        self._view = TransferView(SHOWN_NAME, "downloading", 0, self._total, 0.0, None)
        self._held: Reason | None = None

    def take(self, said: Mapping[str, Any]) -> None:
        if "file" in said:
            self._before += self._sizes.get(self._file, 0)
            self._file = str(said["file"])
            return
        if said.get("step") == "waiting" and self._held is None:
            self._rest(Reason(NO_ANSWER, f"No server gives it now ({said.get('said') or 'no answer'}); trying again."))
            return
        if "done_bytes" not in said or not self._total:
            return
        done = min(self._before + int(said["done_bytes"]), self._total)
        rate = float(said.get("rate_bytes_per_s") or 0.0)
        step = str(said.get("step", "downloading"))
        step = _STEPS.get(step, step if step in {"verifying", "unpacking"} else "downloading")
        left = (self._total - done) / rate if rate else None
        self._view = TransferView(SHOWN_NAME, step, done, self._total, rate, left, self._held)
        self._show(self._view)

    def hold(self, reason: Reason | None) -> None:
        if reason != self._held:
            self._held = reason
            self._rest(reason)

    def _rest(self, reason: Reason | None) -> None:
        if self._total:
            self._view = replace(self._view, rate_bytes_per_s=0.0, seconds_left=None, held=reason)
            self._show(self._view)
