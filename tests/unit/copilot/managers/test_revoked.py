"""The list of who is shut out: one text file, read and written by several."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.copilot.managers.revoked import RevokedList, name_in
from client.errors import BadInput

OWNER = "0123456789abcdef"
ACCOUNT = f"agent-1900000000-{OWNER}-fedcba9876543210"
OTHER = "agent-1900000000-ffffffffffffffff-fedcba9876543210"
OLD = "agent-1900000000-fedcba9876543210"


def test_an_owner_is_shut_out_with_all_accounts(tmp_path: Path) -> None:
    told, reads = RevokedList(tmp_path / "revoked.txt"), RevokedList(tmp_path / "revoked.txt")
    assert not reads.holds(ACCOUNT)
    assert told.add(OWNER)
    assert not told.add(OWNER)
    assert reads.holds(f"{ACCOUNT}@localhost/x") and reads.holds(OWNER)
    assert not reads.holds(OTHER) and not reads.holds(OLD)
    assert told.remove(OWNER) and not told.remove(OWNER)
    assert not reads.holds(ACCOUNT)


def test_one_account_is_shut_out_alone(tmp_path: Path) -> None:
    told = RevokedList(tmp_path / "revoked.txt")
    assert told.add(f"{OLD}@localhost") and told.add(ACCOUNT)
    assert told.holds(OLD) and told.holds(ACCOUNT)
    assert not told.holds(OWNER) and not told.holds(OTHER)
    assert sorted(told.names()) == sorted([OLD, ACCOUNT])


@given(st.text())
def test_nobody_else_can_be_named(who: str) -> None:
    with pytest.raises(BadInput):
        name_in(who)


def test_what_is_no_name_in_the_file_is_no_entry(tmp_path: Path) -> None:
    path = tmp_path / "revoked.txt"
    path.write_bytes(b"# a note\n\xff\xfe\njm\n" + OWNER.encode() + b" by hand\n\n")
    assert RevokedList(path).names() == {OWNER: "by hand"}
