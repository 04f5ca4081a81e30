import io
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from client.copilot.queue.queue import PRINTED, Replication
from client.errors import BadInput
from client.service import site_argument
from client.service.jobs_arguments import with_verb
from client.service.jobs_command import main
from client.service.jobs_select import parse_since
from client.service.operator import JobOrder, submit
from client.service.site_errors import JobNotChanged, NoSite, NoSuchJob
from client.service.site_folder import SiteFolder
from tests.helpers.sites import finish, make_site, queue_of, write_output


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SiteFolder:
    folder = make_site(tmp_path / "site")
    monkeypatch.setenv(site_argument.VARIABLE, str(folder.base))
    return folder


@pytest.fixture
def ids(site: SiteFolder) -> list[str]:
    anna = JobOrder("run.sh", arguments="{n}", number=2, submitter="anna")
    return submit(site.base, anna, JobOrder("other.sh", title="Other work", submitter="bert"))


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    """The document that a command prints."""
    assert main([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def give_up(site: SiteFolder, job_id: str, cause: str) -> None:
    with queue_of(site) as queue:
        while (job := queue.get(job_id)) and job.state != "dead":
            lease = queue.hand_out("a@x/1", 1e9, extends=True)
            assert lease is not None
            queue.fail(lease.job.id, lease.lease_id, "a@x/1", cause, 1e9)


def test_lists_are_filtered_and_come_in_pages(
    site: SiteFolder, ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(capsys, "list")
    assert [job["id"] for job in found["jobs"]] == ids[::-1]
    assert [job["id"] for job in said(capsys, "--oldest")["jobs"]] == ids
    assert found["counts"] == {"waiting": 3, "leased": 0, "done": 0, "dead": 0}
    assert found["next"] is None
    first = said(capsys, "--limit", "2")
    assert ([job["id"] for job in first["jobs"]], first["next"]) == (ids[:0:-1], ids[1])
    assert [job["id"] for job in said(capsys, "list", "--after", ids[1])["jobs"]] == ids[:1]
    assert [job["id"] for job in said(capsys, "list", "--oldest", "--after", ids[1])["jobs"]] == ids[2:]
    assert [job["id"] for job in said(capsys, "--submitter", "bert")["jobs"]] == ids[2:]
    assert said(capsys, "list", "--state", "done")["jobs"] == []
    assert len(said(capsys, "list", "--since", "1h")["jobs"]) == 3
    assert said(capsys, "list", "--since", "2100-01-01")["jobs"] == []


def test_a_pipe_gets_whole_columns(site: SiteFolder, ids: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--oldest", "--limit", "2"]) == 0
    shown = capsys.readouterr()
    counts, header, *rows = shown.out.splitlines()
    assert counts == "3 waiting, 0 leased, 0 done, 0 dead"
    assert header.split() == ["ID", "STATE", "TRIES", "SUBMITTED", "BY", "AGENT", "WHAT"]
    cells = [row.split() for row in rows]
    assert [(row[0], row[1], row[4], row[5]) for row in cells] == [(job, "waiting", "anna", "-") for job in ids[:2]]
    assert f"--after {ids[1]}" in shown.err


def test_a_job_is_shown_with_all_that_happened(
    site: SiteFolder, ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cancel", ids[0][:8]]) == 0
    assert capsys.readouterr().out == f"{ids[0]} is dead now.\n"
    assert [job["state"] for job in said(capsys, "retry", ids[0])["changed"]] == ["waiting"]
    shown = said(capsys, "show", ids[0])
    assert [event["what"] for event in shown["history"]] == ["submitted", "cancelled", "put back by the operator"]
    assert (shown["order"]["submitter"], shown["result"], shown["candidates"]) == ("anna", None, [])
    assert shown["suited"]["seen"] == 0
    finish(site, ids[2])
    assert main(["show", ids[2]]) == 0
    out = capsys.readouterr().out
    assert "Other work" in out
    assert str(site.results / ids[2]) in out


def test_an_escape_sequence_of_an_agent_is_shown_as_text(
    site: SiteFolder, ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    give_up(site, ids[0], "\x1b[31mevil")
    for words in (["list"], ["show", ids[0]], ["dead"]):
        assert main(words) == 0
        shown = capsys.readouterr()
        assert "\x1b" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("text", "kept", "words", "out"),
    [
        ("results", "accepted", [], "it is {kept}\n"),
        ("refused", "refused", [], "it is {kept}\n"),
        ("results", "accepted", ["--stderr"], "wrong\n"),
    ],
)
def test_what_a_job_wrote_is_shown(
    site: SiteFolder,
    ids: list[str],
    capsys: pytest.CaptureFixture[str],
    text: str,
    kept: str,
    words: list[str],
    out: str,
) -> None:
    write_output(site.storage / text / ids[0], f"it is {kept}\n", "wrong\n")
    assert main(["log", ids[0], *words]) == 0
    assert capsys.readouterr().out == out.format(kept=kept)
    assert said(capsys, "log", ids[0])["kept"] == kept


def test_a_result_that_waits_for_others_is_shown_as_such(
    site: SiteFolder, ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    order = JobOrder("run.sh", replication=Replication(2, 2))
    [job_id] = submit(site.base, order)
    for word, unit in (("a", f"{job_id}.2"), ("b", f"{job_id}.1")):
        place = site.storage / "candidates" / job_id / word
        write_output(place, f"of {unit}\n")
        (place / "result.json").write_text(json.dumps({"job_id": unit}))
    assert main(["log", job_id]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"of {job_id}.2\n"
    assert "waits for others to agree" in shown.err
    assert said(capsys, "log", f"{job_id[:8]}.1")["stdout"] == f"of {job_id}.1\n"


def test_an_empty_output_is_not_left_without_a_word(
    site: SiteFolder, ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_output(site.results / ids[0], "")
    assert main(["log", ids[0]]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert str(site.results / ids[0] / "output") in shown.err


def test_a_link_in_an_output_is_not_followed(
    site: SiteFolder, ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_output(site.results / ids[0], "")
    stdout = site.results / ids[0] / "output" / "stdout"
    stdout.unlink()
    stdout.symlink_to(site.plan)
    assert main(["log", ids[0]]) == 1
    assert "secret" not in capsys.readouterr().out


def test_a_job_without_output_says_how_it_is(
    site: SiteFolder, ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["log", ids[0]]) == 1
    assert "It waits for an agent." in capsys.readouterr().err
    with queue_of(site) as queue:
        lease = queue.hand_out("a@x/1", time.time(), extends=True)
    assert lease is not None
    assert main(["log", lease.job.id, "--follow", "--timeout", "0"]) == 3
    assert "It is at work: a@x/1" in capsys.readouterr().err


def test_following_ends_with_the_job(site: SiteFolder, ids: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    finish(site, ids[0], stdout="all\n")
    assert main(["log", ids[0], "--follow"]) == 0
    assert capsys.readouterr().out == "all\n"


def test_several_are_changed_only_when_that_is_meant(
    site: SiteFolder, ids: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match="2 jobs would be changed"):
        main(["cancel", "--submitter", "anna"])

    class Person(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Person("n\ny\n"))
    assert main(["cancel", "--submitter", "anna"]) == 1
    assert main(["cancel", "--submitter", "anna"]) == 0
    assert "2 jobs cancelled." in capsys.readouterr().out
    back = said(capsys, "retry", "--state", "dead", "--yes")
    assert sorted(job["id"] for job in back["changed"]) == sorted(ids[:2])
    finish(site, ids[0])
    both = said(capsys, "cancel", ids[0], ids[1], code=1)
    assert [job["id"] for job in both["changed"]] == [ids[1]]
    assert both["unchanged"] == [{"id": ids[0], "state": "done"}]
    with pytest.raises(JobNotChanged):
        main(["cancel", ids[0]])


@pytest.mark.parametrize(
    "words", [["cancel"], ["retry", "abc", "--state", "dead"], ["retry", "--state", "done"], ["list", "--limit", "0"]]
)
def test_an_unclear_wish_is_refused(site: SiteFolder, words: list[str]) -> None:
    with pytest.raises(BadInput):
        main(words)


def test_dead_jobs_are_grouped_by_their_reason(
    site: SiteFolder, ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with queue_of(site) as queue:
        queue.cancel(ids[2], 1e9)
    for number, job_id in enumerate(ids[:2]):
        give_up(site, job_id, f"no space in /work/{number}{PRINTED}event {'x' * number}")
    found = said(capsys, "dead")
    assert found["number"] == 3
    assert [(group["number"], group["reason"]) for group in found["groups"]] == [
        (2, "failed: no space in /work/0"),
        (1, "cancelled"),
    ]
    assert said(capsys, "dead", "--submitter", "bert")["number"] == 1
    assert main(["dead"]) == 0
    assert "3 dead jobs." in capsys.readouterr().out


def test_waiting_tells_how_it_ended(site: SiteFolder, ids: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "wait", "--timeout", "0", code=3)["over"] is False
    for job_id in ids[:2]:
        finish(site, job_id)
    assert said(capsys, "wait", *ids[:2]) == {"number": 2, "done": 2, "dead": [], "gone": [], "over": True}
    with queue_of(site) as queue:
        queue.cancel(ids[2], 1e9)
    found = said(capsys, "wait", *ids, code=1)
    assert (found["done"], found["dead"]) == (2, [{"id": ids[2], "reason": "cancelled"}])
    assert main(["wait"]) == 0
    assert capsys.readouterr().out == "No job waits, and none is at work.\n"
    assert said(capsys, "wait")["number"] == 0


@pytest.mark.parametrize("word", ["", "none", "."])
def test_unknown_jobs_are_said_to_be_so(site: SiteFolder, ids: list[str], word: str) -> None:
    with pytest.raises(NoSuchJob):
        main(["show", word])


def test_a_slip_of_the_finger_is_put_right(site: SiteFolder, ids: list[str]) -> None:
    with pytest.raises(NoSuchJob) as unknown:
        main(["show", f"{ids[0][:-1]}x"])
    assert ids[0] in unknown.value.remedy
    with pytest.raises(BadInput, match="did you mean retry"):
        main(["rety", ids[0]])


def test_too_short_a_beginning_is_said_to_be_so(site: SiteFolder) -> None:
    submit(site.base, *[JobOrder("run.sh")] * 17)
    with queue_of(site) as queue:
        firsts = [job.id[0] for job in queue.jobs()]
    often = max(firsts, key=firsts.count)
    with pytest.raises(BadInput, match=f"(2|3|more than 3) jobs begin with {often}, as"):
        main(["show", often])


def test_jobs_that_ended_are_forgotten_and_the_others_are_not(
    site: SiteFolder, ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with queue_of(site) as queue:
        queue.accept(ids[0], "a@x/1", "1 file", 1000)
        queue.cancel(ids[1], 1000)
    result = site.results / ids[0]
    result.mkdir(parents=True)
    assert said(capsys, "prune", "--older-than", "1970-01-01") == {"forgotten": 0}
    assert main(["prune", "--older-than", "30d"]) == 0
    told = capsys.readouterr()
    assert told.out == "2 jobs forgotten.\n"
    assert str(site.results) in told.err
    assert result.is_dir()
    assert [job["id"] for job in said(capsys, "list")["jobs"]] == ids[2:]
    with pytest.raises(BadInput, match="--older-than is missing"):
        main(["prune"])


def test_a_folder_without_a_site_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoSite):
        main(["--site", str(tmp_path)])


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], ["list"]),
        (["--json"], ["list", "--json"]),
        (["--site", "list"], ["list", "--site", "list"]),
        (["--state", "dead"], ["list", "--state", "dead"]),
        (["--site", "x", "show", "1"], ["--site", "x", "show", "1"]),
        (["--help"], ["--help"]),
    ],
)
def test_no_verb_means_the_list(argv: list[str], expected: list[str]) -> None:
    assert with_verb(argv) == expected


def test_times_are_dates_or_so_long_ago() -> None:
    assert time.time() - parse_since("2h") == pytest.approx(7200, abs=5)
    assert parse_since("2026-11-21T10:00:00+00:00") == 1795255200
    with pytest.raises(BadInput, match="neither so long ago"):
        main(["--since", "yesterday"])


def test_a_copied_site_leaves_the_jobs_of_the_first_alone(
    site: SiteFolder, ids: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = site.config("job-manager")
    config.parent.mkdir(exist_ok=True)
    config.write_text(f'[queue]\npath = "{site.queue}"\n')
    shutil.copytree(site.base, tmp_path / "copy")
    assert len(said(capsys, "cancel", "--state", "waiting", "--yes", "--site", str(tmp_path / "copy"))["changed"]) == 3
    assert said(capsys)["counts"]["waiting"] == 3
