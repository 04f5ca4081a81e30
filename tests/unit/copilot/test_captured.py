"""What the original wrote is understood, and what we write of it again says the same."""

from xml.etree import ElementTree

import pytest

from client.copilot.jdl import parse_jdl
from client.copilot.messages import GetJob, JobDone, Redirect, RunJob, WantGetJob, build_info, parse_info
from client.copilot.stanza import Kind, Received, build_ack, build_message, parse_message
from tests.unit.copilot.captured import elements

CAPTURES = ["plain-job.txt", "validation-redirect-error.txt", "resend.txt", "monitor.txt"]


def received(name: str) -> list[Received]:
    return [parse_message(element) for element in elements(name)]


def commands(name: str) -> list[object]:
    return [parse_info(found.info) for found in received(name) if found.kind is Kind.INFO]


@pytest.mark.parametrize("name", CAPTURES)
def test_every_stanza_is_understood(name: str) -> None:
    found = received(name)
    assert len(found) >= 30
    assert not [one for one in found if one.kind is Kind.INFO and "command" not in one.info]
    assert {one.kind for one in found} <= {Kind.INFO, Kind.ACK, Kind.BOUNCE, Kind.NOTHING}
    assert sum(one.kind is Kind.INFO for one in found) >= 10


@pytest.mark.parametrize("name", CAPTURES)
def test_what_we_write_of_it_is_read_as_the_same(name: str) -> None:
    for found in received(name):
        if found.kind is Kind.INFO:
            text = build_message(found.message_id, found.sender, found.recipient, found.info, noack=found.noack)
        elif found.kind is Kind.ACK:
            text = build_ack(found.message_id, found.sender, found.recipient)
        else:
            continue
        assert parse_message(ElementTree.fromstring(text)) == found


def test_values_are_written_byte_for_byte_as_the_original_writes_them() -> None:
    sent = next(element for element in elements("plain-job.txt") if element.find("body") is not None)
    (info,) = list(sent.find("body") or [])
    ours = build_message("i", "a", "b", parse_message(sent).info)
    for name, value in info.attrib.items():
        # The parser has made blanks of the line feeds on both sides.
        (rebuilt,) = list(ElementTree.fromstring(ours).find("body") or [])
        assert rebuilt.attrib[name] == value


def test_a_whole_job() -> None:
    kinds = [type(found).__name__ for found in commands("plain-job.txt")]
    once = [name for n, name in enumerate(kinds) if n == 0 or kinds[n - 1] != name]
    assert once[:9] == [
        "WantGetJob",
        "HaveGetJob",
        "GetJob",
        "RunJob",
        "WantGetJobOutputDir",
        "HaveGetJobOutputDir",
        "GetJobOutputDir",
        "StoreJobOutputDir",
        "JobDone",
    ]


def test_the_fields_of_a_job() -> None:
    run = next(found for found in commands("plain-job.txt") if isinstance(found, RunJob))
    assert run.job.chirp_url == "127.0.0.1:19094"
    assert (run.job.input_files, run.job.command) == (("hello.sh",), "hello.sh")
    assert run.job.input_dir == run.job.id == "f5ee5739-63be-4cc9-a048-807438c91244"
    assert (run.job_data, run.lease_s, run.lease_id) == ({"startedAt": "1795187548"}, None, "")
    done = next(found for found in commands("plain-job.txt") if isinstance(found, JobDone))
    assert (done.exit_code, done.state, done.validate_exit_code) == (256, "ready", None)


def test_what_it_says_of_its_computer() -> None:
    want = next(found for found in commands("plain-job.txt") if isinstance(found, WantGetJob))
    about = parse_jdl(want.jdl)
    assert (about["WNHost"], about["Memory"], about["Platform"]) == ("vm", "24105", "Linux-x86_64")


def test_validation_packages_and_two_files() -> None:
    run = next(found for found in commands("validation-redirect-error.txt") if isinstance(found, RunJob))
    assert run.job.validation_script == "check.sh"
    assert run.job.input_files == ("run.sh", "check.sh")
    assert run.job.arguments == "a 'b c' $FOO"
    assert run.job.environment == "export FOO=foo1\nexport BAR='bar 2'"
    assert run.job_data == {"startedAt": "123", "k": "a::::b"}
    done = [found for found in commands("validation-redirect-error.txt") if isinstance(found, JobDone)]
    assert ("jobx", 768, 1792) in [(found.job_id, found.exit_code, found.validate_exit_code) for found in done]


def test_redirects_keep_nested_maps() -> None:
    redirects = [found for found in commands("validation-redirect-error.txt") if isinstance(found, Redirect)]
    nested = next(found for found in redirects if found.referral == "probe@localhost/jm1")
    assert nested.info == {
        "jobID": "77",
        "command": "getJobOutputDir",
        "agentHost": "h",
        "adapter": {"WORKDIR": "/w"},
    }
    assert parse_info(build_info(nested)) == nested


def test_a_damaged_stanza_sent_again_says_the_same_as_the_first() -> None:
    wants = [found for found in received("resend.txt") if found.kind is Kind.INFO]
    by_id = [found for found in wants if found.message_id == "b4d99918-41f1-4d96-b902-3bea54f389c7"]
    assert len(by_id) >= 3
    whole, *copies = by_id
    for copy in copies:
        assert copy.info.keys() == whole.info.keys()
        first, again = parse_info(whole.info), parse_info(copy.info)
        assert isinstance(first, WantGetJob | GetJob)
        assert isinstance(again, WantGetJob | GetJob)
        assert parse_jdl(again.jdl) == parse_jdl(first.jdl)
