"""What both ends of a worker's pipe know. Apart, since all that a worker loads is time before its work begins."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

from client.appliance.errors import WorkerFailed
from client.errors import ClientError

#: how long a process has to put down what it holds when it is called off
GRACE_S: Final = 3.0


def error_from(said: Mapping[str, Any], kind: str = "work") -> ClientError:
    """The error that a worker told of, as the same class; WorkerFailed for one that is not known here."""
    code, told = said.get("code"), said.get("fields")
    known = next((one for one in _family(ClientError) if one.code == code), None)
    if known is not None and isinstance(told, dict) and set(told) == {one.name for one in fields(known)}:
        return known(**{name: tuple(value) if isinstance(value, list) else value for name, value in told.items()})
    return WorkerFailed(kind, str(said)[:500])


def error_to(error: ClientError) -> dict[str, Any]:
    """The error as JSON; `error_from` reads it."""
    return {"code": error.code, "fields": error.details()}


def _family(kind: type[ClientError]) -> Iterator[type[ClientError]]:
    for one in kind.__subclasses__():
        yield one
        yield from _family(one)
