"""Commands to maps and back; hostile values are refused."""

import contextlib
import unicodedata
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.copilot import messages as m
from client.copilot.errors import BadStanza
from client.copilot.fields import build_map, check_id, check_path, parse_map, printable

IDS = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=50)
DATA = st.dictionaries(
    st.text("abc123", min_size=1), st.text(st.characters(exclude_characters="#", exclude_categories=["Cs"])), max_size=4
)
NAME = st.text("ab.c-_ x", min_size=1, max_size=9).filter(lambda name: name.strip() and name not in {".", ".."})
PATHS = st.lists(NAME, min_size=1, max_size=3).map("/".join)
JOBS = st.builds(
    m.JobDescription,
    IDS,
    chirp_url=TEXTS,
    input_dir=TEXTS,
    input_files=st.lists(PATHS, max_size=3).map(tuple),
    command=TEXTS.filter(str.strip),
    arguments=TEXTS,
    environment=TEXTS,
    packages=TEXTS,
    validation_script=TEXTS,
    time_limit_s=st.none() | st.integers(1, 86400),
    input_url=st.sampled_from(["", "https://h.example:443/input/in-1"]),
)
HEADERS = st.sampled_from([(), (("Authorization", "Bearer a.b-c_d"),), (("Cookie", "a=b; c"), ("Expires", "0"))])
LEASE = st.integers(1, 86400)
COMMANDS = st.one_of(
    st.builds(m.WantGetJob, TEXTS, TEXTS, st.sampled_from([frozenset(), m.EXTENSIONS])),
    st.builds(m.GetJob, TEXTS, TEXTS),
    st.builds(m.HaveGetJob, TEXTS),
    st.builds(m.RunJob, JOBS, DATA, st.none() | LEASE, IDS),
    st.builds(m.WantGetJobOutputDir, IDS, TEXTS, DATA),
    st.just(m.HaveGetJobOutputDir()),
    st.builds(m.GetJobOutputDir, IDS, TEXTS, DATA, st.none() | st.integers(0, 2**53)),
    st.builds(
        m.StoreJobOutputDir,
        IDS,
        TEXTS,
        st.sampled_from(["", "h.example:9094"]),
        DATA,
        st.sampled_from(["", "https://127.0.0.1:5281/upload/abc/output.tgz"]),
        HEADERS,
        st.none() | st.integers(0, 2**53),
    ),
    st.builds(m.JobDone, IDS, TEXTS, TEXTS, st.integers(0, 65535), st.none() | st.integers(0, 65535), DATA),
    st.just(m.Sleep()),
    st.builds(m.Error, TEXTS),
    st.builds(m.Redirect, st.just("a@b/c"), st.just({"command": "x", "y": {"z": "1"}})),
    st.builds(m.SecurityError, TEXTS),
    st.builds(m.GetTicket, TEXTS),
    st.builds(m.StoreTicket, TEXTS),
    st.builds(m.GetContext, IDS, TEXTS.map(lambda text: text[:100])),
    st.builds(m.ApplyContext, IDS, TEXTS),
    st.builds(m.NoContext, IDS),
    st.builds(m.ExtendLease, IDS, IDS),
    st.builds(m.LeaseExtended, IDS, LEASE),
    st.builds(m.LeaseLost, IDS, TEXTS),
    st.builds(m.ClaimJob, IDS, IDS),
    st.builds(m.JobClaimed, IDS, LEASE, IDS),
    st.builds(m.JobVerdict, IDS, st.booleans(), TEXTS),
    st.builds(m.JobFailedReport, IDS, IDS, TEXTS, TEXTS),
)


@given(COMMANDS)
def test_commands_come_back(command: m.Command) -> None:
    assert m.parse_info(m.build_info(command)) == command


def test_each_command_has_a_word_of_its_own() -> None:
    words = [kind.command for kind in get_args(m.Command)]
    assert len(words) == len(set(words)) == 28


@pytest.mark.parametrize("info", [{}, {"command": "storeJob"}, {"command": "Heartbeat:ping"}, {"command": {"a": "b"}}])
def test_unknown_commands_are_none(info: Any) -> None:
    assert m.parse_info(info) is None


