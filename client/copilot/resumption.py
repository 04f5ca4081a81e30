"""A session that outlives its connection (XEP-0198): what was said and the server has not confirmed, what was heard.

Both ends count the stanzas of the other. After a cut each tells its count, and the other sends again what is missing,
in order, so that nothing is lost and nothing comes twice. Neither asks for each stanza: every hundredth one, and with
the sign of life every few seconds. Pure; the texts are sent by `client.copilot.stream`.

Source: XEP-0198 1.6; prosody 0.12, mod_smacks.
"""

from collections import deque
from typing import Final

NAMESPACE: Final = "urn:xmpp:sm:3"
#: The server is asked for its count, and told ours, after so many stanzas. Prosody keeps 500 for a session.
EVERY: Final = 100
#: Stanzas that wait for the server's count; with more of them there is no resumption.
MAX_UNCONFIRMED: Final = 5000
_MODULUS: Final = 2**32


class Resumption:
    """The counts of one session.

    Attributes:
        counts: whether this session is counted at all; `sent` and `heard` do nothing otherwise.
    """

    def __init__(self) -> None:
        self.counts = False
        self._id = ""
        self._listens = False
        self._waiting: deque[str] = deque()
        self._confirmed = self._heard = self._told = 0

    @property
    def is_possible(self) -> bool:
        """Whether the session can be taken up on another connection."""
        return bool(self._id)

    @property
    def waiting(self) -> int:
        """How many stanzas the server has not confirmed."""
        return len(self._waiting)

    def forget(self) -> None:
        """The session is not to be taken up; the next one begins from nothing."""
        self.counts = self._listens = False
        self._id = ""
        self._waiting.clear()
        self._confirmed = self._heard = self._told = 0

    def enable(self) -> str:
        """What begins a counted session; all stanzas from here on count."""
        self.forget()
        self.counts = True
        return f"<enable xmlns='{NAMESPACE}' resume='true'/>"

    def enabled(self, session_id: str, *, resume: bool) -> None:
        """The server has begun; what it says from here on counts."""
        self._listens = True
        self._id = session_id if resume else ""

    def ask(self) -> str:
        """Asks for the server's count; its answer is a sign of life too."""
        return f"<r xmlns='{NAMESPACE}'/>"

    def tell(self) -> str:
        """Tells the server our count."""
        self._told = self._heard
        return f"<a xmlns='{NAMESPACE}' h='{self._heard}'/>"

    def sign_of_life(self) -> str:
        """The question, with our count where it is news."""
        return self.ask() if self._told == self._heard else self.ask() + self.tell()

    def resume(self) -> str:
        """What asks to take the session up on a fresh connection."""
        self._told = self._heard
        return f"<resume xmlns='{NAMESPACE}' previd='{self._id}' h='{self._heard}'/>"

    def resumed(self, count: str) -> list[str]:
        """The server has taken it up and tells its count; returns the stanzas to be sent again, in order."""
        self.confirm(count)
        return list(self._waiting)

    def sent(self, text: str) -> bool:
        """A stanza goes out, or will when the session is resumed; tells whether it is time to ask for the count."""
        if not self.counts:
            return False
        self._waiting.append(text)
        if len(self._waiting) > MAX_UNCONFIRMED:
            self.forget()
            return False
        return (self._confirmed + len(self._waiting)) % EVERY == 0

    def heard(self) -> bool:
        """A stanza came in; tells whether it is time to tell the count."""
        if not self._listens:
            return False
        self._heard = (self._heard + 1) % _MODULUS
        return (self._heard - self._told) % _MODULUS >= EVERY

    def confirm(self, count: str) -> None:
        """The server has all stanzas up to this count; one that cannot be, is ignored."""
        if not (count.isascii() and count.isdecimal() and len(count) <= 10):
            return
        new = (int(count) - self._confirmed) % _MODULUS
        if new <= len(self._waiting):
            self._confirmed = (self._confirmed + new) % _MODULUS
            for _ in range(new):
                self._waiting.popleft()
