"""What parts tell becomes one sample."""

from client.host.board import Board, merged
from client.host.part import Facts, Input
from client.host.presence import Seats
from client.host.sample import Sample
from tests.helpers.clock import FakeClock


class Heard:
    def __init__(self, *names: str) -> None:
        self.clock = FakeClock()
        self.changes = 0
        self.board = Board(names or ("one", "two"), self.clock, self._count)

    def _count(self) -> None:
        self.changes += 1


def test_nothing_told_is_nothing_known() -> None:
    assert Heard().board.sample() == Sample()


def test_the_first_part_is_believed() -> None:
    heard = Heard()
    heard.board.teller("two")({"on_battery": False, "battery_percent": 80})
    heard.board.teller("one")({"on_battery": True, "battery_percent": None})
    sample = heard.board.sample()
    assert (sample.on_battery, sample.battery_percent) == (True, 80)


def test_one_yes_outweighs() -> None:
    heard = Heard()
    heard.board.teller("one")({"awake": False, "full_screen": False, "locked": None})
    heard.board.teller("two")({"awake": True})
    sample = heard.board.sample()
    assert (sample.awake, sample.full_screen, sample.locked) == (True, False, None)


def test_only_what_is_new_is_a_change() -> None:
    heard = Heard()
    tell = heard.board.teller("one")
    tell({"metered": True})
    tell({"metered": True})
    assert heard.changes == 1
    tell({"metered": None})
    assert heard.changes == 2


def test_a_part_that_fails_leaves_nothing_behind() -> None:
    heard = Heard()
    heard.board.teller("one")({"sleeping": True, "foreground": "game"})
    heard.board.forget("one")
    assert heard.board.sample() == Sample()
    heard.board.forget("one")
    assert heard.changes == 2


def test_idle_time_grows_by_itself_and_is_no_change() -> None:
    heard = Heard()
    heard.board.teller("one")({"display": Input(heard.clock.monotonic() - 2)})
    assert heard.board.sample().idle_s == 2
    heard.clock.advance(100)
    assert heard.board.sample().idle_s == 102
    assert heard.changes == 1
    heard.board.teller("one")({"display": Input(None)})
    assert heard.board.sample().idle_s == 0


def test_a_locked_seat_is_locked_unless_a_part_knows_better() -> None:
    heard = Heard()
    heard.board.teller("one")({"seats": Seats(locked=True)})
    assert heard.board.sample().locked is True
    heard.board.teller("two")({"locked": False})
    assert heard.board.sample().locked is True
    heard.board.teller("one")({"seats": Seats(shown=1, ours=True)})
    assert heard.board.sample().locked is False
    heard.board.forget("two")
    assert heard.board.sample().locked is False


def test_several_that_tell_are_put_together() -> None:
    told: list[Facts] = [{"awake": None, "metered": None}, {"awake": True, "metered": False}, {"metered": True}]
    assert merged(told) == {"awake": True, "metered": False}
    assert merged([]) == {}
