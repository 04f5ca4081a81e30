"""Random weeks under random limits: no rule of the policy is ever broken."""

import pytest

from tests.helpers.week_play import violations

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]
WEEKS = 200


def test_random_weeks_break_no_rule() -> None:
    broken = [what for seed in range(1000, 1000 + WEEKS) for what in violations(seed)]
    assert broken == []
