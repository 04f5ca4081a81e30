"""Nobody is attached to a project without having been told what it sees."""

from pathlib import Path

import pytest

from client.consent import SEES
from client.errors import BadInput
from client.paths import Paths
from client.service import attach_command
from tests.helpers.client_core import write_project


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "project.toml"
    write_project(file, "0" * 64)
    return file


@pytest.mark.parametrize(("answer", "code"), [("y", 0), (" YES ", 0), ("n", 1), ("", 1), ("yess", 1)])
def test_the_person_is_told_and_asked(tmp_path: Path, file: Path, answer: str, code: int) -> None:
    paths, said, asked = Paths(tmp_path / "base"), list[str](), list[str]()

    def ask(question: str) -> str:
        assert SEES in said, "told before the question"
        asked.append(question)
        return answer

    assert attach_command.run(paths, file, yes=False, ask=ask, say=said.append) == code
    assert len(asked) == 1
    assert paths.project.exists() is (code == 0)


def test_who_said_yes_is_told_and_not_asked(tmp_path: Path, file: Path) -> None:
    paths, said = Paths(tmp_path / "base"), list[str]()
    assert attach_command.run(paths, file, yes=True, ask=pytest.fail, say=said.append) == 0
    assert SEES in said and paths.project.exists()


def test_without_a_terminal_the_command_is_the_answer_and_says_so(tmp_path: Path, file: Path) -> None:
    paths, said = Paths(tmp_path / "base"), list[str]()
    assert attach_command.run(paths, file, yes=False, ask=None, say=said.append) == 0
    assert SEES in said and any("no terminal" in line for line in said)


def test_a_file_that_does_not_fit_is_refused_before_anything_is_asked(tmp_path: Path, file: Path) -> None:
    file.write_text("[project]\n")
    with pytest.raises(BadInput):
        attach_command.run(Paths(tmp_path / "base"), file, yes=False, ask=pytest.fail)
