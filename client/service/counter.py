"""How many of many are done, on standard error: a bar on a terminal, a line now and then in a pipe."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Final

from client.service.table import tell

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

#: a pipe gets a line at each such step, in percent
_PLAIN_STEP: Final = 10


class Counter:
    """A bar for as long as the context lasts.

    Args:
        what: verb and noun, as "Submitting jobs".
        quiet: a pipe gets nothing; a terminal has its bar all the same.
    """

    def __init__(self, what: str, total: int, *, quiet: bool = False) -> None:
        self._what = what
        self._total = total
        self._quiet = quiet
        self._step = -1
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "Counter":
        """Begin."""
        if sys.stderr.isatty():
            # Only for people, and they do not see the tenth of a second that it takes to load.
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(
                *columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True), transient=True
            )
            self._task = self._bar.add_task(self._what, total=self._total, note="")
            self._bar.start()
        return self

    def show(self, done: int, note: str = "") -> None:
        """So many are done. note: what else there is to say."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, note=note)
            return
        step = 100 * done // max(1, self._total) // _PLAIN_STEP
        if not self._quiet and step != self._step:
            tell(f"{self._what}: {done:,} of {self._total:,}{f', {note}' if note else ''}")
        self._step = step

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
