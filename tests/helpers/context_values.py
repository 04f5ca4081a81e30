"""Templates and hostile values for the tests of contextualization."""

from collections.abc import Mapping

from hypothesis import strategies as st

from client.appliance.contextual.guest import fill
from client.appliance.contextual.language import Guest, Value
from client.appliance.contextual.template import parse_template
from client.appliance.contextual.values import check_values

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGNldGvYbnUiJAaUjN5C2Ba4T9xkIKeUTr6dkN3hvmGA me@home"
#: pieces of text by which something has broken out somewhere before
WICKED = (
    *(
        ";",
        "'",
        '"',
        "`",
        "$",
        "$(id)",
        "`id`",
        "\\",
        "\\'",
        "\n",
        "\r",
        "\r\n",
        "\0",
        "\t",
        " ",
        "|",
        "&",
        "&&",
        ">",
        "<",
    ),
    *(
        "[ucernvm-end]",
        "[ucernvm-begin]",
        "[cernvm]",
        "\n[amiconfig]\nplugins=x",
        "\nexit 0\n",
        "exit",
        "#",
        " ;",
        " #",
    ),
    *("--context-part", "--context-part--", "#cloud-config", "#!/bin/sh", "## template: jinja", "{{ 1 }}", "{% if %}"),
    *(
        "yes",
        "off",
        "null",
        "~",
        "<<",
        "*a",
        "&a",
        "!!python/object",
        "---",
        "...",
        "%",
        "%(x)s",
        "${a}",
        "$${a}",
        "}",
        "{",
    ),
    *(
        "CONTEXT-END",
        "EOF",
        "\u2028",
        "\u0085",
        "\ufeff",
        "\x7f",
        "\x1b[2J",
        "é",
        "\U0001f600",
        "\ud800",
        "0x1f",
        "1e5",
        "=",
        ":",
    ),
)
hostile = st.lists(st.one_of(st.sampled_from(WICKED), st.text(max_size=6)), max_size=6).map("".join)
#: what is left of it on one line
lines = hostile.map(lambda text: "".join(sign for sign in text if sign.isprintable() or sign == " "))


def guest_of(body: str, values: Mapping[str, Value] | None = None, system: str = "cloud-init") -> Guest:
    """What a template gives; `a` and `b` are texts, `s` is a secret, `t` a script, if the body speaks of them."""
    kinds = {"a": "text", "b": "text", "s": "secret", "t": "script", "n": "number", "w": "switch", "k": "ssh key"}
    used = [name for name in kinds if f"${{{name}}}" in body or f"${name} " in body]
    fields = "".join(f'[field.{name}]\nkind = "{kinds[name]}"\nlabel = "{name}"\n' for name in used)
    text = f'[template]\nname = "test"\nsystem = "{system}"\n{fields}{body}'
    template = parse_template(text.encode(), "test.toml")
    return fill(template, check_values(template, values or {}), b"k" * 32)
