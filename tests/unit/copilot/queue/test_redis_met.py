import pytest

from client.copilot.queue import redis_met
from client.copilot.queue.redis_met import MetRequirements

SMALL, LARGE = {"Memory": "1000"}, {"Memory": "4000"}
TEXTS = ["other.Memory >= 500", "other.Memory >= 2000", "other.Memory < 2000"]


def test_each_computer_is_told_what_it_meets() -> None:
    met = MetRequirements()
    assert met.said_for(SMALL) == (0, "", "")
    met.learn(0, "7", TEXTS[:2])
    assert met.said_for(SMALL) == (2, ",1", f"7 {TEXTS[1]}")
    met.learn(2, "7", TEXTS[2:])
    assert met.said_for(SMALL) == (3, ",1,3", f"7 {TEXTS[2]}")
    assert met.said_for(LARGE) == (3, ",1,2", f"7 {TEXTS[2]}")


def test_others_take_the_place_of_all() -> None:
    met = MetRequirements()
    met.learn(0, "7", TEXTS)
    assert met.said_for(LARGE)[1] == ",1,2"
    met.learn(0, "7", TEXTS[2:])
    assert met.said_for(LARGE) == (1, "", f"7 {TEXTS[2]}")


@pytest.mark.parametrize(("known", "texts"), [(0, []), (1, TEXTS), (0, ["other.Memory >="])])
def test_what_does_not_fit_is_refused(known: int, texts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"missing|other\.Memory >="):
        MetRequirements().learn(known, "7", texts)


def test_not_every_computer_is_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_met, "_MOST_KEPT", 30)
    met = MetRequirements()
    met.learn(0, "7", TEXTS)
    for memory in range(1000):
        assert met.said_for({"Memory": str(memory)})[0] == 3
    assert len(met._met) <= 11


def test_a_number_that_is_free_is_met_by_nobody() -> None:
    met = MetRequirements()
    met.learn(0, "7", ["", TEXTS[0], ""])
    assert met.said_for(LARGE) == (3, ",2", "7 ")


def test_after_a_number_was_given_anew_all_are_learned_anew() -> None:
    met = MetRequirements()
    met.learn(0, "7", TEXTS[:1])
    with pytest.raises(ValueError, match="two epochs"):
        met.learn(1, "8", TEXTS[1:])
    met.learn(0, "8", TEXTS[1:])
    assert met.said_for(LARGE) == (2, ",1", f"8 {TEXTS[2]}")