def test_the_words_on_the_wire() -> None:
    job = m.JobDescription("j", "h", "d", ("a", "b/c"), "run", "x y", "export A=1", "p")
    assert m.build_info(m.RunJob(job, {"startedAt": "1"})) == {
        "command": "runJob",
        "jmJobData": "startedAt=1####",
        "job": {
            "id": "j",
            "chirpUrl": "h",
            "inputDir": "d",
            "inputFiles": "###a###b/c",
            "command": "run",
            "arguments": "x y",
            "environment": "export A=1",
            "packages": "p",
        },
    }
    assert m.build_info(m.JobDone("j", "vm", exit_code=256)) == {
        "command": "jobDone",
        "jobID": "j",
        "agentHost": "vm",
        "state": "ready",
        "exitCode": "256",
    }
    assert m.build_info(m.WantGetJobOutputDir("j", "vm"))["agentIP"] == "todo"


def run_job(**job: str) -> m.Info:
    return {"command": "runJob", "job": {"id": "j", "command": "run", **job}}


@pytest.mark.parametrize(
    ("info", "field"),
    [
        ({"command": "runJob"}, "job"),
        ({"command": "runJob", "job": "text"}, "job"),
        ({"command": "runJob", "job": {"command": "x"}}, "id"),
        (run_job(id="../etc"), "id"),
        (run_job(id=".hidden"), "id"),
        (run_job(id="a/b"), "id"),
        (run_job(id="a" * 129), "id"),
        (run_job(id="a\n"), "id"),
        (run_job(id="ä"), "id"),
        (run_job(inputFiles="###../x"), "inputFiles"),
        (run_job(inputFiles="/etc/passwd"), "inputFiles"),
        (run_job(inputFiles="a//b"), "inputFiles"),
        (run_job(inputFiles="a\nb"), "inputFiles"),
        (run_job(inputFiles="###".join(["a"] * 1001)), "inputFiles"),
        (run_job(command=" "), "command"),
        (run_job(arguments="a\0b"), "arguments"),
        (run_job(arguments="a" * 70000), "arguments"),
        (run_job(timeLimit="0"), "timeLimit"),
        (run_job(timeLimit="1e9"), "timeLimit"),
        (run_job(timeLimit="٣"), "timeLimit"),
        ({**run_job(), "lease": "-5"}, "lease"),
        ({**run_job(), "leaseID": "a b"}, "leaseID"),
        ({**run_job(), "jmJobData": "a=b####" * 101}, "jmJobData"),
        ({"command": "jobDone", "jobID": "j", "exitCode": "x"}, "exitCode"),
        ({"command": "jobDone", "jobID": "j", "exitCode": "9" * 30}, "exitCode"),
        ({"command": "jobDone", "jobID": "j", "exitCode": {"a": "b"}}, "exitCode"),
        ({"command": "storeJobOutputDir", "jobID": "j", "outputChirpUrl": "a b"}, "outputChirpUrl"),
        ({"command": "storeJobOutputDir", "jobID": "j", "putUrl": "http://h/x"}, "putUrl"),
        ({"command": "storeJobOutputDir", "jobID": "j", "putUrl": "https://u:p@h/x"}, "putUrl"),
        ({"command": "storeJobOutputDir", "jobID": "j", "putUrl": "https://h/x y"}, "putUrl"),
        ({"command": "storeJobOutputDir", "jobID": "j", "putUrl": "https://h/x\r\nHost: y"}, "putUrl"),
        ({"command": "storeJobOutputDir", "jobID": "j", "putUrl": "https://h/" + "x" * 1501}, "putUrl"),
        ({"command": "storeJobOutputDir", "jobID": "j", "putHeaders": "Host: h"}, "putHeaders"),
        ({"command": "storeJobOutputDir", "jobID": "j", "putHeaders": "Authorization: a\rHost: h"}, "putHeaders"),
        ({"command": "storeJobOutputDir", "jobID": "j", "putHeaders": "Cookie: a\nHost: h"}, "putHeaders"),
        ({"command": "storeJobOutputDir", "jobID": "j", "putLimit": "-1"}, "putLimit"),
        ({"command": "getJobOutputDir", "jobID": "j", "outputSize": "1e3"}, "outputSize"),
        (run_job(inputUrl="file:///etc"), "inputUrl"),
        ({"command": "redirect", "referral": "a@b c", "info": {}}, "referral"),
        ({"command": "redirect", "referral": "a@b\x1b[2J", "info": {}}, "referral"),
        ({"command": "redirect", "referral": "a@b/c\x9b2J", "info": {}}, "referral"),
        ({"command": "jobVerdict", "jobID": "j", "accepted": "yes"}, "accepted"),
        ({"command": "want_getJob", "jdl": "x" * 20000}, "jdl"),
    ],
)
def test_hostile_values_are_refused(info: m.Info, field: str) -> None:
    with pytest.raises(BadStanza) as refused:
        m.parse_info(info)
    assert refused.value.field == field


