import json
from dataclasses import replace
from pathlib import Path

import pytest

from client.copilot.errors import BadRequirements
from client.copilot.queue.queue import Job, Replication
from client.errors import BadInput
from client.service import site_argument
from client.service.operator import JobOrder, submit
from client.service.site_folder import SiteFolder
from client.service.site_plan import SiteShape, load_plan, save_plan
from client.service.submit_command import main
from tests.helpers.sites import make_site, queue_of


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SiteFolder:
    folder = make_site(tmp_path / "site")
    monkeypatch.setenv(site_argument.VARIABLE, str(folder.base))
    return folder


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "run.sh"
    path.write_text("#!/bin/sh\n")
    return str(path)


def jobs(site: SiteFolder) -> list[Job]:
    with queue_of(site) as queue:
        return queue.jobs()


def test_everything_that_can_be_said_of_a_job_arrives(site: SiteFolder, script: str, tmp_path: Path) -> None:
    (tmp_path / "expected.json").write_text('{"events": 3}')
    (tmp_path / "check.sh").write_text("")
    words = ["--command", script, "--arguments", "{n}", "--env", "A=b 'c'", "--env", "N={n}", "--environment", "set -e"]
    words += [
        "--packages",
        "root",
        "--title",
        "part {n}",
        "--number",
        "2",
        "--requirements",
        "other.Memory >= 1 || Cpus > 2",
    ]
    words += ["--memory-mib", "5", "--platform", "Linux-x86_64", "--priority", "7", "--submitter", "anna"]
    words += ["--copies", "3", "--max-attempts", "2", "--time-limit", "60", "--validator", "pythia8"]
    words += ["--expected", str(tmp_path / "expected.json"), "--validation-script", str(tmp_path / "check.sh")]
    assert main(words) == 0
    _, new = (job.new for job in jobs(site))
    description = new.description
    assert (description.command, description.input_files) == ("run.sh", ("run.sh", "check.sh"))
    assert (description.arguments, description.title) == ("1", "part 1")
    assert description.environment == "set -e\nexport A='b '\"'\"'c'\"'\"''\nexport N='1'"
    assert (description.packages, description.validation_script, description.time_limit_s) == ("root", "check.sh", 60)
    assert (
        new.requirements
        == '(other.Memory >= 1 || Cpus > 2) && (other.Memory >= 5) && (other.Platform == "Linux-x86_64")'
    )
    assert (new.priority, new.submitter, new.max_attempts) == (7, "anna", 2)
    assert new.replication == Replication(3, 2)
    assert (new.validator, new.expected) == ("pythia8", {"events": 3})


