"""Accounts for agents of the original Co-Pilot."""

import json
import stat
from pathlib import Path

import pytest

from client.errors import BadInput
from client.service.site_command import main as site
from client.service.site_errors import NoSite
from client.service.site_folder import SiteFolder
from client.service.site_legacy import legacy_config, read_accounts
from client.service.site_plan import Ports, SitePlan, SiteShape, save_plan


@pytest.fixture
def folder(tmp_path: Path) -> SiteFolder:
    found = SiteFolder(tmp_path)
    save_plan(found.plan, SitePlan(Ports(xmpp=5333), *("s" * 64,) * 3, shape=SiteShape(legacy=True)))
    return found


def run(folder: SiteFolder, *words: str) -> int:
    return site(["legacy", *words, "--folder", str(folder.base)])


def test_an_account_is_made_shown_and_removed(folder: SiteFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "add", "old-1", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["jid"] == "old-1@legacy.localhost"
    assert made["settings"]["JM_JABBER_ADDRESS"] == "jm@localhost"
    assert read_accounts(folder.legacy) == {"old-1": made["password"]}
    assert stat.S_IMODE(folder.legacy.stat().st_mode) == 0o600
    assert run(folder, "list") == 0
    assert capsys.readouterr().out == "old-1@legacy.localhost\n"
    assert run(folder, "remove", "old-1") == 0
    assert read_accounts(folder.legacy) == {}


def test_people_are_told_what_the_original_wants_in_its_configuration(
    folder: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    run(folder, "add", "old-1")
    said = capsys.readouterr().out
    assert "AGENT_JABBER_DOMAIN legacy.localhost" in said
    assert "5333" in said


@pytest.mark.parametrize("name", ["", "Old", "a b", 'x"', "-x", "a" * 70])
def test_names_that_are_none(folder: SiteFolder, name: str) -> None:
    with pytest.raises(BadInput):
        run(folder, "add", *([f"{name}"] if name and not name.startswith("-") else ["--", name] if name else []))


def test_what_cannot_be(folder: SiteFolder, tmp_path: Path) -> None:
    run(folder, "add", "a")
    with pytest.raises(BadInput, match="already"):
        run(folder, "add", "a")
    with pytest.raises(BadInput, match="no account"):
        run(folder, "remove", "b")
    with pytest.raises(NoSite):
        site(["legacy", "list", "--folder", str(tmp_path / "none")])


def test_the_servers_part_is_there_only_when_it_was_chosen(folder: SiteFolder, tmp_path: Path) -> None:
    plan = SitePlan(Ports(), *("s" * 64,) * 3)
    assert legacy_config(folder, plan, tmp_path / "c", tmp_path / "k") == ""
    text = legacy_config(
        folder, SitePlan(Ports(), *("s" * 64,) * 3, shape=SiteShape(legacy=True)), tmp_path / "c", tmp_path / "k"
    )
    assert 'VirtualHost "legacy.localhost"' in text
    assert 'protocol = "tlsv1_2" }' in text
    assert 'Component "conference.legacy.localhost" "muc"' in text
