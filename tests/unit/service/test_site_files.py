import json
import tomllib
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from client.copilot.managers.config import Config
from client.errors import BadInput
from client.project.definition import load_project
from client.service.site_certificate import Certificates
from client.service.site_files import SiteTerms, chirp_command, write_children, write_project
from client.service.site_folder import SiteFolder
from client.service.site_plan import Ports, SitePlan

PLAN = SitePlan(Ports(5201, 5202, 5203, https=5205, keys=5204), "s" * 64, "e" * 64, "m" * 64)


@pytest.fixture
def folder(tmp_path: Path) -> SiteFolder:
    folder = SiteFolder(tmp_path / "a site")
    folder.make()
    appliance = tmp_path / "appliance"
    appliance.mkdir()
    (appliance / "manifest.json").write_text(json.dumps({"files": {}}))
    write_children(folder, PLAN, SiteTerms(lease_s=33), appliance)
    write_project(folder, PLAN, SiteTerms(memory_mib=300), appliance)
    return folder


def test_clients_understand_the_project_file(folder: SiteFolder) -> None:
    project = load_project(folder.project)
    assert (project.xmpp_port, project.chirp_port, project.job_manager) == (5201, 5202, "jm@localhost")
    assert project.enrolment_url == "https://127.0.0.1:5204/guest-token"
    assert project.enrolment_ca_pem == project.ca_pem
    assert project.https == "127.0.0.1:5205"
    assert project.manifest_url == "http://127.0.0.1:5203/appliance/manifest.json"
    assert project.needs.memory_mib == 300
    assert "BEGIN CERTIFICATE" in project.ca_pem


def test_the_project_file_holds_no_secret_of_the_managers(folder: SiteFolder) -> None:
    content = folder.project.read_text()
    assert PLAN.site_secret not in content
    assert PLAN.manager_password not in content
    assert "PRIVATE" not in content


def test_managers_understand_their_configurations(folder: SiteFolder) -> None:
    jobs, storage = (Config(folder.config(name)) for name in ("job-manager", "storage-manager"))
    assert jobs.terms().lease_s == 33
    assert jobs.account().port == 5201
    assert jobs.account().resource != storage.account().resource
    assert jobs.account().resource.startswith("jobs-")
    assert storage.account().resource.startswith("storage-")
    assert storage.file("storage", "chirp_root") == folder.chirp_root


def test_secrets_are_readable_by_the_owner_only(folder: SiteFolder) -> None:
    for path in [*folder.run.glob("*.toml"), folder.run / "prosody.cfg.lua", folder.project, *folder.tls.glob("*.key")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_xmpp_server_is_on_loopback_encrypted_and_without_what_nobody_needs(folder: SiteFolder) -> None:
    lines = (folder.run / "prosody.cfg.lua").read_text().splitlines()
    assert 'interfaces = { "127.0.0.1" }' in lines
    assert "c2s_require_encryption = true" in lines
    assert 'modules_disabled = { "s2s"; "s2s_auth_certs"; "offline" }' in lines
    assert '    authentication = "volunteer_cloud"' in lines


def test_the_file_server_is_on_loopback_and_tells_nobody_about_itself(folder: SiteFolder) -> None:
    words = chirp_command(folder, PLAN)
    following = dict(pairwise(words))
    assert (following["-I"], following["-u"], following["-a"], following["-p"]) == (
        "127.0.0.1",
        "127.0.0.1",
        "address",
        "5202",
    )
    assert "address" not in (folder.chirp_root / ".__acl").read_text()


def test_certificates_are_kept_until_they_are_nearly_out_of_date(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    now = datetime(2026, 11, 20, tzinfo=UTC)
    certificates.make("localhost", "", now)
    authority, server = certificates.authority.read_bytes(), certificates.server.read_bytes()
    certificates.make("localhost", "", now + timedelta(days=700))
    assert certificates.server.read_bytes() == server
    certificates.make("localhost", "", now + timedelta(days=800))
    assert certificates.server.read_bytes() != server
    assert certificates.authority.read_bytes() == authority
    certificates.make("other.example", "", now + timedelta(days=800))
    assert certificates.authority.read_bytes() == authority


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("x", "cannot be read"),
        ("[job]", "is missing"),
        ("[job]\nchirp = 5", "must be text in quotes"),
        ("[queue]\nlease_s = -1", "from 0 up"),
        ("[queue]\nlease_s = true", "must be"),
        ("queue = 5", "is missing"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_place(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(content)
    with pytest.raises(BadInput, match=said):
        config = Config(path)
        config.terms()
        config.text("job", "chirp")


def test_the_plan_survives_in_toml(folder: SiteFolder) -> None:
    assert tomllib.loads(folder.config("key-manager").read_text())["key"]["port"] == 5203
