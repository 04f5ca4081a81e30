"""The guest link: every message arrives once and in order, and no bytes of a peer do harm."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.link import KINDS, MAX_ARGV_BYTES, MAX_KEPT, MAX_LINE_BYTES, MAX_MESSAGE, PIECE_BYTES, LinkEnd


def ends() -> tuple[LinkEnd, LinkEnd]:
    return LinkEnd("guest-1"), LinkEnd("host-1")


def line(**changed: object) -> dict[str, object]:
    return {"v": 1, "i": "guest-1", "n": 0, "o": 1, "a": 0, "k": "boot", "b": {}} | changed


def kinds(end: LinkEnd, data: bytes) -> list[str]:
    return [message.kind for message in end.receive(data)]


def test_messages_arrive_in_order_with_their_fields() -> None:
    guest, host = ends()
    data = guest.send("boot", step="python", uptime_s=1.5) + guest.send("heartbeat", load_1min=0.5)
    boot, heartbeat = host.receive(data)
    assert (boot.kind, boot.fields, boot.number) == ("boot", {"step": "python", "uptime_s": 1.5}, 1)
    assert (heartbeat.kind, heartbeat.number) == ("heartbeat", 0)


def test_what_was_lost_is_sent_again_after_hello_and_delivered_once() -> None:
    guest, host = ends()
    heard = kinds(host, guest.send("log", text="one"))
    guest.send("log", text="two: lost")
    again = guest.hello()
    messages = list(host.receive(again))
    assert heard == ["log"]
    assert [m.fields.get("text") for m in messages if m.kind == "log"] == ["two: lost"]


def test_acknowledged_messages_are_not_kept() -> None:
    guest, host = ends()
    list(host.receive(guest.send("bye", reason="finished")))
    assert guest.unacknowledged == 1
    list(guest.receive(host.acknowledge()))
    assert guest.unacknowledged == 0


def test_a_peer_that_starts_anew_is_heard_from_its_first_message() -> None:
    guest, host = ends()
    list(host.receive(guest.hello() + guest.send("log", text="a") + guest.send("log", text="b")))
    fresh = LinkEnd("guest-2")
    assert kinds(host, fresh.hello() + fresh.send("log", text="c")) == ["hello", "log"]


def test_a_host_that_starts_anew_is_obeyed_by_the_same_guest() -> None:
    guest, host = ends()
    list(guest.receive(host.hello() + host.send("finish") + host.send("finish", undo=True)))
    fresh = LinkEnd("host-2")
    assert kinds(guest, fresh.hello() + fresh.send("shutdown")) == ["hello", "shutdown"]


def test_a_host_that_starts_anew_takes_no_confirmation_of_the_former_one() -> None:
    guest, host = ends()
    list(guest.receive(host.send("finish") + host.send("finish", undo=True)))
    late = guest.acknowledge()
    fresh = LinkEnd("host-2")
    lost = fresh.send("shutdown")
    list(fresh.receive(late))
    assert fresh.unacknowledged == 1
    list(fresh.receive(guest.acknowledge()))
    assert fresh.unacknowledged == 1
    assert kinds(guest, lost) == ["shutdown"]
    list(fresh.receive(guest.acknowledge()))
    assert fresh.unacknowledged == 0


def test_a_peer_that_never_confirms_costs_bounded_memory() -> None:
    guest, _ = ends()
    for _ in range(3 * MAX_KEPT):
        guest.send("log", text="x")
    assert guest.unacknowledged == MAX_KEPT


def test_a_line_that_never_ends_is_dropped_and_the_next_one_heard() -> None:
    guest, host = ends()
    for _ in range(10):
        assert kinds(host, b"x" * MAX_LINE_BYTES) == []
    assert kinds(host, guest.send("boot", step="python")) == ["boot"]
    assert host.dropped.too_long == 1


def test_a_half_line_before_a_message_does_not_spoil_it() -> None:
    guest, host = ends()
    assert kinds(host, b'{"v":1,"n"' + guest.send("boot", step="python")) == ["boot"]
    assert host.dropped.noise == 1


def test_its_own_words_that_come_back_are_no_peer() -> None:
    guest, host = ends()
    said = host.hello(wall_clock=1.0) + host.send("finish", undo=False)
    assert kinds(host, said.replace(b"\n", b"\r\n")) == []
    assert (host.peer_boot_id, host.dropped.echoed) == ("", 2)
    assert kinds(host, guest.hello()) == ["hello"]
    assert kinds(host, said) == []
    assert host.peer_boot_id == "guest-1" and host.oldest_kept == 1, "nothing is confirmed by it"


def test_a_message_after_a_gap_waits_until_the_missing_one_came() -> None:
    guest, host = ends()
    guest.send("log", text="lost")
    assert kinds(host, guest.send("log", text="late")) == []
    asked = host.replies()
    assert kinds(guest, asked) == ["hello"]
    assert [m.fields["text"] for m in host.receive(guest.replies())] == ["lost", "late"]


def test_what_the_sender_has_given_up_is_not_waited_for() -> None:
    guest, host = ends()
    for number in range(MAX_KEPT + 5):
        guest.send("log", text=str(number))
    texts = [m.fields["text"] for m in host.receive(guest.hello()) if m.kind == "log"]
    assert texts == [str(number) for number in range(5, MAX_KEPT + 5)]


def test_fields_that_do_not_fit_are_left_out() -> None:
    host = LinkEnd("host")
    body = {"uptime_s": -5, "load_1min": "much", "evil": 1, "xmpp": True}
    (message,) = host.receive(json.dumps(line(k="heartbeat", b=body)).encode() + b"\n")
    assert message.fields == {"xmpp": True}


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("\x1b]52;c;aGVsbG8=\x07", "\ufffd]52;c;aGVsbG8=\ufffd"),
        ("\x9b31mred\x7f", "\ufffd31mred\ufffd"),
        ("two\r\nlines\t.", "two  lines ."),
        ("lone \ud800", "lone \ufffd"),
        ("\u202egnp.exe", "\ufffdgnp.exe"),
        ("Zoë, 日本 🙂", "Zoë, 日本 🙂"),
    ],
)
def test_texts_cannot_steer_a_terminal(said: str, heard: str) -> None:
    guest, host = ends()
    (message,) = host.receive(guest.send("log", text=said))
    assert message.fields["text"] == heard


@pytest.mark.parametrize("words", [["sh", "-c", "a\nb\x1b[31m"], ["\u202e", "", "🙂"]])
def test_words_and_paths_arrive_unchanged(words: list[str]) -> None:
    guest, host = ends()
    (message,) = guest.receive(host.send("exec", exec_id="e", argv=words, cwd="/a\nb"))
    assert (message.fields["argv"], message.fields["cwd"]) == (words, "/a\nb")


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("exec", "argv", []),
        ("exec", "argv", "ls"),
        ("exec", "argv", ["ls", 5]),
        ("exec", "argv", ["x" * 20_000]),
        ("exec", "argv", ["a\0b"]),
        ("exec", "argv", ["\ud800"]),
        ("exec", "cwd", "x" * 1025),
        ("exec_output", "data", "not base64!"),
        ("exec_output", "data", "A" * 20_000),
        ("exec_output", "offset", -1),
        ("file_put", "sha256", "ABC"),
        ("file_put", "mode", 0o10000),
        ("message", "text", "x" * 2001),
    ],
)
def test_what_does_not_fit_an_errand_is_left_out(kind: str, field: str, value: object) -> None:
    host = LinkEnd("host")
    (message,) = host.receive(json.dumps(line(k=kind, n=1, b={field: value, "exec_id": "e"})).encode() + b"\n")
    assert field not in message.fields


def test_the_longest_of_everything_fits_a_line() -> None:
    guest, host = ends()
    data = base64.b64encode(bytes(PIECE_BYTES)).decode()
    wide = "\U0001f642"
    longest = [
        ("exec_output", {"exec_id": "e" * 128, "stream": "stdout", "offset": 10**15, "data": data}),
        ("exec", {"exec_id": "e", "argv": ["x" * (MAX_ARGV_BYTES - 4)], "cwd": "/" + wide * 1000}),
        ("message", {"number": 1, "topic": "t" * 64, "text": wide * MAX_MESSAGE}),
    ]
    for kind, fields in longest:
        (message,) = host.receive(guest.send(kind, **fields))
        assert message.fields == fields
    assert host.dropped.too_long == 0


def test_many_questions_get_one_answer() -> None:
    guest, host = ends()
    host.send("finish")
    list(host.receive(b"".join(guest.hello() for _ in range(100))))
    answer = host.replies()
    assert kinds(guest, answer) == ["finish"]
    assert answer.count(b"finish") == 1
    assert host.replies() == b""


def test_an_answer_that_is_put_off_stays_due() -> None:
    guest, host = ends()
    host.send("finish")
    list(host.receive(guest.hello()))
    assert host.replies(resend=False) == b""
    assert kinds(guest, host.replies()) == ["finish"]


def test_unknown_kinds_and_versions_are_counted() -> None:
    host = LinkEnd("host")
    for said in (line(k="rm"), line(v=9)):
        assert kinds(host, json.dumps(said).encode() + b"\n") == []
    assert host.dropped.unknown == 2


@given(st.binary(max_size=4000), st.integers(1, 97))
def test_no_bytes_raise_and_a_good_message_still_comes_through(noise: bytes, step: int) -> None:
    guest, host = ends()
    data = noise + guest.send("boot", step="link")
    seen = [m for start in range(0, len(data), step) for m in host.receive(data[start : start + step])]
    assert seen[-1].kind == "boot"
    assert all(message.kind in KINDS for message in seen)


@given(st.lists(st.sampled_from(["send", "lose", "cut"]), max_size=40))
def test_nothing_reliable_is_lost_over_cuts(events: list[str]) -> None:
    guest, host = ends()
    heard: list[str] = []

    def deliver(data: bytes) -> None:
        heard.extend(str(m.fields["text"]) for m in host.receive(data) if m.kind == "log")

    sent = 0
    for event in events:
        if event == "cut":
            deliver(guest.hello())
            continue
        data = guest.send("log", text=str(sent))
        sent += 1
        if event == "send":
            deliver(data)
            list(guest.receive(host.replies()))
            deliver(guest.replies())
    deliver(guest.hello())
    assert heard == [str(number) for number in range(sent)]


def test_what_a_job_prints_arrives_harmless_and_is_never_kept() -> None:
    guest, host = LinkEnd("guest"), LinkEnd("host")
    line = guest.send("output", job_id="j", lines=["\x1b[2Jhid\x9bden", "plain"], left_out=7)
    (message,) = host.receive(line)
    assert message.fields == {"job_id": "j", "lines": ["\ufffd[2Jhid\ufffdden", "plain"], "left_out": 7}
    assert guest.unacknowledged == 0


@pytest.mark.parametrize("lines", ["text", [1], ["x" * 201], ["x"] * 21, [["x"]]])
def test_output_out_of_bounds_is_left_out(lines: object) -> None:
    guest, host = LinkEnd("guest"), LinkEnd("host")
    (message,) = host.receive(guest.send("output", job_id="j", lines=lines))
    assert message.fields == {"job_id": "j"}
