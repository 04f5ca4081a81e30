"""Configuration files of the original Co-Pilot."""

from pathlib import Path

import pytest

from client.copilot.managers.process import read_arguments
from client.copilot.original_config import AGENT, agent_settings, heartbeat_room, manager_sections, read_original
from client.errors import BadInput

AGENT_CONF = """#
# General
JM_JABBER_ADDRESS jm@jabber.example
SM_JABBER_ADDRESS sm@jabber.example
KM_JABBER_ADDRESS km@jabber.example
HB_CHAT_SERVER conference.jabber.example
HB_CHAT_ROOM pilots-lounge
PUBLIC_KEYS_FILE /etc/copilot/keys.pub
AGENT_JABBER_SERVER 127.0.0.1
AGENT_JABBER_DOMAIN jabber.example   and more words
AGENT_JABBER_ID agent
AGENT_JABBER_PASSWORD
 AGENT_JABBER_ID ignored-since-it-begins-with-a-blank
AGENT_LOGGER_CONFIG_FILE /etc/copilot/logger.conf
AGENT_WORK_DIR /tmp/agentWorkDir
AGENT_SECURE_MODE
"""
MANAGER_CONF = """JM_JABBER_SERVER 10.0.0.1
JM_JABBER_DOMAIN jabber.example
JM_JABBER_ID jm
JM_JABBER_PASSWORD secret
JM_CHIRP_SERVER files.example
JM_CHIRP_WORK_DIR /tmp/Chirp
JM_DONE_JOB_DIR /opt/done
JM_REDIS_SERVER redis.example
JM_WAITING_JOBS_LIST waiting_jobs
JM_JOB_REQUIRE_FILE /cvmfs/x
MON_JABBER_ADDRESS mon@jabber.example
UNHEARD_OF 7
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "copilot-agent.conf").write_text(AGENT_CONF)
    (tmp_path / "copilot-jobmanager-generic.conf").write_text(MANAGER_CONF)
    return tmp_path


def test_an_agent(folder: Path) -> None:
    config = read_original(folder, AGENT, {"AGENT_JABBER_PASSWORD": "from outside", "AGENT_JABBER_CA_FILE": "no"})
    settings, ignored = agent_settings(config)
    assert settings["agent"] == {
        "jid": "agent@jabber.example",
        "password": "from outside",
        "host": "127.0.0.1",
        "port": 5222,
        "ca_pem": "",
        "job_manager": "jm@jabber.example",
    }
    assert settings["root"] == "/tmp/agentWorkDir"
    assert settings["heartbeat"] == {"room": "pilots-lounge@conference.jabber.example"}
    assert "secure" not in settings
    assert [name.split()[0] for name in ignored] == ["SM_JABBER_ADDRESS", "AGENT_LOGGER_CONFIG_FILE"]


def test_secure_mode_port_and_certificates(folder: Path) -> None:
    (folder / "ca.pem").write_text("pem")
    more = (
        f"AGENT_SECURE_MODE 1\nAGENT_JABBER_PASSWORD x\nAGENT_JABBER_PORT 5333\nAGENT_JABBER_CA_FILE {folder}/ca.pem\n"
    )
    (folder / "one.conf").write_text(AGENT_CONF + more)
    settings, _ = agent_settings(read_original(folder / "one.conf", AGENT, {}))
    assert settings["secure"] == {"keys": "/etc/copilot/keys.pub", "key_manager": "km@jabber.example"}
    assert (settings["agent"]["port"], settings["agent"]["ca_pem"]) == (5333, "pem")


def test_the_general_file_comes_first(folder: Path) -> None:
    (folder / "Copilot.conf").write_text("AGENT_JABBER_PASSWORD general\nAGENT_JABBER_ID other\nHB_CHAT_ROOM x\n")
    config = read_original(folder, AGENT, {})
    assert config.values["AGENT_JABBER_ID"] == "agent"
    assert config.values["AGENT_JABBER_PASSWORD"] == ""
    assert heartbeat_room(config) == "pilots-lounge@conference.jabber.example"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (AGENT_CONF, "AGENT_JABBER_PASSWORD has no value"),
        (AGENT_CONF + "AGENT_JABBER_PASSWORD x\nAGENT_JABBER_PORT y\n", "is no port"),
        (AGENT_CONF + "AGENT_JABBER_PASSWORD x\nAGENT_JABBER_CA_FILE /none\n", "cannot be read"),
    ],
)
def test_what_an_agent_cannot_use(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c").write_text(text)
    with pytest.raises(BadInput, match=said):
        agent_settings(read_original(tmp_path / "c", AGENT, {}))


def test_nothing_to_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(BadInput, match="cannot be read"):
            read_original(path, AGENT, {})


def test_managers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = read_arguments("job-manager", "", ["--original-config", str(folder)])
    assert "ignored: UNHEARD_OF" in capsys.readouterr().err
    account = config.account()
    assert (account.jid, account.host, account.port, account.resource) == (
        "jm@jabber.example",
        "10.0.0.1",
        5222,
        "jobs-1",
    )
    assert config.text("queue", "url") == "redis://redis.example:6379/0"
    assert config.flag("queue", "original", False)
    assert config.text("job", "chirp") == "files.example:9094"
    assert config.text("job", "require_file") == "/cvmfs/x"
    storage = read_arguments("storage-manager", "", ["--original-config", str(folder)])
    assert storage.file("storage", "chirp_root") == Path("/tmp/Chirp")
    assert storage.account().resource == "storage-1"


@pytest.mark.parametrize(("mode", "storage"), [("STORAGE", False), ("QUEUE", True)])
def test_a_configuration_for_the_other_manager_is_refused(folder: Path, mode: str, storage: bool) -> None:
    (folder / "c").write_text(MANAGER_CONF + f"JM_{mode}_ONLY_MODE_ON 1\n")
    with pytest.raises(BadInput, match="ONLY_MODE_ON is set"):
        manager_sections(read_original(folder / "c", "", {}), storage)
    assert manager_sections(read_original(folder / "c", "", {}), not storage)


def test_some_configuration_must_be_named() -> None:
    with pytest.raises(BadInput, match="no configuration"):
        read_arguments("job-manager", "", [])
