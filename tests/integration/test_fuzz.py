"""A minute of coverage-guided fuzzing of what hostile peers can send; `make soak` does a million cases and more."""

import pytest

from tests.fuzz.run import fuzz
from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.integration

#: of all targets together
BUDGET_S = 60


@pytest.mark.parametrize("target", TARGETS)
def test_no_bytes_break(target: str) -> None:
    # The same cases each time, as far as it gets: what is found here is found again.
    assert fuzz(target, "-seed=1", f"-max_total_time={max(2, BUDGET_S // len(TARGETS))}") > 0
