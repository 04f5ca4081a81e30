"""docs/policy.md says what the rules are; preferences' keys in it and in the rules exist."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from client.host.sample import Sample
from client.preferences.spec import BY_KEY
from client.throttle.policy import RULES
from client.throttle.rule import Rule
from client.throttle.rules import GUESTS
from client.throttle.rules_transfer import TRANSFERS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "policy.md"


def table(rules: Sequence[Rule]) -> str:
    """It as the page has it: to be pasted there when this test says that it differs."""
    lines = ["| reason | forbids while | preference | stops after | goes on after |", "|---|---|---|---|---|"]
    for rule in rules:
        over, under = (f"{seconds:g} s" if seconds else "at once" for seconds in (rule.over_s, rule.under_s))
        key = f"`{rule.preference}`" if rule.preference else ""
        lines.append(f"| `{rule.name}` | {rule.told} | {key} | {over} | {under} |")
    return "\n".join(lines) + "\n"


def test_the_page_has_the_rules_as_they_are() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert table(GUESTS) in page, table(GUESTS)
    assert table(TRANSFERS) in page, table(TRANSFERS)


def test_preferences_behind_rules_exist() -> None:
    assert {rule.preference for rule in RULES} - {""} <= set(BY_KEY)


def test_the_page_names_what_a_recording_may_hold() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [field.name for field in fields(Sample) if f"`{field.name}`" not in page] == []
