"""A manager that tells its monitor, over a stream in memory."""

import itertools
import time

import pytest

from client.copilot.events import ReportEvents, parse_report
from client.copilot.managers.config import ProcessSettings
from client.copilot.managers.monitor.reporter import ReportSettings
from client.copilot.managers.process import ManagerProcess
from tests.helpers.fastloop import in_fast_time
from tests.unit.copilot.conformance.wire import Wire, account_of, put_on_wire, running

TOLD = ReportSettings("monitor@localhost", batched=True)


@in_fast_time
async def test_a_clock_that_is_set_back_keeps_no_manager_silent() -> None:
    with pytest.MonkeyPatch.context() as patch:
        wire = Wire("jm@localhost/alpha")
        put_on_wire(patch, wire)
        process = ManagerProcess(account_of(wire), ProcessSettings(None, None, report=TOLD))
        began, looks = time.time(), itertools.count()
        async with running(process, wire):
            patch.setattr(time, "time", lambda: began - 3600 * next(looks))
            for number in (1, 2, 3):
                for _ in range(number):
                    process.reporter.happened("job.start")
                told = await wire.command("reportEvents")
                report = parse_report(told.info)
                assert isinstance(report, ReportEvents)
                assert (told.recipient, told.noack) == ("monitor@localhost", True)
                assert report.tally.counts == {"job.start": number}
