"""`main.py submit --original-queue`: into the Redis of an original, with input on the site's file server."""

import json
from pathlib import Path

import pytest

from client.copilot.queue.original import parse_original
from client.errors import BadInput
from client.service.site_plan import load_plan
from client.service.submit_command import main
from tests.helpers.sites import make_site, queue_of
from tests.integration.redis_server import running_server

pytestmark = pytest.mark.integration


def test_jobs_lie_in_the_originals_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = make_site(tmp_path / "site")
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    words = ["--site", str(site.base), "--command", str(tmp_path / "run.sh"), "--arguments", "{n}", "--number", "2"]
    with running_server() as server:
        assert main([*words, "--original-queue", f"unix://{server.place.socket}", "--json"]) == 0
        ids = json.loads(capsys.readouterr().out)["jobs"]
        assert server.command("LLEN", "waiting_jobs") == 2
        said = server.command("GET", f"job:{ids[1]}:description")
        new, wrong = parse_original(ids[1], str(said))
    assert wrong == ""
    description = new.description
    assert (description.command, description.arguments, description.input_files) == ("run.sh", "1", ("run.sh",))
    assert description.chirp_url == f"127.0.0.1:{load_plan(site.plan).ports.chirp}"
    assert (site.chirp_root / description.input_dir / "run.sh").is_file()
    with queue_of(site) as queue:
        assert queue.jobs() == []


def test_what_the_layout_cannot_hold_leaves_nothing(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site")
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    words = ["--site", str(site.base), "--command", str(tmp_path / "run.sh"), "--arguments", "a::::b"]
    with running_server() as server, pytest.raises(BadInput, match="original's queue cannot keep"):
        main([*words, "--original-queue", f"unix://{server.place.socket}"])
    assert list(site.chirp_root.iterdir()) == []
