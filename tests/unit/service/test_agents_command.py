import json
import time
from pathlib import Path
from typing import Any

import pytest

from client.copilot.queue.queue import SeenAgent
from client.errors import BadInput
from client.service import agents_command, drain_command, jobs_command, site_argument, site_owners
from client.service.operator import JobOrder, submit
from client.service.site_errors import NoSuchAgent
from client.service.site_folder import SiteFolder
from client.service.site_plan import load_plan
from client.service.site_told import status_facts, status_lines
from tests.helpers.sites import make_site, queue_of

ANNA, BERT = "aaaa000000000001", "bbbb000000000002"


def jid(owner: str) -> str:
    return f"agent-1999999999-{owner}-{'0' * 16}@localhost/vm"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SiteFolder:
    folder = make_site(tmp_path / "site")
    monkeypatch.setenv(site_argument.VARIABLE, str(folder.base))
    host = {"Version": "1.2", "Platform": "Linux-x86_64", "Memory": "2048"}
    now = time.time()
    with queue_of(folder) as queue:
        queue.note_agents([SeenAgent(jid(ANNA), host, now - 60), SeenAgent(jid(BERT), host, now)], now)
    return folder


@pytest.fixture
def job(site: SiteFolder) -> str:
    """A job that ANNA has."""
    [job_id] = submit(site.base, JobOrder("run.sh"))
    with queue_of(site) as queue:
        assert queue.hand_out(jid(ANNA), time.time(), extends=True) is not None
    return job_id


def agents(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert agents_command.main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_agents_are_listed_with_what_they_did(site: SiteFolder, job: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = agents(capsys)
    assert found["drained"] is False
    assert {one["owner"]: (one["version"], one["job_id"], one["reliability"]) for one in found["agents"]} == {
        ANNA: ("1.2", job, 0.5),
        BERT: ("1.2", "", 0.5),
    }
    assert agents_command.main([]) == 0
    count, header, *rows = capsys.readouterr().out.splitlines()
    assert count == "2 owners."
    assert header.split()[:4] == ["OWNER", "STATE", "VERSION", "PLATFORM"]
    assert {tuple(row.split()[:2]) for row in rows} == {(ANNA, "at-work"), (BERT, "idle")}


def test_the_beginning_of_an_owner_or_an_agent_suffices(site: SiteFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert agents(capsys, "show", "aa")["agents"][0]["agent"] == jid(ANNA)
    assert agents(capsys, "show", jid(BERT))["agents"][0]["owner"] == BERT
    assert agents_command.main(["show", BERT]) == 0
    assert "2,048 MiB" in capsys.readouterr().out


def test_an_unknown_owner_is_told_the_near_one(site: SiteFolder) -> None:
    with pytest.raises(NoSuchAgent) as unknown:
        agents_command.main(["show", f"x{ANNA[1:]}"])
    assert ANNA in unknown.value.remedy
    with pytest.raises(NoSuchAgent):
        agents_command.main(["show", "zzz"])


@pytest.mark.parametrize("words", [["show"], ["list", ANNA], ["revok", ANNA], ["revoke", ""]])
def test_an_unclear_wish_is_refused(site: SiteFolder, words: list[str]) -> None:
    with pytest.raises(BadInput):
        agents_command.main(words)


def test_too_short_a_beginning_is_said_to_be_so(site: SiteFolder) -> None:
    with queue_of(site) as queue:
        queue.note_agents([SeenAgent(jid("aaaa000000000009"), {}, 1e9)], 1e9)
    with pytest.raises(BadInput, match="2 owners begin with aaaa"):
        agents_command.main(["show", "aaaa"])


def test_owners_are_shut_out_and_let_in(site: SiteFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert agents(capsys, "revoke", "aaaa") == {"owner": ANNA, "revoked": True, "changed": True}
    assert agents(capsys, "revoke", "aaaa")["changed"] is False
    assert set(site_owners.revoked(site.base)) == {ANNA}
    assert [one["owner"] for one in agents(capsys)["agents"] if one["revoked"]] == [ANNA]
    assert agents_command.main(["unrevoke", ANNA]) == 0
    assert "let in" in capsys.readouterr().out
    assert site_owners.revoked(site.base) == {}


def test_somebody_can_be_shut_out_before_they_come(site: SiteFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert agents(capsys, "revoke", "c" * 16)["changed"] is True
    assert [one["owner"] for one in agents(capsys)["agents"]][-1] == "c" * 16


def drain(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    assert drain_command.main([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_drained_site_gives_nothing_out_and_says_so_everywhere(
    site: SiteFolder, job: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert drain(capsys) == {"drained": [""], "at_work": 1, "over": False}
    with queue_of(site) as queue:
        assert not queue.may_work(jid(BERT), time.time())
    for command in (jobs_command.main, agents_command.main):
        assert command([]) == 0
        assert "The site is drained" in capsys.readouterr().err
    facts = status_facts(site, load_plan(site.plan))
    assert facts["drained"] == [""]
    assert any("It is drained" in line for line in status_lines(facts))
    assert drain(capsys, "--off") == {"drained": [], "at_work": 1, "over": False}


def test_one_owner_is_drained_by_name(site: SiteFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert drain(capsys, "aa")["drained"] == [ANNA]
    with queue_of(site) as queue:
        assert queue.may_work(jid(BERT), time.time())
        assert not queue.may_work(jid(ANNA), time.time())
    assert [one["owner"] for one in agents(capsys)["agents"] if one["drained"]] == [ANNA]
    assert drain_command.main(["--status"]) == 0
    assert f"Drained by name: {ANNA}." in capsys.readouterr().out
    assert drain(capsys, "aa", "--off")["drained"] == []


def test_waiting_ends_when_nothing_is_at_work(site: SiteFolder, job: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert drain(capsys, "--wait", "--timeout", "0", code=3)["over"] is False
    with queue_of(site) as queue:
        queue.accept(job, jid(ANNA), "", time.time())
    assert drain(capsys, "--wait") == {"drained": [""], "at_work": 0, "over": True}


@pytest.mark.parametrize("words", [["--off", "--status"], ["--off", "--wait"], ["--timeout", "5"]])
def test_wishes_that_do_not_go_together_are_refused(site: SiteFolder, words: list[str]) -> None:
    with pytest.raises(BadInput):
        drain_command.main(words)


def test_damaged_keys_are_told_in_a_sentence(site: SiteFolder) -> None:
    site.registry.write_text("no database, but as long as the head of one has to be, so that it is looked at" * 2)
    with pytest.raises(BadInput, match=r"keys\.sqlite"):
        agents_command.main([])
