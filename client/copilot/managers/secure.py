"""The original's secure mode at a manager: section [secure] of its configuration. Off unless `key` is given.

    key = "FILE"            the manager's RSA key in PEM
    tickets_of = "FILE"     public key of the key manager whose tickets agents must have; none: they need none
    gives_tickets = true    answers getTicket itself, with tickets signed by `key`
    credential = "WORD"     what askers for tickets must say; none: anything will do
    validity_s = 86400      of tickets
    rsa_per_s = 20          messages of one account that are decrypted in a second
    only = true             nothing that was not encrypted is taken: shuts our own agents out

What does the cryptography is loaded only when it was asked for.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from client.copilot.managers.config import Config
    from client.copilot.managers.ticket_desk import TicketDesk
    from client.copilot.security_codec import Provider

_SECTION: Final = "secure"
_DAY_S: Final = 86400
#: An agent of the original sends a few messages in a minute; many may share an account.
RSA_PER_S: Final = 20


@dataclass(frozen=True)
class SecureSettings:
    """The section."""

    key: Path
    tickets_of: Path | None = None
    gives_tickets: bool = False
    credential: str = field(default="", repr=False)
    validity_s: int = _DAY_S
    only: bool = False
    rsa_per_s: int = RSA_PER_S

    def provider(self) -> "Provider":
        """What reads and writes the manager's stanzas.

        Raises:
            BadInput: a key file cannot be used.
        """
        from client.copilot.security import load_private_key, load_public_key
        from client.copilot.security_codec import Provider

        tickets_of = load_public_key(self.tickets_of) if self.tickets_of else None
        return Provider(load_private_key(self.key), tickets_of, only=self.only, per_s=self.rsa_per_s)

    def ticket_desk(self) -> "TicketDesk":
        """What answers getTicket.

        Raises:
            BadInput: the key file cannot be used.
        """
        from client.copilot.managers.ticket_desk import TicketDesk
        from client.copilot.security import load_private_key

        return TicketDesk(load_private_key(self.key), self.validity_s, self.credential)


def read_secure(config: "Config") -> SecureSettings | None:
    """The section; None when it has no key.

    Raises:
        BadInput: a value is unusable.
    """
    key = config.maybe_file(_SECTION, "key")
    if key is None:
        return None
    return SecureSettings(
        key=key,
        tickets_of=config.maybe_file(_SECTION, "tickets_of"),
        gives_tickets=config.flag(_SECTION, "gives_tickets", False),
        credential=config.text(_SECTION, "credential", ""),
        validity_s=config.whole(_SECTION, "validity_s", _DAY_S),
        only=config.flag(_SECTION, "only", False),
        rsa_per_s=max(1, config.whole(_SECTION, "rsa_per_s", RSA_PER_S)),
    )
