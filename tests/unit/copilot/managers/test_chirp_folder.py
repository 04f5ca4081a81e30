"""Folders for output, and those of the original's copilot-job-submit, where the input of jobs lies."""

from pathlib import Path

import pytest

from client.copilot.managers.chirp_folder import ACL_OUTPUT, close_output, make_chirp_folder, open_output

SUBMITTED = "address:* rl\nhostname:* rl\n"
#: What the original's manager writes: with dash, `echo -e` says its option, too.
ORIGINAL = "-e hostname:* rwl\naddress:* rwl\n\n"


def rights(root: Path) -> str:
    return (root / "one" / ".__acl").read_text()


@pytest.fixture
def submitted(tmp_path: Path) -> Path:
    """The input of job `one`, and of others."""
    (make_chirp_folder(tmp_path, "one", SUBMITTED) / "run.sh").write_text("input")
    return tmp_path


def test_a_folder_of_ours_comes_and_goes(tmp_path: Path) -> None:
    open_output(tmp_path, "one")
    open_output(tmp_path, "one")
    assert rights(tmp_path) == ACL_OUTPUT
    (tmp_path / "one" / "anything").write_text("of an agent's")
    assert close_output(tmp_path, "one")
    assert list(tmp_path.iterdir()) == []
    assert close_output(tmp_path, "one")


def test_a_folder_with_input_is_lent_and_given_back(submitted: Path) -> None:
    open_output(submitted, "one")
    open_output(submitted, "one")
    assert rights(submitted) == SUBMITTED + "address:* rwl\nhostname:* rwl\n"
    (submitted / "one" / "one.tgz").write_text("output")
    (submitted / "one" / "one.tgz.part").write_text("half of it")
    assert not close_output(submitted, "one")
    assert rights(submitted) == SUBMITTED
    assert sorted(path.name for path in (submitted / "one").iterdir()) == [".__acl", "run.sh"]


def test_input_that_was_never_lent_stays(submitted: Path) -> None:
    assert not close_output(submitted, "one")
    assert (submitted / "one" / "run.sh").exists()
    assert rights(submitted) == SUBMITTED


def test_what_the_originals_manager_left_is_no_folder_of_ours(tmp_path: Path) -> None:
    make_chirp_folder(tmp_path, "one", ORIGINAL)
    open_output(tmp_path, "one")
    assert "address:* rwl" in rights(tmp_path).splitlines()
    assert not close_output(tmp_path, "one")
    assert rights(tmp_path).strip() == ORIGINAL.strip()


def test_rights_without_an_end_of_line(tmp_path: Path) -> None:
    make_chirp_folder(tmp_path, "one", "globus:* rl")
    open_output(tmp_path, "one")
    assert rights(tmp_path).splitlines()[:2] == ["globus:* rl", "address:* rwl"]


def test_a_folder_whose_rights_cannot_be_read_stays(submitted: Path) -> None:
    acl = submitted / "one" / ".__acl"
    acl.unlink()
    acl.mkdir()
    assert not close_output(submitted, "one")
    assert (submitted / "one" / "run.sh").exists()
