"""The policy's decision in words for `main.py explain`: out of a snapshot, or as just decided."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from client.snapshot import PolicyView, Reason, RuleView

_RUNGS: Final = {
    "hold": "Virtual machines are held in memory.",
    "save": "Virtual machines are saved to disk, and leave their memory to others.",
    "off": "Virtual machines are off.",
}


def explain_lines(policy: PolicyView, now: datetime) -> list[str]:
    """A few lines for a person.

    Args:
        now: aware, on the local wall clock: times are told on it.
    """
    return [*_guests(policy), *_network(policy), *_next(policy, now)]


def policy_of(said: Mapping[str, Any]) -> PolicyView:
    """The part `policy` of a snapshot, out of its JSON; what a later version adds is left out."""
    known = {name: said[name] for name in PolicyView.__dataclass_fields__ if name in said}
    known["reason"] = _reason(said.get("reason"))
    known["transfers_reason"] = _reason(said.get("transfers_reason"))
    known["changes_at"] = _time(said.get("changes_at"))
    for name in ("rules", "transfer_rules"):
        known[name] = tuple(_rule(rule) for rule in said.get(name, ()))
    return PolicyView(**known)


def _guests(policy: PolicyView) -> Iterator[str]:
    if policy.rung == "run":
        used = "" if policy.used_percent is None else f" They use {policy.used_percent:.0f} %."
        means = f" Kept by: {policy.means}." if policy.means else ""
        side = "one processor" if policy.cpus == 1 else f"{policy.cpus} processors side by side"
        room = f"on {side}, with {policy.memory_mib} MiB of memory"
        yield f"Virtual machines may run: {policy.cpu_percent} % of one processor, {room}.{used}{means}"
        if policy.pace:
            yield f"  {policy.pace}"
        return
    yield _RUNGS.get(policy.rung, f"Virtual machines: {policy.rung}.")
    yield from _against(policy.rules, policy.reason)


def _network(policy: PolicyView) -> Iterator[str]:
    if policy.transfers:
        yield "Transfers over the network may go on."
        return
    yield "Nothing goes over the network."
    yield from _against(policy.transfer_rules, policy.transfers_reason)


def _against(rules: tuple[RuleView, ...], reason: Reason | None) -> Iterator[str]:
    """What forbids; of a program that does not tell its rules only the reason."""
    forbids = [rule for rule in rules if rule.forbids]
    for rule in forbids:
        yield f"  {rule.text}{f'  [{rule.preference}]' if rule.preference else ''}"
    if reason and not forbids:
        yield f"  {reason.text}"


def _next(policy: PolicyView, now: datetime) -> Iterator[str]:
    if policy.changes_at is None:
        yield "This changes only when something happens."
        return
    then = policy.changes_at.astimezone(now.tzinfo)
    day = "" if then.date() == now.date() else f"{then:%a %d %b} "
    yield f"If nothing happens, this does not change before {day}{then:%H:%M:%S}."


def _rule(said: Mapping[str, Any]) -> RuleView:
    known = {name: said[name] for name in RuleView.__dataclass_fields__ if name in said}
    return RuleView(**{**known, "until": _time(said.get("until"))})


def _reason(said: Mapping[str, Any] | None) -> Reason | None:
    return Reason(said["code"], said["text"], _time(said.get("until"))) if said else None


def _time(said: str | None) -> datetime | None:
    return datetime.fromisoformat(said) if said else None
