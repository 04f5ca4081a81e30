"""What does not fit on a command line is told in one sentence, with what to do."""

import pytest

from client.command_line import Parser, span_s
from client.errors import BadInput
from client.messages import sentence


def parser() -> Parser:
    made = Parser(prog="main.py thing")
    words = made.add_subparsers(dest="word", metavar="WORD", required=True)
    show = words.add_parser("show")
    show.add_argument("name")
    show.add_argument("size")
    show.add_argument("--number", type=int)
    show.add_argument("--wait", type=span_s)
    show.add_argument("--form", choices=("light", "dark"))
    words.add_parser("remove")
    return made


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("shwo", "main.py thing: there is no 'shwo'. What to do: did you mean show?"),
        ("zzz", "main.py thing: there is no 'zzz'. What to do: choose one of show, remove."),
        ("", "main.py thing: WORD is missing. What to do: main.py thing --help tells what it takes."),
        ("show", "main.py thing show: name and size are missing."),
        ("show a b --number x", "main.py thing show: 'x' is no whole number. What to do: give one for --number."),
        ("show a b --wait nan", "--wait: 'nan' is no number of seconds from 0 on."),
        ("show a b --wait=-1", "--wait: '-1' is no number of seconds from 0 on."),
        ("show a b --wait soon", "--wait: 'soon' is no number of seconds from 0 on."),
        ("show a b --form blue", "there is no 'blue'. What to do: choose one of light, dark."),
        ("show a b --form", "--form has no value. What to do: write it behind; one that begins with - as --form=VAL"),
        ("remove it", "main.py thing: 'it' is not understood."),
    ],
)
def test_what_is_wrong_is_said(line: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        parser().parse_args(line.split())
    told = sentence(caught.value)
    assert said in f"{told.text} {told.doing}"
