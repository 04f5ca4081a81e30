"""Appliances as a user handles them: the real site's catalogue, a real client, its own commands; guests are faked."""

import json
import os
from pathlib import Path

import pytest

from tests.helpers.program import Client, end, open_client, open_site, run_main
from tests.helpers.screen import wait_for

pytestmark = [pytest.mark.end2end, pytest.mark.timeout(200)]
FAKE = ("--set", "hypervisor.driver=fake", "--start")
#: loaded by workers only: the client's memory is counted
HEAVY = ("requests", "urllib3", "tuf", "securesystemslib", "cryptography", "aiohttp", "tomlkit")


def images(client: Client, *words: str) -> dict[str, object]:
    done = run_main("images", *words, "--json", "--basedir", str(client.base))
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout))


def working(client: Client) -> bool:
    return bool(client.snapshot()["activity"] == "working")


def test_fetched_from_the_catalogue_shown_kept_and_used_without_it(tmp_path: Path) -> None:
    base = tmp_path / "base"
    loud = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    with open_site(tmp_path / "site") as site:
        assert "[catalogue]" in site.project.read_text()
        with open_client(base, "headless", *FAKE, "--project", str(site.project), env=loud) as client:
            wait_for("work", lambda: working(client), 120)
            needed_by = ["the project Local site", "the virtual machine work-1"]
            wait_for("the list", lambda: [one["needed_by"] for one in client.snapshot()["store"]] == [needed_by], 90)
            (image,) = client.snapshot()["store"]
            assert (image["name"], image["is_whole"]) == ("volunteer-cloud", True)
            assert images(client, "list")["bytes"] == image["size_bytes"]
            refused = images(client, "remove", "volunteer-cloud")
            assert (refused["ok"], refused["error"]) == (False, "image-needed")
            assert images(client, "hold")["ok"]
            wait_for("the hold", lambda: client.snapshot()["fetching_held"], 60)
            client.kill()
        loaded = {line.rpartition("|")[2].strip() for line in client.log.read_text(errors="replace").splitlines()}
        assert "client.appliance.cache" in loaded
        assert [name for name in loaded if name.partition(".")[0] in HEAVY] == []
        end(site.process)
    with open_client(base, "headless", *FAKE) as client:
        wait_for("the hold of before", lambda: client.snapshot()["fetching_held"], 60)
        assert images(client, "go-on")["ok"]
        assert images(client, "update")["ok"]
        wait_for("the state", lambda: client.snapshot()["store"], 90)
        (again,) = client.snapshot()["store"]
        assert again["is_whole"]
        client.quit()
    done = run_main("images", "check", "--basedir", str(base))
    assert done.stdout.strip() == "All files are right."