@pytest.mark.parametrize("guests", [True, False])
def test_that_nobody_may_do_the_demonstration_is_said(
    site: SiteFolder, capsys: pytest.CaptureFixture[str], guests: bool
) -> None:
    save_plan(site.plan, replace(load_plan(site.plan), shape=SiteShape(guests=guests)))
    assert main(["--events", "5", "--requirements", "Cpus > 2", "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert ("waits for an agent" in shown.err) is not guests
    assert '(!(other.Software == "none")) && (Cpus > 2)' in shown.out


def test_the_submitter_is_whoever_types(site: SiteFolder, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "berta")
    assert main(["--command", script, "--no-output"]) == 0
    [job] = jobs(site)
    assert (job.new.submitter, job.new.output) == ("berta", False)


def test_a_job_names_the_service_that_it_needs_tokens_of(
    site: SiteFolder, script: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--command", script, "--pilot", "atlas"]) == 0
    [job] = jobs(site)
    assert job.new.description.pilot_service == "atlas"
    assert "does not name 'atlas'" in capsys.readouterr().err
    site.pilots.write_text('[atlas]\nfile = "token.pem"\n')
    assert main(["--command", script, "--pilot", "atlas", "--dry-run"]) == 0
    assert capsys.readouterr().err == ""


def test_an_array_has_a_job_for_each_row(site: SiteFolder, script: str, tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("name\na b\n;c\n")
    words = ["--command", script, "--parameters", str(tmp_path / "cases.csv"), "--arguments", "{name}"]
    assert main([*words, "--env", "NAME={name}", "--json"]) == 0
    found = [job.new.description for job in jobs(site)]
    assert [each.arguments for each in found] == ["'a b'", "';c'"]
    assert [each.environment for each in found] == ["export NAME='a b'", "export NAME=';c'"]
    assert len({each.input_dir for each in found}) == 1


def test_a_trial_submits_nothing(site: SiteFolder, script: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--command", script, "--arguments", "x", "--number", "9", "--copies", "2", "--dry-run"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "9 jobs would be submitted" in said
    assert "./run.sh x" in said
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["number"], told["orders"][0]["arguments"]) == (9, "x")
    assert jobs(site) == []
    assert list(site.chirp_root.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--command", "run.sh"], "neither a file here nor one"),
        (["--command", "rnu.sh", "--input-files", "SCRIPT"], "did you mean run.sh"),
        (["--arguments", "x"], "--command, which names it, is missing"),
        (["--command", "SCRIPT", "--events", "3"], "belong to the demonstration"),
        (["--command", "SCRIPT", "--env", "A"], "not NAME=VALUE"),
        (["--command", "SCRIPT", "--env", "A-B=c"], "not NAME=VALUE"),
        (["--command", "SCRIPT", "--raw"], "speaks of --parameters"),
        (["--command", "SCRIPT", "--parameters", "x", "--number", "2"], "rows of --parameters"),
        (["--command", "SCRIPT", "--copies", "2", "--quorum", "3"], "copies must be"),
        (["--command", "SCRIPT", "--copies", "99"], "copies must be"),
        (["--command", "SCRIPT", "--compare", "x"], "nothing to compare"),
        (["--command", "SCRIPT", "--no-output", "--validator", "pythia8"], "nothing to be validated"),
        (["--command", "SCRIPT", "--validator", "guess"], "no validator guess"),
        (["--command", "SCRIPT", "--max-attempts", "0"], "at least 1 attempt"),
        (["--command", "SCRIPT", "--time-limit", "0"], "time limit"),
        (["--command", "SCRIPT", "--expected", "/nowhere"], "cannot be read as JSON"),
        (["--command", "SCRIPT", "--platform", 'a"b'], "no name of a platform"),
        (["--command", "SCRIPT", "--title", "x" * 201], "the title is longer"),
        (["--command", "SCRIPT", "--pilot", "a b"], "service of the token is not an id"),
        (["--command", "SCRIPT", "--original-queue", "redis://x", "--copies", "2"], "cannot keep --copies"),
        (["--events", "1", "--original-queue", "redis://x", "--wait"], "cannot keep --wait"),
        (["--command", "SCRIPT", "--original-queue", "http://x"], "redis"),
        (["--events", "0"], "must be from 1"),
        (["--events", "9" * 20], "must be from 1"),
        (["--seed", "0"], "must be from 1"),
        (["--reference", "/nowhere"], "cannot be read"),
    ],
)
def test_a_command_line_that_cannot_be_used_submits_nothing(
    site: SiteFolder, script: str, words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site.base)
    with pytest.raises(BadInput) as refused:
        main([script if word == "SCRIPT" else word for word in words])
    assert said in f"{refused.value.what} {refused.value.remedy}"
    assert jobs(site) == []
    assert list(site.chirp_root.iterdir()) == []


def test_the_place_of_a_fault_in_requirements_is_shown(site: SiteFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadRequirements):
        main(["--requirements", "other.Memory >>= 3"])
    shown, place = capsys.readouterr().err.splitlines()
    assert shown[place.index("^") :] == ">= 3"
    assert main(["--requirements", "other.Memroy >= 3", "--dry-run"]) == 0
    assert "did you mean Memory?" in capsys.readouterr().err


def test_what_a_failing_disk_left_goes_away(site: SiteFolder, script: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("")
    blocked = site.chirp_root / "blocked"
    blocked.mkdir()
    order = JobOrder("run.sh", [Path(script)])
    site.queue.mkdir()
    with pytest.raises(Exception, match="queue"):
        submit(site.base, order)
    assert list(site.chirp_root.iterdir()) == [blocked]


def test_a_site_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(site_argument.VARIABLE, raising=False)
    with pytest.raises(BadInput, match="no site was named"):
        main([])
