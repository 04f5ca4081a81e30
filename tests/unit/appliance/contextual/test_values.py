import pytest
from hypothesis import given

from client.appliance.contextual.language import Field, Kind, System, Template, Value
from client.appliance.contextual.values import Values, check_values, masked, take
from client.appliance.errors import BadContextValues
from tests.helpers.context_values import KEY, hostile


def field(kind: Kind, **more: object) -> Field:
    usual = {"default": None, "choices": (), "minimum": 0, "maximum": 200, "label": "Label", "help": ""}
    return Field(name="a", kind=kind, **{**usual, **more})  # type: ignore[arg-type]


def template(*fields: Field) -> Template:
    return Template("T", "", System.CLOUD_INIT, fields, {}, {})


@pytest.mark.parametrize(
    ("kind", "given", "held"),
    [
        (Kind.TEXT, "Grüße", "Grüße"),
        (Kind.NUMBER, " -7 ", -7),
        (Kind.NUMBER, 8, 8),
        (Kind.SWITCH, "Yes", True),
        (Kind.SWITCH, "off", False),
        (Kind.SWITCH, True, True),
        (Kind.SSH_KEY, f" {KEY}\n", KEY),
        (Kind.SCRIPT, "a\r\nb", "a\nb"),
        (Kind.SECRET, "pass word;", "pass word;"),
    ],
)
def test_what_a_kind_takes(kind: Kind, given: Value, held: Value) -> None:
    assert take(field(kind, minimum=-10 if kind is Kind.NUMBER else 0), given) == (held, "")


@pytest.mark.parametrize(
    ("kind", "given", "word"),
    [
        (Kind.TEXT, "", "must be filled in"),
        (Kind.TEXT, "a\nb", "a line end"),
        (Kind.TEXT, "a\rb", "carriage return"),
        (Kind.TEXT, "a\0b", "a NUL"),
        (Kind.TEXT, "a\u2028b", "U+2028"),
        (Kind.TEXT, "a\ud800b", "U+D800"),
        (Kind.TEXT, "x" * 201, "at most 200"),
        (Kind.TEXT, 5, "must be text"),
        (Kind.NUMBER, "5.5", "whole number from 0 to 200"),
        (Kind.NUMBER, "٣", "whole number"),
        (Kind.NUMBER, True, "whole number"),
        (Kind.NUMBER, "9" * 30, "whole number"),
        (Kind.SWITCH, "maybe", "on or off"),
        (Kind.SSH_KEY, "-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        (Kind.SSH_KEY, "ssh-dss AAAA", "kind of a public ssh key"),
        (Kind.SSH_KEY, KEY[:40], "copy the line again"),
        (Kind.SSH_KEY, f"{KEY}\nssh-rsa x", "a line end"),
        (Kind.SSH_KEY, f"{KEY} é", "a to z"),
        (Kind.SSH_KEY, KEY.replace("ssh-ed25519", "ssh-rsa", 1), "whole public"),
        (Kind.SCRIPT, "a\0b", "a NUL"),
        (Kind.SCRIPT, "a\x1bb", "an escape"),
    ],
)
def test_what_a_kind_refuses(kind: Kind, given: Value, word: str) -> None:
    assert word in take(field(kind), given)[1]


def test_a_choice_takes_its_choices_only() -> None:
    choice = field(Kind.CHOICE, choices=("a", "b"))
    assert take(choice, "b") == ("b", "")
    assert "a, b" in take(choice, "c")[1]


def test_defaults_and_what_is_missing() -> None:
    assert take(field(Kind.TEXT), None)[1] == "must be filled in"
    assert take(field(Kind.TEXT, default="x"), None) == ("x", "")
    assert take(field(Kind.SSH_KEY, default=""), "") == ("", "")


def test_all_faults_are_said_at_once_and_unknown_fields_with_the_nearest() -> None:
    with pytest.raises(BadContextValues) as caught:
        check_values(template(field(Kind.TEXT)), {"aa": "x", "b": "y"})
    assert len(caught.value.faults) == 3
    assert 'did you mean "a"?' in caught.value.what


@given(hostile)
def test_a_refused_secret_is_in_no_error_and_no_repr(secret: str) -> None:
    marked = f"PRECIOUS{secret}\0"
    with pytest.raises(BadContextValues) as caught:
        check_values(template(field(Kind.SECRET)), {"a": marked})
    assert "PRECIOUS" not in str(caught.value) + repr(caught.value)


def test_secrets_are_not_shown() -> None:
    one = template(field(Kind.SECRET))
    values = check_values(one, {"a": "PRECIOUS"})
    assert "PRECIOUS" not in repr(values)
    assert masked(one, values).held == {"a": "not-shown"}
    assert masked(one, Values({"a": ""})).held == {"a": ""}
