"""A refresh is killed at every step that it takes on the disk: offline then, the last whole state is shown."""

import os
from pathlib import Path

import pytest

from tests.helpers.catalogue import Shop, Volunteer, served, versions
from tests.integration.appliance.test_publish_interrupted import DONE, KILLED, run_and_kill

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("begun", [True, False])
def test_killed_anywhere_a_refresh_leaves_a_whole_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)
    shop = Shop(tmp_path)
    shop.add(version="1.0", content=b"image one")
    with served(shop) as server:
        volunteer = Volunteer(shop, tmp_path / "trust", server)
        if begun:
            assert volunteer.versions() == ["demo/thin 1.0"]
        shop.add(version="1.1", content=b"image two")
        shown, steps, done = [], 0, KILLED
        while done == KILLED:
            done = run_and_kill(volunteer.refresh, steps)
            assert done in (KILLED, DONE)
            if begun or done == DONE:
                server.lies = {".json": lambda handler: handler.send_error(503)}
                found = volunteer.refresh()
                assert not found.is_fresh
                shown.append(versions(found))
                server.lies = {}
            steps += 1
        new = ["demo/thin 1.1", "demo/thin 1.0"]
        assert steps > 4
        assert shown == sorted(shown, key=len) and shown[-1] == new
        assert volunteer.versions() == new
