"""Our agent plays against what the original managers said, stanza by stanza."""

from pathlib import Path

import pytest

from client.copilot.stanza import Kind
from tests.helpers.copilot import FakeRunner
from tests.helpers.fastloop import in_fast_time
from tests.unit.copilot.conformance.replay import play, steps
from tests.unit.copilot.conformance.wire import agent_on_wire

AGENT = "agent@localhost/7818e18e8ea9e3d9402bd2908a0971d9"
AGENT2 = "agent2@localhost/3280fe9552cd6202d81a66ee9c78dd8c"


@in_fast_time
async def test_a_plain_job_with_the_originals_job_manager(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        runner = FakeRunner(tmp_path, status=256)
        async with agent_on_wire(patch, tmp_path, AGENT, "jm@localhost", runner) as (wire, agent):
            await play(wire, steps("plain-job.txt", 4), ours=True)
            assert runner.executed == ["f5ee5739-63be-4cc9-a048-807438c91244"]
            assert not agent.job_id


@in_fast_time
async def test_require_file_validation_sleep_in_a_job_redirect_and_error(tmp_path: Path) -> None:
    script = steps("validation-redirect-error.txt", 16)
    with pytest.MonkeyPatch.context() as patch:
        runner = FakeRunner(tmp_path, status=768)
        runner.validation_status = 1792
        async with agent_on_wire(patch, tmp_path, AGENT2, "probe@localhost", runner) as (wire, _):
            await play(wire, script, ours=True)
            assert runner.executed == ["jobx"]
            # The original has ended itself by now; ours asks again when its pause is over.
            again = await wire.next(Kind.INFO, "want_getJob")
            assert again.recipient == "probe@localhost"
