import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.copilot.errors import BadRequirements
from client.copilot.jdl import build_jdl, parse_jdl
from client.copilot.requirements import MAX_CHARS, MAX_DEPTH, parse_requirements, split_clauses

HOST = parse_jdl(build_jdl({"Memory": 2048, "Platform": "Linux-x86_64", "Uname": "6.1.0", "Half": "0.5", "Free": 500}))


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("", True),
        (" \n", True),
        ("other.Memory >= 2000", True),
        ("Memory>2048", False),
        ('other.Memory >= 2000 && other.Platform == "Linux-x86_64"', True),
        ('Platform == "Darwin" || Memory == 2048', True),
        ('Platform != "Linux-x86_64"', False),
        ("Memory >= 1000 || Memory >= 1 && Memory < 0", True),
        ("(Memory >= 1000 || Memory >= 1) && Memory < 0", False),
        ("!(Memory < 1000) && !!(Memory > 1)", True),
        ("1000 < Memory", True),
        ("Free < Memory", True),
        ("Half < 1", True),
        ("Half == 0.50", True),
        ('Half == "0.50"', False),
        ('Uname > "6"', True),
        ("-1 < Memory", True),
        ("Missing == 1", False),
        ("Missing != 1", False),
        ("!(Missing == 1)", True),
        ("Missing == Missing", False),
        ("Platform > 5", False),
        ("Platform != 5", False),
        ('"a" < "b"', True),
        ('"1" == 1', False),
    ],
)
def test_a_requirement_is_met_or_not(text: str, met: bool) -> None:
    assert parse_requirements(text).met_by(HOST) is met


def test_texts_that_differ_in_blanks_are_the_same_requirement() -> None:
    one, other = (
        parse_requirements(' other.Memory>=2000&&!(Name=="a b") '),
        parse_requirements('Memory >= 2000 && ! ( Name == "a b" )'),
    )
    assert one == other
    assert parse_requirements(one.text) == one
    assert one.names == {"Memory", "Name"}


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("Memory", 6, "the end is not expected here; a comparison is"),
        ("Memory >= ", 10, "the end is not expected here; an attribute"),
        ("(Memory > 1", 11, "a bracket is not closed"),
        ("Memory > 1)", 10, ") is not expected here"),
        ("Memory > 1 Memory > 1", 11, "Memory is not expected here"),
        ("Memory = 1", 7, "this cannot be read"),
        ('Name == "open', 8, "this cannot be read"),
        ("Memory > 2GB", 9, "this cannot be read"),
        ("other.other.Memory > 1", 0, "this cannot be read"),
        ("Memory > 1; reboot", 10, "this cannot be read"),
        ("Mémoire > 1", 1, "this cannot be read"),
        ("(" * (MAX_DEPTH + 1), MAX_DEPTH + 1, "the end is nested more than"),
        ("!" * 500 + "Memory > 1", MAX_DEPTH + 1, "! is nested more than"),
        ("Memory > 1" + " " * MAX_CHARS, MAX_CHARS, "longer than"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_place(text: str, position: int, said: str) -> None:
    with pytest.raises(BadRequirements, match=re.escape(said)) as caught:
        parse_requirements(text)
    assert abs(caught.value.position - position) <= 1


PIECES = st.sampled_from(
    [
        "Memory",
        "other.",
        "==",
        "!=",
        "<",
        ">=",
        "&&",
        "||",
        "!",
        "(",
        ")",
        "1",
        "-2.5",
        '"x"',
        " ",
        "Name",
        '"',
        ";",
        "é",
        "\0",
    ]
)


@given(st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=200))
def test_any_text_is_read_or_refused_and_what_is_read_can_be_read_again(text: str) -> None:
    try:
        found = parse_requirements(text)
    except BadRequirements as bad:
        assert 0 <= bad.position <= MAX_CHARS
        return
    assert parse_requirements(found.text) == found
    assert found.met_by(HOST) == parse_requirements(found.text).met_by(HOST)


@given(st.dictionaries(st.sampled_from(["Memory", "Name", "Size"]), st.text(max_size=20)))
def test_whatever_an_agent_says_of_itself_can_be_tried(host: dict[str, str]) -> None:
    asked = parse_requirements('Memory >= 2000 || Name < Size || !(Size == "1") || Memory == Name')
    assert asked.met_by(host) in (True, False)


VALUES = {"a": 1, "b": 2, "c": 3}
COMPARISONS = st.builds(
    lambda name, sign, value: (f"{name} {sign} {value}", f"{VALUES[name]} {sign} {value}"),
    st.sampled_from(sorted(VALUES)),
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    st.integers(0, 4),
)
EXPRESSIONS = st.recursive(
    COMPARISONS,
    lambda inner: (
        st.builds(lambda x, y: (f"{x[0]} && {y[0]}", f"{x[1]} and {y[1]}"), inner, inner)
        | st.builds(lambda x, y: (f"({x[0]} || {y[0]})", f"({x[1]} or {y[1]})"), inner, inner)
        | st.builds(lambda x: (f"!({x[0]})", f"(not ({x[1]}))"), inner)
    ),
    max_leaves=8,
)


@given(EXPRESSIONS)
def test_it_means_what_python_means(pair: tuple[str, str]) -> None:
    text, python = pair
    host = {name: str(value) for name, value in VALUES.items()}
    assert parse_requirements(text).met_by(host) is eval(python)


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("", ()),
        ("a == 1", ("a == 1",)),
        ("a == 1 && b<2&&!(c > 3 && d == 4)", ("a == 1", "b < 2", "! ( c > 3 && d == 4 )")),
        ("(a == 1 && (b == 2)) && ((c == 3))", ("a == 1", "b == 2", "c == 3")),
        ("a == 1 && b == 2 || c == 3", ("a == 1 && b == 2 || c == 3",)),
        ("(a == 1 || b == 2) && c == 3", ("a == 1 || b == 2", "c == 3")),
        ("(a == 1) || (b == 2)", ("( a == 1 ) || ( b == 2 )",)),
        ('a == "x && (y" && b == 2', ('a == "x && (y"', "b == 2")),
    ],
)
def test_the_parts_that_must_all_be_met(text: str, clauses: tuple[str, ...]) -> None:
    assert split_clauses(text) == clauses


@given(EXPRESSIONS)
def test_all_parts_together_are_the_whole(pair: tuple[str, str]) -> None:
    host = {name: str(value) for name, value in VALUES.items()}
    parts = [parse_requirements(clause) for clause in split_clauses(pair[0])]
    assert all(part.met_by(host) for part in parts) is parse_requirements(pair[0]).met_by(host)
