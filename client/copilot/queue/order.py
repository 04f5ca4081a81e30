"""What must be right of a job before any queue takes it."""

from typing import Final

from client.copilot.queue.errors import BadOrder
from client.copilot.queue.queue import NewJob, Replication
from client.copilot.requirements import parse_requirements

#: Copies of one job; each costs a row and a folder.
MAX_COPIES: Final = 100
#: Units add a point and a number to their job's id, which agents take up to 128 characters long.
MAX_REPLICATED_ID: Final = 120
_ONCE: Final = Replication()


def check_order(new: NewJob) -> None:
    """See that a job can be taken.

    Raises:
        BadRequirements, BadOrder: it cannot.
    """
    parse_requirements(new.requirements)
    wrong = _why_wrong(new)
    if wrong:
        raise BadOrder(new.description.id, wrong)


def _why_wrong(new: NewJob) -> str:
    said = new.replication
    if new.max_attempts is not None and new.max_attempts < 1:
        return "it must be tried once at least"
    if not new.output and new.validator:
        return "without output there is nothing to validate"
    if said == _ONCE:
        return ""
    if not 1 <= said.quorum <= said.copies <= MAX_COPIES:
        return f"copies ({said.copies}) and quorum ({said.quorum}) must be 1 <= quorum <= copies <= {MAX_COPIES}"
    if said.quorum > 1 and len(new.description.id) > MAX_REPLICATED_ID:
        return f"the id of a replicated job must have at most {MAX_REPLICATED_ID} characters"
    return ""
