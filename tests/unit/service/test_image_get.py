"""What `image get` makes of the limits for the network."""

from pathlib import Path

import pytest

from client.meter import Meter, clock_ns
from client.paths import Paths
from client.service.control import InstanceLock
from client.service.image_get import heed_rules


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path)
    made.make()
    made.preferences.write_text("[network]\ndown_kib_per_s = 3\n")
    assert Meter(str(made.meter)).set_rule(0, 0, True, clock_ns())
    return made


def rule(paths: Paths) -> tuple[tuple[int, int], bool]:
    meter = Meter(str(paths.meter))
    assert meter.look(clock_ns())
    return meter.limits, meter.closed


def test_without_a_program_that_runs_limits_hold_and_old_rules_do_not(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    heed_rules(paths)
    assert rule(paths) == ((3072, 0), False)
    assert capsys.readouterr().err == ""


def test_the_rule_of_the_program_that_runs_is_said(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    with InstanceLock(paths):
        heed_rules(paths)
    assert rule(paths) == ((0, 0), True)
    assert "nothing over the network now" in capsys.readouterr().err
