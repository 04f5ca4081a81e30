"""Downloads from a real server that does everything wrong: right bytes or a clear refusal, never a bad file."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from client.appliance.errors import ApplianceAltered, ApplianceError, ApplianceTruncated, DownloadFailed
from client.appliance.worker_child import Stopped
from tests.helpers import hostile_http as http
from tests.helpers.hostile_http import serving
from tests.integration.appliance.kit import CONTENT, KNOWN, PIECE, SIZE, Known, Trial, target_of

pytestmark = pytest.mark.integration

OTHER = random.Random(5).randbytes(SIZE)
PLAYS = {
    "cut at once": http.cut(0),
    "cut after one byte": http.cut(1),
    "cut in a piece": http.cut(PIECE + 5),
    "cut at a piece": http.cut(3 * PIECE),
    "cut before the last byte": http.cut(SIZE - 1),
    "reset": http.cut(100_000, reset=True),
    "altered": http.altered(PIECE + 7),
    "altered at its end": http.altered(SIZE - 1),
    "busy": http.answers("503 Busy", Retry_After="0"),
    "busy for a word": http.answers("503 Busy", Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"),
    "error": http.answers("500 Oh"),
    "garbage": http.garbage,
    "gzip": http.says_gzip,
    "chunked": http.chunked,
    "no ranges": http.ignores_ranges,
    "endless": http.endless,
}


@pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS.keys())
@pytest.mark.parametrize("place", ["first", "later"])
def test_one_wrong_answer_costs_at_most_one_piece(play: http.Play, place: str, tmp_path: Path) -> None:
    before = [] if place == "first" else [http.cut(2 * PIECE + 100)]
    with serving(CONTENT, *before, play) as server:
        done = Trial(tmp_path, target_of(CONTENT, [server.url])).run()
    allowed = PIECE + (2 * PIECE + 100 if play in (http.ignores_ranges, http.endless) else 0)
    assert SIZE <= done["bytes_fetched"] <= SIZE + allowed


@pytest.mark.parametrize(
    "play",
    [
        http.shifted(1),
        http.shifted(-1),
        http.shifted(PIECE),
        http.says_range(None),
        http.says_range("bytes 5-6/*"),
        http.says_range("bytes 0-*/*"),
        http.says_range("bytes 99999999999999999999-99999999999999999999999/*"),
        http.says_range("pages 1-2/3"),
    ],
    ids=range(8),
)
def test_a_server_that_lies_about_ranges_is_asked_for_the_whole(play: http.Play, tmp_path: Path) -> None:
    with serving(CONTENT, http.cut(PIECE * 2), play) as server:
        done = Trial(tmp_path, target_of(CONTENT, [server.url])).run()
        assert [request.ranged for request in server.requests] == [False, True, False]
    # What of the whole is here already comes once more: there is no way around that.
    assert done["bytes_fetched"] <= SIZE + 2 * PIECE


def test_a_range_that_is_shifted_in_secret_costs_a_piece(tmp_path: Path) -> None:
    with serving(CONTENT, http.cut(PIECE * 2), http.shifted_secretly(3)) as server, serving(CONTENT) as honest:
        trial = Trial(tmp_path, target_of(CONTENT, [server.url, honest.url]))
        done = trial.run()
    assert done["bytes_fetched"] <= SIZE + PIECE
    assert done["mirror"] == honest.url


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize(
    ("always", "refusal"),
    [
        (http.altered(3 * PIECE), ApplianceAltered),
        (http.other_file(OTHER), ApplianceAltered),
        (http.other_file(OTHER[:-1]), ApplianceTruncated),
        (http.other_file(OTHER + b"x"), ApplianceTruncated),
        (http.is_gzip, ApplianceTruncated),
        (http.cut(10), DownloadFailed),
        (http.answers("404 Not Found"), DownloadFailed),
        (http.answers("500 Oh"), DownloadFailed),
        (http.answers("304 Not Modified"), DownloadFailed),
        (http.answers("206 Partial Content", Content_Range="bytes 0-1/2"), DownloadFailed),
        (http.answers("416 No", Content_Range="bytes */0"), ApplianceTruncated),
        (http.answers("302 Found", Location="/again"), DownloadFailed),
        (http.answers("302 Found", Location="file:///etc/passwd"), DownloadFailed),
        (http.answers("302 Found", Location="http://[::1"), DownloadFailed),
        (http.answers("302 Found"), DownloadFailed),
        (http.endless_redirect, DownloadFailed),
        (http.garbage, DownloadFailed),
    ],
    ids=range(17),
)
def test_a_server_that_stays_wrong_is_refused(
    always: http.Play, refusal: type[ApplianceError], known: Known, tmp_path: Path
) -> None:
    with serving(CONTENT, always=always) as server:
        trial = Trial(tmp_path, target_of(CONTENT, [server.url], known=known))
        with pytest.raises(refusal):
            trial.run()
        assert server.sent <= 2 * SIZE + 10
        assert len(server.requests) <= 7
    assert not trial.to.exists()


def test_the_bytes_of_a_redirect_are_not_read(tmp_path: Path) -> None:
    with serving(CONTENT, http.answers("302 Found", Location="/b"), http.answers("307 Go", Location="c?d=1")) as server:
        Trial(tmp_path, target_of(CONTENT, [server.url])).run()
        assert [request.path for request in server.requests] == ["/image", "/b", "/c?d=1"]


def test_a_file_that_changes_on_its_server_is_refused(tmp_path: Path) -> None:
    with serving(CONTENT, http.cut(PIECE + 9), always=http.other_file(OTHER)) as server:
        trial = Trial(tmp_path, target_of(CONTENT, [server.url]))
        with pytest.raises(ApplianceAltered):
            trial.run()
        assert [request.headers.get("if-range") for request in server.requests][:3] == [None, '"one"', None]
    assert not trial.to.exists()


def test_a_tag_that_changes_over_the_same_bytes_costs_nothing(tmp_path: Path) -> None:
    """As behind an address with several servers."""
    with serving(CONTENT, http.cut(PIECE + 9), http.other_file(CONTENT)) as server:
        done = Trial(tmp_path, target_of(CONTENT, [server.url])).run()
    assert done["bytes_fetched"] <= SIZE


def test_weak_tags_are_not_used_for_ranges(tmp_path: Path) -> None:
    with serving(CONTENT, http.cut(PIECE + 9)) as server:
        server.etag = 'W/"one"'
        Trial(tmp_path, target_of(CONTENT, [server.url])).run()
        assert "if-range" not in server.requests[1].headers


@pytest.mark.parametrize(
    "play", [http.silent_after(0), http.silent_after(PIECE + 1), http.drips_head, http.drips(0.01)]
)
def test_a_mirror_that_stalls_is_left_for_another(play: http.Play, tmp_path: Path) -> None:
    with serving(CONTENT, always=play) as slow, serving(CONTENT) as server:
        trial = Trial(tmp_path, target_of(CONTENT, [slow.url, server.url]), stall_s=0.5)
        done = trial.run()
        slow.over.set()
    assert done["mirror"] == server.url
    assert done["bytes_fetched"] <= SIZE + PIECE


def test_a_mirror_that_never_answers_is_asked_once_while_another_works(tmp_path: Path) -> None:
    with serving(CONTENT, always=http.drips_head) as slow, serving(CONTENT) as server:
        Trial(tmp_path, target_of(CONTENT, [slow.url, server.url]), stall_s=0.2).run()
        slow.over.set()
    assert len(slow.requests) == 1


def test_while_no_mirror_answers_that_is_told(tmp_path: Path) -> None:
    trial = Trial(tmp_path, target_of(CONTENT, ["http://127.0.0.1:9/x"]), pause_s=0.5)
    with pytest.raises(DownloadFailed):
        trial.run()
    assert {said["said"] for said in trial.told() if said["step"] == "waiting"} == {"Connection refused"}


def test_a_lone_mirror_that_stalls_is_refused(tmp_path: Path) -> None:
    with serving(CONTENT, always=http.drips_head) as slow:
        with pytest.raises(DownloadFailed) as caught:
            Trial(tmp_path, target_of(CONTENT, [slow.url]), stall_s=0.2).run()
        slow.over.set()
    assert caught.value.said == "no answer in time"


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed) as caught:
        Trial(tmp_path, target_of(CONTENT, ["http://127.0.0.1:9/x"])).run()
    assert caught.value.said == "Connection refused"
    with pytest.raises(DownloadFailed):
        Trial(tmp_path, target_of(CONTENT, [])).run()


def test_the_fastest_mirror_brings_most(tmp_path: Path) -> None:
    content = CONTENT * 6
    lame = http.steady(400_000)
    with serving(content, always=lame) as slow, serving(content) as fast, serving(content, always=lame) as other:
        done = Trial(tmp_path, target_of(content, [slow.url, fast.url, other.url])).run()
        assert max(slow.sent, other.sent) <= 2 * PIECE
    assert done["mirror"] == fast.url
    assert done["bytes_fetched"] == len(content)


def test_any_mirror_may_fail_at_any_moment(tmp_path: Path) -> None:
    bad = [http.altered(20), http.cut(7), http.answers("500 Oh")]
    with serving(CONTENT, *bad) as one, serving(CONTENT, *reversed(bad)) as two, serving(OTHER) as three:
        done = Trial(tmp_path, target_of(CONTENT, [three.url, one.url, two.url])).run()
    assert done["bytes_fetched"] <= SIZE + 6 * PIECE


@pytest.mark.parametrize("seed", range(12))
def test_any_cuts_cost_at_most_a_piece_each(seed: int, tmp_path: Path) -> None:
    """The bytes of a cut piece that came are used, so it is even less."""
    chance = random.Random(seed)
    plays = [
        chance.choice([http.cut, http.altered])(chance.choice([0, 1, chance.randrange(SIZE), PIECE, PIECE - 1]))
        for _ in range(chance.randrange(1, 6))
    ]
    with serving(CONTENT, *plays) as one, serving(CONTENT) as two:
        done = Trial(tmp_path, target_of(CONTENT, [one.url, two.url])).run()
    assert done["bytes_fetched"] <= SIZE + len(plays) * PIECE


def test_what_is_on_the_disk_is_trusted_only_after_hashing(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        trial = Trial(tmp_path, target_of(CONTENT, [server.url]))
        trial.part.parent.mkdir()
        spoilt = bytearray(CONTENT[: 5 * PIECE + 99])
        spoilt[3 * PIECE + 1] ^= 1
        trial.part.write_bytes(spoilt)
        assert trial.run()["bytes_fetched"] == SIZE - 3 * PIECE
        assert server.requests[0].start == 3 * PIECE


def test_a_spoilt_tail_costs_its_piece(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        trial = Trial(tmp_path, target_of(CONTENT, [server.url]))
        trial.part.parent.mkdir()
        trial.part.write_bytes(CONTENT[: 5 * PIECE] + bytes(99))
        assert trial.run()["bytes_fetched"] == SIZE - 5 * PIECE + PIECE - 99


@pytest.mark.parametrize("kept", [CONTENT, CONTENT + b"more", OTHER, b""])
def test_any_part_file_is_a_fair_start(kept: bytes, tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        for known in KNOWN:
            trial = Trial(tmp_path, target_of(CONTENT, [server.url], known=known))
            trial.part.parent.mkdir(exist_ok=True)
            trial.part.write_bytes(kept)
            assert trial.run()["bytes_fetched"] == (0 if kept.startswith(CONTENT) else SIZE)
            trial.to.unlink()


def test_a_file_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        trial = Trial(tmp_path, target_of(CONTENT, [server.url]))
        trial.run()
        assert trial.run() == {"bytes_fetched": 0, "mirror": "", "kind": "full"}
        trial.to.write_bytes(OTHER)
        assert trial.run()["bytes_fetched"] == SIZE


def test_a_catalogue_that_contradicts_itself_gives_no_file(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        mine = target_of(CONTENT, [server.url])
        trial = Trial(tmp_path, type(mine)(mine.name, mine.size_bytes, "ab" * 32, PIECE, mine.pieces, mine.urls))
        with pytest.raises(ApplianceAltered):
            trial.run()
        assert not trial.to.exists()
        trial = Trial(tmp_path, replace(mine, prefixes=("ab" * 32, *mine.prefixes[1:])))
        with pytest.raises(ApplianceAltered):
            trial.run()
    assert not trial.to.exists()


def test_holding_closes_the_connection_and_going_on_costs_nothing(tmp_path: Path) -> None:
    with serving(CONTENT, http.steady(500_000)) as server:
        trial = Trial(tmp_path, target_of(CONTENT, [server.url]))
        trial.face.hear({"hold": True})
        working = threading.Thread(target=trial.run)
        working.start()
        until(lambda: held(trial) > 0)
        assert server.requests == []
        trial.face.hear({"hold": False})
        until(lambda: server.sent > 2 * PIECE)
        before = held(trial)
        trial.face.hear({"hold": True})
        until(lambda: held(trial) > before)
        trial.face.hear({"hold": False})
        working.join(30)
        assert [request.ranged for request in server.requests] == [False, True]
    assert trial.to.read_bytes() == CONTENT


def held(trial: Trial) -> int:
    return [said["step"] for said in trial.told()].count("held")


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not true():
        assert time.monotonic() < ends
        threading.Event().wait(0.005)


def test_calling_off_keeps_what_came(tmp_path: Path) -> None:
    with serving(CONTENT, http.steady(1_000_000)) as server:
        trial = Trial(tmp_path, target_of(CONTENT, [server.url]))
        caught: list[BaseException] = []

        def work() -> None:
            try:
                trial.run()
            except Stopped as stopped:
                caught.append(stopped)

        working = threading.Thread(target=work)
        working.start()
        until(lambda: server.sent > 3 * PIECE)
        trial.face.hear({"stop": True})
        working.join(30)
        assert len(caught) == 1
        kept = trial.part.stat().st_size
        again = Trial(tmp_path, trial.target)
        assert 0 < again.run()["bytes_fetched"] == SIZE - kept


def test_progress_tells_all_that_a_bar_needs(tmp_path: Path) -> None:
    with serving(CONTENT, always=http.steady(1_000_000)) as server:
        trial = Trial(tmp_path, target_of(CONTENT, [server.url]))
        trial.run()
    told = [said for said in trial.told() if said["step"] == "downloading"]
    assert {said["total_bytes"] for said in told} == {SIZE}
    assert sorted(said["done_bytes"] for said in told) == [said["done_bytes"] for said in told]
    assert all(said["rate_bytes_per_s"] > 0 and said["left_s"] >= 0 for said in told)
    assert told[-1]["mirror"] == server.url


MIXED = [
    *PLAYS.values(),
    http.shifted(5),
    http.shifted_secretly(-7),
    http.says_range(None),
    http.other_file(OTHER),
    http.other_file(OTHER[:-9]),
    http.is_gzip,
    http.answers("416 No", Content_Range="bytes */3"),
    http.answers("302 Found", Location="/elsewhere"),
    http.answers("404 Not Found"),
]


@pytest.mark.parametrize("seed", range(20))
def test_any_mixture_ends_with_the_right_bytes_or_a_refusal(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    plays = [chance.choices(MIXED, k=chance.randrange(8)) for _ in range(3)]
    always = [chance.choice([None, None, *MIXED]) for _ in range(3)]
    with (
        serving(CONTENT, *plays[0], always=always[0]) as one,
        serving(CONTENT, *plays[1], always=always[1]) as two,
        serving(CONTENT, *plays[2], always=always[2]) as three,
    ):
        urls = [one.url, two.url, three.url][: chance.randrange(1, 4)]
        trial = Trial(tmp_path, target_of(CONTENT, urls, known=chance.choice(KNOWN)))
        try:
            trial.run()
        except ApplianceError:
            assert not trial.to.exists()