VALUES = st.recursive(st.text(max_size=20), lambda inner: st.dictionaries(st.text(max_size=5), inner, max_size=3))


@given(
    st.sampled_from([kind.command for kind in get_args(m.Command)]),
    st.dictionaries(
        st.sampled_from(["jobID", "job", "jmJobData", "lease", "leaseID", "info", "referral", "accepted", "exitCode"]),
        VALUES,
    ),
)
def test_no_value_does_more_than_be_refused(command: str, more: dict[str, Any]) -> None:
    with contextlib.suppress(BadStanza):
        m.parse_info({**more, "command": command})


def test_bytes_that_are_no_text_stay_in_job_text_and_vanish_elsewhere() -> None:
    strange = b"\xe4".decode("utf-8", "surrogateescape")
    run = m.parse_info({**run_job(arguments=strange), "jmJobData": f"a={strange}####"})
    assert isinstance(run, m.RunJob)
    assert run.job.arguments == strange
    assert run.job_data == {"a": "?"}


HOSTILE = "\x1b[2J\x9b31m\x07\b\x7f\x00"


@pytest.mark.parametrize(
    ("info", "field"),
    [
        ({"command": "jobFailed", "jobID": "j", "leaseID": "l", "cause": HOSTILE}, "cause"),
        ({"command": "leaseLost", "jobID": "j", "reason": HOSTILE}, "reason"),
        ({"command": "jobVerdict", "jobID": "j", "accepted": "0", "reason": HOSTILE}, "reason"),
        ({"command": "error", "errorString": HOSTILE}, "text"),
        ({"command": "jobDone", "jobID": "j", "exitCode": "0", "state": HOSTILE}, "state"),
        ({"command": "jobDone", "jobID": "j", "exitCode": "0", "agentHost": HOSTILE}, "agent_host"),
        ({"command": "getJob", "jdl": HOSTILE}, "jdl"),
    ],
)
def test_no_text_of_a_peer_gives_orders_to_a_terminal(info: m.Info, field: str) -> None:
    assert getattr(m.parse_info(info), field) == "?[2J?31m????"


def test_titles_do_not_either_and_lines_stay_where_they_are_expected() -> None:
    run = m.parse_info(run_job(title="a\r\nb\tc\x1b"))
    assert isinstance(run, m.RunJob)
    assert run.job.title == "a  b c?"
    want = m.parse_info({"command": "want_getJob", "jdl": "[\n\tA=1;\r\n]\n"})
    assert isinstance(want, m.WantGetJob)
    assert want.jdl == "[\n\tA=1; \n]\n"


@given(st.text(st.characters()), st.booleans())
def test_printable_text_is_as_long_has_no_control_and_stays_as_it_is(value: str, lines: bool) -> None:
    said = printable(value, lines=lines)
    allowed = "\t\n" if lines else ""
    assert not any(unicodedata.category(sign) in {"Cc", "Cs"} for sign in said if sign not in allowed)
    assert len(said) == len(value)
    assert printable(said, lines=lines) == said


@given(st.text())
def test_maps_never_fail_but_by_their_limits(text: str) -> None:
    try:
        found = parse_map(text)
    except ValueError:
        return
    assert parse_map(build_map(found)).keys() == found.keys()


@given(st.text())
def test_ids_and_paths_that_pass_are_safe(text: str) -> None:
    for check in (check_id, check_path):
        try:
            check(text)
        except ValueError:
            continue
        assert not text.startswith("/")
        assert ".." not in text.split("/")
        assert "\0" not in text


def test_names_that_no_file_system_takes_are_refused() -> None:
    check_path("é" * 127)
    with pytest.raises(ValueError, match="usable"):
        check_path("é" * 128)
    with pytest.raises(ValueError, match="longer than 1000 bytes"):
        check_path("/".join(["é" * 100] * 6))
