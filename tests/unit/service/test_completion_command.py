import argparse

import pytest
import shtab

import main as program
from client.errors import BadInput
from client.service import completion_command
from client.service.completion_command import SHELLS, main, whole_parser

TYPED = {name: role for name, role in program.ROLES.items() if name not in program._INNER}


def words_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The words that a parser knows next."""
    [action] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(action.choices)


def test_every_word_of_the_program_is_known_with_what_it_takes() -> None:
    words = words_of(whole_parser("vc", program._face_options(), TYPED))
    assert set(words) == {*program.FACES, *TYPED}
    without = [name for name, parser in words.items() if len(parser._actions) < 2]
    assert without == [], "their modules need build_parser()"
    assert set(words_of(words["jobs"])) >= {"list", "show", "log", "cancel", "retry", "dead", "wait"}


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([shell, "--name", "vc"], program._face_options(), TYPED) == 0
    said = capsys.readouterr()
    assert all(word in said.out for word in ("retry", "submitter", "managers", *TYPED))
    assert completion_command._PLACES[shell].format(name="vc") in said.err


def test_a_role_without_a_parser_is_completed_as_a_word() -> None:
    words = words_of(whole_parser("vc", program._face_options(), {"word": ("client.clock", "main", "100 %")}))
    assert "word" in words


@pytest.mark.parametrize("shell", SHELLS)
def test_words_to_choose_from_may_be_in_a_dict(shell: str) -> None:
    role = argparse.ArgumentParser()
    role.add_argument("preset", choices={"quiet": 1, "fast": 2})
    completion_command._adapt(role)
    assert "quiet" in shtab.complete(role, shell)


def test_the_command_is_no_alias_where_the_shell_would_complete_what_that_stands_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for shell, said in (("bash", "vc() { "), ("zsh", "vc() { "), ("fish", "alias vc=")):
        main([shell, "--name", "vc"], program._face_options(), {})
        assert f"If vc is no command yet: {said}" in capsys.readouterr().err


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput, match="no name of a command"):
        main(["bash", "--name", "a b; c"], program._face_options(), {})
    with pytest.raises(BadInput, match="did you mean"):
        main(["ksh"], program._face_options(), {})
