"""Values in shell text stay values, whatever they hold; the judge is a real shell."""

import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from client.service.shell_template import BadTemplate, ShellTemplate, export, words_in_braces

SIGNS = st.sampled_from("'\"\\$`;|&<>(){}[]*?~!# \n\t=-0aA")
VALUES = st.text(st.one_of(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), SIGNS), max_size=12)
#: template -> the words that a shell must make of it, around a value
CASES = {
    "{x}": "{x}",
    "a{x}b": "a{x}b",
    "'{x}'": "{x}",
    '"{x}"': "{x}",
    '"a\'{x}"': "a'{x}",
    "${H}{x}": "h{x}",
    '"${H}/{x}"': "h/{x}",
    "\\\\{x}": "\\{x}",
    "a\\'{x}": "a'{x}",
    "--k={x}": "--k={x}",
    "x#{x}": "x#{x}",
    "'$('{x}": "$({x}",
    "'{x}'{x}\"{x}\"": "{x}{x}{x}",
}


def words_of(script: str) -> list[str]:
    """What a shell passes on, each word ended with NUL."""
    done = subprocess.run(["/bin/sh"], input=f"H=h\n{script}\n".encode(), capture_output=True, check=False, timeout=20)
    assert done.stderr == b""
    return done.stdout.decode().split("\0")[:-1]


@settings(max_examples=25)
@example(["\r", "-n", "%s", "'; echo $HOME #", "$(id)", "`id`", "\\", "1", ""])
@given(st.lists(VALUES, min_size=1, max_size=20))
def test_a_value_never_becomes_shell(values: list[str]) -> None:
    lines, expected = [], []
    for value in values:
        for template, words in CASES.items():
            lines.append(f"printf '%s\\0' {ShellTemplate(template, {'x'}).fill({'x': value})}")
            expected.append(words.replace("{x}", value))
    assert words_of("\n".join(lines)) == expected


@settings(max_examples=25)
@given(st.lists(VALUES, min_size=1, max_size=20))
def test_a_variable_has_the_value_that_was_given(values: list[str]) -> None:
    lines = [f"{export('V', value)}\nprintf '%s\\0' \"$V\"" for value in values]
    assert words_of("\n".join(lines)) == values


HOSTILE = ("touch PWN", "$(touch PWN)", "`touch PWN`", "\ntouch PWN\n", ";touch PWN;", "&touch PWN&", "|touch PWN|")
ESCAPES = ("", "'", '"', "\\", "')", "}", ")", "\n", "\\'", "'\"'")


@settings(max_examples=100)
@given(
    st.text(st.sampled_from("'\"\\$`;#<>(){}| \nax"), max_size=12), st.sampled_from(ESCAPES), st.sampled_from(HOSTILE)
)
def test_around_any_text_a_value_is_refused_or_does_nothing(
    tmp_path_factory: pytest.TempPathFactory, text: str, escape: str, hostile: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    value = f"{escape}{hostile}{escape}"
    try:
        script = ShellTemplate(f": {text}{{x}}", {"x"}).fill({"x": value})
    except BadTemplate as refused:
        assert refused.position > 0
        return
    subprocess.run(["/bin/sh", "-c", script], cwd=folder, capture_output=True, check=False, timeout=20)
    assert not (folder / "PWN").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("$(run {x})", r"\$\("),
        ("`run {x}`", "backquote"),
        ("${A:-{x}}", r"\$\{"),
        ("$((1 + {x}))", r"\$\("),
        ("cat <<END\n{x}\nEND", "<<"),
        ("run # {x}", "comment"),
        ("# {x}", "comment"),
        ("\\{x}", "backslash"),
        ('"\\{x}"', "backslash"),
        ("$'{x}'", r"\$'"),
        ('"$A{x}"', "variable's name"),
        ('"$(echo {x})"', r"\$\("),
    ],
)
def test_a_place_where_no_value_is_safe_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadTemplate, match=said) as refused:
        ShellTemplate(text, {"x"})
    assert refused.value.position == text.index("{x}") + 1


def test_numbers_stand_without_quotes_where_they_are_words() -> None:
    assert ShellTemplate("a {x} b {x}", {"x"}).fill({"x": "1.5"}) == "a 1.5 b 1.5"
    assert ShellTemplate("{x}>file", {"x"}).fill({"x": "2"}) == "'2'>file"


def test_braces_that_are_no_places_stay() -> None:
    text = "awk '{print $1}' ${x} {a,b} {y} {{x}}"
    assert ShellTemplate(text, {"x"}).fill({"x": "1"}) == "awk '{print $1}' ${x} {a,b} {y} {x}"
    assert words_in_braces("${a} {b} {{c}} {d-e}") == ["b", "d-e"]


def test_raw_values_are_written_as_they_are() -> None:
    assert ShellTemplate("$(run {x})", {"x"}, raw=True).fill({"x": "a b"}) == "$(run a b)"
