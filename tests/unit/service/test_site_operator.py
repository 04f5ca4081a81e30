from pathlib import Path

import pytest

from client.copilot.jdl import WITHOUT_SOFTWARE, build_jdl, parse_jdl
from client.copilot.queue.queue import Host, Replication
from client.copilot.requirements import parse_requirements
from client.errors import BadInput
from client.service.operator import (
    JobOrder,
    get_job,
    job_counts,
    pythia8_orders,
    submit,
)
from client.service.site_errors import NoSite
from client.service.site_folder import SiteFolder
from client.service.site_plan import load_plan, save_plan


@pytest.fixture
def site(tmp_path: Path) -> SiteFolder:
    folder = SiteFolder(tmp_path / "site")
    folder.make()
    save_plan(folder.plan, load_plan(folder.plan))
    return folder


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "run.sh"
    path.write_text("#!/bin/sh\n")
    return path


def test_jobs_of_one_order_share_their_input_and_differ_in_arguments(site: SiteFolder, script: Path) -> None:
    ids = submit(site.base, JobOrder("run.sh", [script], "part {n}", number=3, time_limit_s=60))
    jobs = [get_job(site.base, job_id) for job_id in ids]
    assert [job.new.description.arguments for job in jobs] == ["part 0", "part 1", "part 2"]
    assert {job.new.description.time_limit_s for job in jobs} == {60}
    [folder] = {job.new.description.input_dir for job in jobs}
    assert sorted(path.name for path in (site.chirp_root / folder).iterdir()) == [".__acl", "run.sh"]
    assert (site.chirp_root / folder / ".__acl").read_text() == "address:* rl\n"
    assert job_counts(site.base) == {"waiting": 3, "leased": 0, "done": 0, "dead": 0}


def test_collisions_have_a_seed_each_and_are_validated(site: SiteFolder) -> None:
    reference = {"histograms_sha256": "0" * 64, "sigma_mb": 56.0, "sigma_error_mb": 0.1}
    ids = submit(site.base, *pythia8_orders(200, 2, 41), *pythia8_orders(200, 1, 7, reference=reference))
    orders = [get_job(site.base, job_id).new for job_id in ids]
    assert [order.description.arguments.split() for order in orders] == [
        ["steering.cmnd", "200", "41"],
        ["steering.cmnd", "200", "42"],
        ["steering.cmnd", "200", "7"],
    ]
    assert [order.validator for order in orders] == ["pythia8"] * 3
    needs = parse_requirements(orders[0].requirements)
    without = parse_jdl(build_jdl(WITHOUT_SOFTWARE))
    told: dict[str, Host] = {"nothing": {}, "its software": {"Software": "x"}, "that there is none": without}
    assert [name for name, host in told.items() if needs.met_by(host)] == ["nothing", "its software"]
    assert orders[2].expected == {"events": 200, "seed": 7, "reference": reference}
    assert set(orders[0].description.input_files) == {"run.sh", "simulate.py", "steering.cmnd"}


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (JobOrder("../sh"), "not a path"),
        (JobOrder("run.sh", [Path("/nowhere/run.sh")]), "is not a file"),
        (JobOrder("run.sh", number=0), "number of jobs"),
        (JobOrder("run.sh", validator="guess"), "no validator guess"),
        (JobOrder("run.sh", time_limit_s=0), "time limit"),
        (JobOrder("run.sh", replication=Replication(2, 2, "guess")), "no comparison guess"),
        (JobOrder("a###b"), "separates"),
    ],
)
def test_an_unusable_order_is_refused_before_anything_is_written(
    site: SiteFolder, script: Path, order: JobOrder, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        submit(site.base, JobOrder("run.sh", [script]), order)
    assert list(site.chirp_root.iterdir()) == []
    assert sum(job_counts(site.base).values()) == 0


def test_two_files_of_one_name_are_refused(site: SiteFolder, script: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "run.sh"
    other.parent.mkdir()
    other.write_text("")
    with pytest.raises(BadInput, match="same name"):
        submit(site.base, JobOrder("run.sh", [script, other]))


def test_a_folder_without_a_site_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(NoSite):
        job_counts(tmp_path)
    with pytest.raises(NoSite):
        submit(tmp_path, JobOrder("run.sh"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("requirements", "asked"),
    [("", 'other.Pilot == "yes"'), ("other.Memory > 1", '(other.Memory > 1) && (other.Pilot == "yes")')],
)
def test_a_job_with_a_token_asks_for_agents_that_can_get_one(
    site: SiteFolder, script: Path, requirements: str, asked: str
) -> None:
    [job_id] = submit(site.base, JobOrder("run.sh", [script], requirements=requirements, pilot_service="atlas"))
    assert get_job(site.base, job_id).new.requirements == asked
