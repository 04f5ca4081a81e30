import io

import pytest

from client.service.counter import Counter
from client.service.table import ago, clock, counted, say_table, span


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_aligned_columns_without_gaps(capsys: pytest.CaptureFixture[str]) -> None:
    say_table(("NAME", "N", "WHAT"), [("a", 7, ""), ("long", 12, "x\x1b[31m\ny")], right=("N",))
    assert capsys.readouterr().out == "NAME   N  WHAT\na      7  -\nlong  12  x?[31m y\n"


def test_a_terminal_gets_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "30")
    say_table(("ID", "STATE", "WHAT"), [("1", "dead", "many words " * 9)])
    assert all(len(line) < 120 for line in terminal.getvalue().splitlines())
    assert "…" in terminal.getvalue()
    assert terminal.getvalue().count("\n") == 2
    say_table(("ID", "WHAT"), [("1", "many words " * 9)], wrap=True)
    assert terminal.getvalue().count("\n") > 4


@pytest.mark.parametrize(
    ("seconds", "said"), [(-5, "0 s"), (89, "89 s"), (90, "2 min"), (7200, "2.0 h"), (864000, "10.0 d")]
)
def test_spans_are_short(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_never_is_told_as_nothing() -> None:
    assert (clock(0), ago(0, 5)) == ("", "")
    assert ago(5, 10) == "5 s ago"
    assert (counted(1, "job"), counted(1200, "job")) == ("1 job", "1,200 jobs")


def test_a_pipe_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with Counter("Jobs", 100) as bar:
        for done in range(101):
            bar.show(done, "1 dead")
    lines = capsys.readouterr().err.splitlines()
    assert (len(lines), lines[0], lines[-1]) == (11, "Jobs: 0 of 100, 1 dead", "Jobs: 100 of 100, 1 dead")
    with Counter("Jobs", 0, quiet=True) as bar:
        bar.show(0)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Counter("Jobs", 4) as bar:
        bar.show(2, "1 at work")
    assert "Jobs" in terminal.getvalue()
