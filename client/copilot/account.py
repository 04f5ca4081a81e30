"""Accounts of guests: what their names say, and whom a JID belongs to.

    agent-<good until, epoch s>-<owner>-<word>      owner: 16 hex digits, who enrolled; word: 16 hex digits, random
    agent-<good until, epoch s>-<word>              of a key manager without enrolment

A guest's account is new every day; what is remembered of how well a computer works is remembered of its owner.
"""

import re
from typing import Final

_GUEST: Final = re.compile(r"agent-[0-9]{1,12}-(?:([0-9a-f]{16})-)?[0-9a-f]{16}")


def bare(jid: str) -> str:
    """A JID without its resource."""
    return jid.partition("/")[0]


def owner_of(jid: str) -> str:
    """Who answers for a JID: the owner that its account names, else the account itself (a bare JID)."""
    account = bare(jid)
    found = _GUEST.fullmatch(account.partition("@")[0])
    return found[1] if found and found[1] else account
