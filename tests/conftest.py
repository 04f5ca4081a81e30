"""For the whole suite: on the project's own machines a skipped test is a failure of the set-up."""

import os

import hypothesis
import pytest

#: Of a property so many examples are tried before each commit; `make test` tries three times as many.
EXAMPLES = int(os.environ.get("EXAMPLES", "20"))
# The library chooses other settings in CI, which stay. Times are for the bench, so there is no deadline anywhere.
hypothesis.settings.register_profile(
    "volunteer-cloud", hypothesis.settings.default, max_examples=EXAMPLES, deadline=None
)
hypothesis.settings.load_profile("volunteer-cloud")

#: hardware and outside world that no set-up can install
MAY_LACK = ("no /dev/kvm", "no hardware accelerator", "has no network")
#: what the fake driver cannot have, being no machine; a real driver that lacks it is a failure
FAKE_LACKS = ("its guests have ",)
#: what the run ends with then: not what failed tests give, for those may be tried again (packaging/test.sh)
SKIPPED = 6
_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        is_fake = "fake" in report.nodeid.rpartition("[")[2]
        if not any(words in reason for words in (*MAY_LACK, *(FAKE_LACKS if is_fake else ()))):
            _skipped.append(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if os.environ.get("CI") and _skipped and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        print("\nskipped, but should run here:", *_skipped, sep="\n  ")
        session.exitstatus = SKIPPED
