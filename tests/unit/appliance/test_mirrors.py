"""Which mirror is asked next."""

import pytest

from client.appliance.errors import ApplianceAltered, DownloadFailed
from client.appliance.fault import Fault
from client.appliance.mirrors import FRUIT_BYTES, Mirror, Mirrors


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def chosen(mirrors: Mirrors) -> Mirror:
    one = mirrors.choose()
    assert one is not None
    return one


ALTERED = Fault("x", refusal=ApplianceAltered("b", "1", "2"), may_be_chance=True)


def test_each_is_tried_and_the_fastest_stays() -> None:
    mirrors = Mirrors(["a", "b", "c"], 1.0, Clock())
    for url, rate in (("a", 10.0), ("b", 30.0), ("c", 20.0)):
        one = chosen(mirrors)
        assert one.url == url
        assert mirrors.is_trial(one)
        mirrors.praise(one, rate)
    assert chosen(mirrors).url == "b"
    assert not mirrors.is_trial(chosen(mirrors))


def test_no_more_than_four_are_tried() -> None:
    mirrors = Mirrors([str(n) for n in range(9)], 1.0, Clock())
    for _ in range(4):
        mirrors.praise(chosen(mirrors), 5.0)
    assert chosen(mirrors).rate == 5.0


def test_one_alone_is_not_on_trial() -> None:
    mirrors = Mirrors(["a"], 1.0, Clock())
    assert not mirrors.is_trial(chosen(mirrors))


def test_one_that_became_slow_is_left_for_one_that_was_twice_as_fast() -> None:
    mirrors = Mirrors(["a", "b"], 1.0, Clock())
    a = chosen(mirrors)
    mirrors.praise(a, 100.0)
    mirrors.praise(chosen(mirrors), 50.0)
    assert not mirrors.is_outrun(a, 26.0)
    assert mirrors.is_outrun(a, 24.0)


def test_a_fault_costs_a_pause_that_grows_and_others_go_first() -> None:
    clock = Clock()
    mirrors = Mirrors(["a", "b"], 1.0, clock)
    a = chosen(mirrors)
    mirrors.blame(a, Fault("x"), 0)
    b = chosen(mirrors)
    assert b.url == "b"
    mirrors.blame(b, Fault("x", wait_s=20), 0)
    assert mirrors.choose() is None
    assert mirrors.wait_s() == 1.0
    clock.now = 1.0
    assert chosen(mirrors) is a
    mirrors.blame(a, Fault("x"), 0)
    assert mirrors.wait_s() == 2.0


def test_one_without_ranges_is_the_last_choice() -> None:
    clock = Clock()
    mirrors = Mirrors(["a", "b"], 1.0, clock)
    a = chosen(mirrors)
    mirrors.praise(a, 100.0)
    mirrors.blame(a, Fault("x", without_ranges=True), 0)
    clock.now = 60.0
    mirrors.praise(chosen(mirrors), 1.0)
    assert chosen(mirrors).url == "b"


def test_other_bytes_are_forgiven_once() -> None:
    clock = Clock()
    mirrors = Mirrors(["b"], 1.0, clock)
    mirrors.blame(chosen(mirrors), ALTERED, 0)
    clock.now = 60.0
    mirrors.blame(chosen(mirrors), ALTERED, 0)
    with pytest.raises(ApplianceAltered):
        mirrors.choose()


def test_wrong_bytes_are_told_before_silence() -> None:
    clock = Clock()
    mirrors = Mirrors(["a", "b"], 1.0, clock)
    mirrors.blame(chosen(mirrors), Fault("x", refusal=ApplianceAltered("a", "1", "2")), 0)
    mirrors.blame(chosen(mirrors), Fault("x", refusal=DownloadFailed("b", "gone")), 0)
    with pytest.raises(ApplianceAltered):
        mirrors.choose()


def test_tries_without_gain_come_to_an_end_and_gains_renew_them() -> None:
    clock, tries = Clock(), 0
    mirrors = Mirrors(["a"], 1.0, clock)
    for _ in range(50):
        clock.now += 1000
        mirrors.blame(chosen(mirrors), Fault("broke"), FRUIT_BYTES)
    with pytest.raises(DownloadFailed) as caught:
        while True:
            clock.now += 1000
            mirrors.blame(chosen(mirrors), Fault("broke"), 10)
            tries += 1
    # The fault after the last gain counts.
    assert tries == 5
    assert caught.value.details() == {"url": "a", "said": "broke"}


def test_no_mirror_at_all() -> None:
    with pytest.raises(DownloadFailed):
        Mirrors([], 1.0, Clock()).choose()


def test_one_that_never_gave_anything_is_given_up_sooner() -> None:
    clock, tries = Clock(), 0
    mirrors = Mirrors(["a"], 1.0, clock)
    with pytest.raises(DownloadFailed):
        while True:
            clock.now += 1000
            mirrors.blame(chosen(mirrors), Fault("Connection refused"), 0)
            tries += 1
    assert tries == 3
    assert mirrors.said == "Connection refused"


def test_one_that_is_silent_is_not_asked_again_while_another_works() -> None:
    clock = Clock()
    mirrors = Mirrors(["silent", "good"], 1.0, clock)
    silent = chosen(mirrors)
    assert silent.patience_s == 5.0
    mirrors.blame(silent, Fault("no answer in time"), 0)
    assert silent.patience_s == 10.0
    for _ in range(5):
        clock.now += 1000
        good = chosen(mirrors)
        assert good.url == "good"
        mirrors.praise(good, 100.0)
    mirrors.blame(good, Fault("broke"), 0)
    assert chosen(mirrors) is silent, "the other has to rest, and there is nobody else"
