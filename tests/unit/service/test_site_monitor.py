"""A site's monitor: an account of its own, and what an operator may want otherwise."""

from pathlib import Path

import pytest

from client.copilot.managers.config import Config, read_process_settings
from client.copilot.managers.monitor.settings import read_settings
from client.errors import BadInput
from client.service import site_files, site_monitor
from client.service.site_folder import SiteFolder
from client.service.site_plan import Ports, SitePlan

PLAN = SitePlan(Ports(5222, 9094, 8080, 8443, 6379, 8090), "s" * 64, "e" * 64, "m" * 64)


@pytest.fixture
def folder(tmp_path: Path) -> SiteFolder:
    folder = SiteFolder(tmp_path / "site")
    folder.make()
    return folder


def write(folder: SiteFolder) -> Config:
    site_files.write_children(folder, PLAN, site_files.SiteTerms(), None)
    return Config(folder.config("monitor"))


def test_it_believes_the_managers_and_they_tell_it(folder: SiteFolder) -> None:
    settings = read_settings(write(folder))
    assert settings.senders == {"jm@localhost"}
    assert (settings.host, settings.port, settings.token, settings.guests) == ("127.0.0.1", 8090, "", False)
    for child in ("job-manager", "storage-manager"):
        report = read_process_settings(Config(folder.config(child))).report
        assert report.address == Config(folder.config("monitor")).account().jid == "monitor@localhost"
        assert report.batched


def test_its_password_is_its_own_and_the_server_knows_it(folder: SiteFolder) -> None:
    password = write(folder).account().password
    assert password not in (PLAN.manager_password, PLAN.site_secret)
    server = (folder.run / site_files.PROSODY_CONFIG).read_text()
    assert f'["monitor"] = "{password}"' in server
    assert 'volunteer_cloud_hidden = { "monitor" }' in server


def test_the_operators_wishes_count(folder: SiteFolder) -> None:
    text = '[monitor]\nhost = "0.0.0.0"\ntoken = "0123456789abcdef"\n[graphite]\nhost = "g.example"\nport = 2103\n'
    (folder.base / site_monitor.WISHES).write_text(text)
    settings = read_settings(write(folder))
    assert (settings.host, settings.port, settings.token) == ("0.0.0.0", 8090, "0123456789abcdef")
    assert settings.graphite is not None
    assert (settings.graphite.host, settings.graphite.port) == ("g.example", 2103)


@pytest.mark.parametrize(
    "text",
    [
        "[xmpp]\njid = 'x'\n",
        "monitor = 1\n",
        "[monitor\n",
        "\x00",
        "[monitor]\nhots = 'x'\n",
        "[monitor]\nhosts = [1]\n",
        "[monitor]\ntoken = 'short'\n",
        "[monitor]\nhost = '0.0.0.0'\n",
        "[monitor]\nport = 65536\n",
        "[graphite]\nhost = 'x'\nport = '2003'\n",
    ],
)
def test_wishes_that_cannot_be_met_are_refused_at_once(folder: SiteFolder, text: str) -> None:
    (folder.base / site_monitor.WISHES).write_text(text)
    with pytest.raises(BadInput) as refused:
        write(folder)
    assert refused.value.where == str(folder.base / site_monitor.WISHES)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "http://127.0.0.1:8090/"),
        ("[monitor]\nport = 8091\n", "http://127.0.0.1:8091/"),
        ("[monitor]\nhost = '0.0.0.0'\n", "http://127.0.0.1:8090/"),
        ("[monitor]\nhost = '192.0.2.1'\n", "http://192.0.2.1:8090/"),
        ("[monitor]\nhost = '::1'\n", "http://[::1]:8090/"),
        ("[monitor", "http://127.0.0.1:8090/"),
    ],
)
def test_it_is_told_where_the_page_is(folder: SiteFolder, text: str, where: str) -> None:
    (folder.base / site_monitor.WISHES).write_text(text)
    assert site_monitor.url(folder, PLAN) == where
