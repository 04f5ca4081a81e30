"""A session's counts, against a server of a few lines that counts as the standard says."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.copilot import resumption
from client.copilot.resumption import Resumption


def begun() -> Resumption:
    ours = Resumption()
    ours.enable()
    ours.enabled("id", resume=True)
    return ours


class CountingServer:
    """The other end: counts what arrives, keeps what was not confirmed."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.waiting: list[str] = []
        self.confirmed = 0

    def tell(self) -> str:
        return str(len(self.got))

    def hear(self, text: str) -> None:
        count = int(re.findall(r" h='(\d+)'", text)[0])
        del self.waiting[: count - self.confirmed]
        self.confirmed = count


# say and hear: a stanza that arrives or is lost with the connection; cut: both ends start over on a fresh one
@given(st.lists(st.sampled_from(["say", "say in vain", "hear", "hear in vain", "ask", "cut"]), max_size=60))
def test_whatever_a_cut_swallows_arrives_once_and_in_order(steps: list[str]) -> None:
    ours, server = begun(), CountingServer()
    said: list[str] = []
    expected: list[str] = []
    heard: list[str] = []
    cut = False
    for number, step in enumerate([*steps, "cut"]):
        # What is sent behind something that was lost is lost too.
        cut = cut or step.endswith("in vain")
        if step.startswith("say"):
            said.append(f"<message id='{number}'/>")
            ours.sent(said[-1])
            if not cut:
                server.got.append(said[-1])
        elif step.startswith("hear"):
            server.waiting.append(f"reply {number}")
            expected.append(server.waiting[-1])
            if not cut:
                ours.heard()
                heard.append(server.waiting[-1])
        elif step == "ask" and not cut:
            ours.confirm(server.tell())
            server.hear(ours.tell())
        elif step == "cut":
            cut = False
            server.hear(ours.resume())
            again = ours.resumed(server.tell())
            server.got += again
            heard += server.waiting
            for _ in server.waiting:
                ours.heard()
            assert server.got == said
            assert heard == expected


@pytest.mark.parametrize("count", ["", "-1", "x", "99", "4294967296", "²", "1" * 50])
def test_a_count_that_cannot_be_is_ignored(count: str) -> None:
    ours = begun()
    ours.sent("<message/>")
    ours.confirm(count)
    assert ours.waiting == 1


def test_counts_go_over_their_end() -> None:
    ours = begun()
    ours._confirmed = 2**32 - 1
    ours.sent("<message/>")
    ours.confirm("0")
    assert ours.waiting == 0


def test_the_other_end_is_asked_for_a_hundredth_of_the_stanzas() -> None:
    ours = begun()
    asked = 0
    for _ in range(1000):
        if ours.sent("<message/>"):
            asked += 1
            ours.confirm(str(ours._confirmed + ours.waiting))
    told = 0
    for _ in range(1000):
        if ours.heard():
            told += 1
            ours.tell()
    assert (asked, told) == (10, 10)


def test_a_sign_of_life_tells_only_news() -> None:
    ours = begun()
    assert ours.sign_of_life() == "<r xmlns='urn:xmpp:sm:3'/>"
    ours.heard()
    assert ours.sign_of_life() == "<r xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='1'/>"
    assert ours.sign_of_life() == "<r xmlns='urn:xmpp:sm:3'/>"


def test_a_server_that_confirms_nothing_costs_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumption, "MAX_UNCONFIRMED", 10)
    ours = begun()
    for _ in range(11):
        ours.sent("<message/>")
    assert (ours.waiting, ours.counts, ours.is_possible) == (0, False, False)


@pytest.mark.parametrize(("given_id", "resume"), [("", True), ("id", False)])
def test_a_server_that_does_not_resume(given_id: str, resume: bool) -> None:
    ours = Resumption()
    ours.enable()
    ours.enabled(given_id, resume=resume)
    assert not ours.is_possible
    assert ours.counts
