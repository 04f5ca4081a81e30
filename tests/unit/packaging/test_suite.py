"""What the whole suite ends with, and what CI tries once more."""

from collections.abc import Sequence

import pytest

from packaging.suite import AGAIN, try_again, verdict
from tests.conftest import SKIPPED


@pytest.mark.parametrize(
    ("codes", "arguments", "expected"),
    [
        ((0, 0, 0), (), 0),
        ((0, 1, 0), (), 1),
        ((1, SKIPPED, 0), (), SKIPPED),
        ((0, 0, 5), (), 5),
        ((0, 5, 5), ("-k", "one"), 0),
        ((0, -9, 1), (), 2),
        ((2, 1, 0), (), 2),
    ],
)
def test_the_worst_counts(codes: tuple[int, ...], arguments: tuple[str, ...], expected: int) -> None:
    assert verdict(dict(zip(("machines", "beside", "alone"), codes, strict=True)), arguments) == expected


@pytest.mark.parametrize("second", [0, 1])
def test_what_failed_is_named_and_run_again(second: int, capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[tuple[str, Sequence[str]]] = []

    def run(name: str, arguments: Sequence[str]) -> int:
        ran.append((name, arguments))
        return second if name == "alone" else 0

    ended = {"machines": 1, "beside": 0, "alone": 1}
    assert try_again(ended, lambda name: [f"{name}.py::test"], run) == second
    assert ran == [("machines", AGAIN), ("alone", AGAIN)]
    assert capsys.readouterr().out == "failed once, tried again: machines.py::test alone.py::test\n"
