"""Thousands of random weeks under random limits, anew each time; WEEKS says how many."""

import os
import secrets
from concurrent.futures import ProcessPoolExecutor
from typing import Final

import pytest

from tests.helpers.week_play import violations

pytestmark = [pytest.mark.soak, pytest.mark.timeout(4 * 3600)]

WEEKS: Final = int(os.environ.get("WEEKS", "10000"))


def test_no_week_breaks_a_rule() -> None:
    first = secrets.randbelow(10**9)
    with ProcessPoolExecutor() as pool:
        broken = [what for found in pool.map(violations, range(first, first + WEEKS), chunksize=20) for what in found]
    print(f"\n{WEEKS} weeks from seed {first}: violations: {len(broken)}", *broken[:20], sep="\n")
    assert broken == []
