"""What the process that asks for accounts says, and what it does not say in time."""

import sys
from pathlib import Path

import pytest

from client.credentials import KeyringSilent
from client.errors import ClientError
from client.project import token
from client.project.definition import Project, parse_project
from client.project.errors import EnrolmentRefused, ProjectUnreachable
from tests.unit.project.test_definition import GOOD


@pytest.fixture
def project() -> Project:
    return parse_project(GOOD, "test")


def child(monkeypatch: pytest.MonkeyPatch, *lines: str, hangs: bool = False) -> None:
    """The process says these lines, and goes, or waits until it is ended."""
    code = f"import sys\nsys.stdin.readline()\nfor line in {lines!r}: print(line, flush=True)\n"
    code += "sys.stdin.read()\n" if hangs else "sys.exit('the last words')\n" if not lines else ""
    monkeypatch.setattr(token, "_command", lambda: (sys.executable, "-S", "-c", code))


KEY = '{"key": {"in_file": true, "fresh": true}}'


async def test_the_account_comes_and_a_key_in_a_file_is_told_once(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    child(monkeypatch, KEY, '{"token": {"jid": "agent-1@localhost", "password": "pw", "expires_at": 1800000000.0}}')
    found = await token.ask_token(tmp_path, project, "vm-1")
    assert (found.jid, found.password) == ("agent-1@localhost", "pw")
    assert any(f"took the key for Demo: it is a file in {tmp_path}" in record.message for record in caplog.records)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ('{"error": "project-unreachable", "fields": {"url": "u", "said": "no"}}', ProjectUnreachable),
        ('{"error": "enrolment-refused", "fields": {"url": "u", "status": 403, "said": "no"}}', EnrolmentRefused),
        ('{"error": "keyring-silent", "fields": {"said": "locked"}}', KeyringSilent),
        ('{"error": "unheard-of", "fields": {}}', KeyringSilent),
    ],
)
async def test_errors_are_raised_here_as_there(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, kind: type[ClientError]
) -> None:
    child(monkeypatch, said)
    with pytest.raises(kind):
        await token.ask_token(tmp_path, project, "vm-1")


async def test_a_keyring_that_waits_for_somebody_is_not_waited_for(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token, "KEYRING_S", 0.2)
    child(monkeypatch, hangs=True)
    with pytest.raises(KeyringSilent, match="no answer"):
        await token.ask_token(tmp_path, project, "vm-1")


async def test_a_project_that_never_answers_is_one_that_cannot_be_reached(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token, "ANSWER_S", 0.2)
    child(monkeypatch, KEY, hangs=True)
    with pytest.raises(ProjectUnreachable):
        await token.ask_token(tmp_path, project, "vm-1")


async def test_a_process_that_breaks_down_is_no_success(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(monkeypatch)
    with pytest.raises(KeyringSilent):
        await token.ask_token(tmp_path, project, "vm-1")
