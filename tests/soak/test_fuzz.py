"""Coverage-guided fuzzing, a million cases and more; FUZZ_RUNS says how many are tried in all."""

import os
from typing import Final

import pytest

from tests.fuzz.run import fuzz
from tests.fuzz.targets import TARGETS

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]

RUNS: Final = int(os.environ.get("FUZZ_RUNS", "3000000"))
#: of one target; the slow ones have fewer cases in it
LONGEST_S: Final = 600


def test_a_million_cases_break_nothing() -> None:
    each = RUNS // len(TARGETS)
    cases = {target: fuzz(target, f"-runs={each}", f"-max_total_time={LONGEST_S}") for target in TARGETS}
    print(f"{sum(cases.values())} cases in all")
    assert sum(cases.values()) >= 1_000_000, cases
