import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.copilot.messages import JobDescription
from client.copilot.queue.original import build_original, parse_original
from client.errors import BadInput

#: As copilot-job-submit wrote it.
REAL = "127.0.0.1:19094::::f5ee5739-0000-4000-8000-000000000001::::###hello.sh::::hello.sh::::::::::::::::"
REAL_JOB = JobDescription(
    id="one",
    chirp_url="127.0.0.1:19094",
    input_dir="f5ee5739-0000-4000-8000-000000000001",
    input_files=("hello.sh",),
    command="hello.sh",
)


def test_the_originals_bytes_are_read_and_written() -> None:
    new, wrong = parse_original("one", REAL)
    assert (new.description, wrong) == (REAL_JOB, "")
    assert build_original(REAL_JOB) == REAL


def test_empty_fields_at_the_end_may_be_missing() -> None:
    new, wrong = parse_original("one", "c:1::::dir::::::::run.sh")
    assert (new.description.command, new.description.input_files, wrong) == ("run.sh", (), "")


@pytest.mark.parametrize(
    ("job_id", "said", "reason"),
    [
        ("one", None, "it has no description: there is no text job:one:description"),
        ("one", "", "its description cannot be used: command is empty"),
        ("one", "c::::d::::###../../etc/passwd::::run.sh", "inputFiles is not a path below the root"),
        ("one", "c::::d::::f::::run\0.sh", "command holds a NUL"),
        ("../one", REAL, "'../one', which is not an id"),
        ("; rm -rf /\x1b[2J", REAL, r"'; rm -rf /\x1b[2J', which is not an id"),
        ("x" * 500, REAL, "xxx', which is not an id"),
    ],
)
def test_what_cannot_be_done_tells_why(job_id: str, said: str | None, reason: str) -> None:
    new, wrong = parse_original(job_id, said)
    assert reason in wrong
    assert len(wrong) < 300
    assert (new.description.command, len(new.description.id) < 129) == ("", True)


TEXT = st.text(alphabet=st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=20)


@given(arguments=TEXT, environment=TEXT, packages=TEXT)
def test_what_is_written_is_read_the_same(arguments: str, environment: str, packages: str) -> None:
    job = JobDescription(id="one", command="run.sh", arguments=arguments, environment=environment, packages=packages)
    try:
        written = build_original(job)
    except BadInput:
        assert ":" in arguments + environment + packages
        return
    assert parse_original("one", written)[0].description == job


@given(st.text(max_size=300), st.none() | st.text(max_size=300))
def test_no_text_breaks_the_reading(job_id: str, said: str | None) -> None:
    new, wrong = parse_original(job_id, said)
    assert wrong or new.description.command


@pytest.mark.parametrize(
    "job",
    [
        JobDescription(id="one", command="run.sh", arguments="a::::b"),
        JobDescription(id="one", command="run.sh", arguments="a:"),
        JobDescription(id="one", command="run.sh", input_files=("a###b",)),
        JobDescription(id="one"),
    ],
)
def test_what_the_layout_cannot_hold_is_refused(job: JobDescription) -> None:
    with pytest.raises(BadInput):
        build_original(job)
