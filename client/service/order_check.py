"""Whether orders of jobs can be used, before anything is written."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from client.copilot.fields import check_path
from client.copilot.managers.compare import COMPARERS
from client.copilot.managers.validate import VALIDATORS
from client.copilot.messages import JobDescription
from client.copilot.queue.queue import Terms
from client.copilot.requirements import parse_requirements
from client.errors import BadInput

if TYPE_CHECKING:
    from client.service.operator import JobOrder

MAX_JOBS: Final = 100_000
#: Names that agents put into shell text as they are.
_PLAIN: Final = re.compile(r"[A-Za-z0-9._+,@%/-]+", re.ASCII)
#: What differs from order to order of an array.
_TEXTS: Final = ("arguments", "environment", "title")
#: and what does not
_MORE_TEXTS: Final = {"packages": "packages", "pilot_service": "service of the token"}
_CODECS: Final[dict[str, Any]] = {spec.name: spec.metadata["wire"].codec for spec in fields(JobDescription)}


def check_orders(orders: Sequence["JobOrder"]) -> None:
    """Check all; what many have in common is looked at once.

    Raises:
        BadInput: one cannot be used; it says everything that is wrong with the first such.
        BadRequirements: its requirements cannot be read.
    """
    seen: set[tuple[object, ...]] = set()
    for order in orders:
        wrong = list(_texts(order))
        frame = _frame(order)
        if frame not in seen:
            seen.add(frame)
            wrong += [*_files(order), *_figures(order), *_result(order)]
            parse_requirements(order.requirements)
        if wrong:
            raise BadInput("the order", "; ".join(wrong), "correct it and submit again")


def _frame(order: "JobOrder") -> tuple[object, ...]:
    figures = (order.number, order.priority, order.time_limit_s, order.max_attempts, order.replication, order.output)
    names = (
        order.command,
        order.packages,
        order.validator,
        order.validation_script,
        order.requirements,
        order.pilot_service,
    )
    return (*order.input_files, None, *names, *figures)


def _texts(order: "JobOrder") -> Iterator[str]:
    for name in _TEXTS:
        try:
            _CODECS[name].parse(getattr(order, name))
        except ValueError as error:
            yield f"the {name} {error}"


def _files(order: "JobOrder") -> Iterator[str]:
    names = [path.name for path in order.input_files]
    yield from (f"{path} is not a file" for path in order.input_files if not path.is_file())
    if len(set(names)) != len(names):
        yield "two input files have the same name"
    for name in filter(None, [*names, order.command, order.validation_script]):
        try:
            check_path(name)
        except ValueError as error:
            yield f"{name!r} {error}"
        if "###" in name:
            yield f"{name!r} holds ###, which separates names"
    if order.validation_script and order.validation_script not in names:
        yield f"the validation script {order.validation_script} is not among the input files"
    for name in filter(None, (order.command, order.validation_script)):
        if not _PLAIN.fullmatch(name):
            yield f"{name!r} holds a character that shells take for something else; give the file another name"


def _figures(order: "JobOrder") -> Iterator[str]:
    most = Terms().max_copies
    if not 1 <= order.number <= MAX_JOBS:
        yield f"the number of jobs must be from 1 to {MAX_JOBS}"
    if order.time_limit_s is not None and order.time_limit_s < 1:
        yield "the time limit must be at least 1 s"
    if order.max_attempts is not None and order.max_attempts < 1:
        yield "there must be at least 1 attempt"
    if not 1 <= order.replication.quorum <= order.replication.copies <= most:
        yield f"copies must be from 1 to {most}, and the quorum from 1 to their number"
    if abs(order.priority) >= 2**53:
        yield "the priority is too large"


def _result(order: "JobOrder") -> Iterator[str]:
    if order.validator and order.validator not in VALIDATORS:
        yield f"there is no validator {order.validator}; there are: {', '.join(VALIDATORS)}"
    if order.replication.compare not in COMPARERS:
        names = ", ".join(filter(None, COMPARERS))
        yield f"there is no comparison {order.replication.compare}; there are: {names}"
    if not order.output and order.validator:
        yield "a job without output has nothing to be validated"
    for name, told in _MORE_TEXTS.items():
        try:
            _CODECS[name].parse(getattr(order, name))
        except ValueError as error:
            yield f"the {told} {error}"
