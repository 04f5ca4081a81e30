"""XMPP by hand: just enough text to log in, ask, confirm, and see what an answer is."""

import base64
import hashlib
import hmac
import re
import uuid
from typing import Final

HOST: Final = "localhost"
MANAGERS: Final = f"jm@{HOST}"
OPEN: Final = (
    f"<stream:stream to='{HOST}' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
)
STARTTLS: Final = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
PLAIN: Final = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{}</auth>"
SCRAM: Final = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>{}</auth>"
RESPONSE: Final = "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</response>"
BIND: Final = (
    "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>load</resource></bind></iq>"
)
PING: Final = "<iq type='get' id='ping'><ping xmlns='urn:xmpp:ping'/></iq>"
#: a message, its attributes and what is in it; nothing in it for a confirmation
MESSAGE: Final = re.compile(rb"<message ([^>]*?)(?:/>|>(.*?)</message>)", re.DOTALL)
ATTRIBUTE: Final = re.compile(rb"(from|id|ack)=['\"]([^'\"]*)['\"]")
COMMAND: Final = re.compile(rb" command=['\"]_BASE64:([A-Za-z0-9+/=]*)")
JOB_ID: Final = re.compile(rb"<job [^>]*?\bid=['\"]_BASE64:([A-Za-z0-9+/=]*)")
JDL: Final = '[\nType="Job Agent";\nWNHost="load";\nMemory=512;\nRequirements=other.Type == "Job";\n]'


def value(text: str) -> str:
    """A value as agents write it."""
    return f"_BASE64:{base64.encodebytes(text.encode()).decode()}"


def question(to: str, sender: str, command: str, **values: str) -> tuple[str, str]:
    """The id and the text of a message with a command."""
    message_id = uuid.uuid4().hex
    attributes = "".join(f" {name}='{value(text)}'" for name, text in {"command": command, **values}.items())
    return (
        message_id,
        f"<message from='{sender}' to='{to}' id='{message_id}'><body><info{attributes}/></body></message>",
    )


def confirmation(sender: str, to: str, message_id: str) -> str:
    """What confirms a message."""
    return f"<message from='{sender}' to='{to}' ack='{message_id}'/>"


def plain_word(user: str, password: str) -> str:
    """The whole of SASL PLAIN."""
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


class Scram:
    """The client's two messages of SCRAM-SHA-1; the server's proof is not looked at here."""

    def __init__(self, user: str, password: str) -> None:
        self._password = password.encode()
        self._first = f"n={user},r={uuid.uuid4().hex}"

    def first(self) -> str:
        """What is sent with `auth`."""
        return base64.b64encode(f"n,,{self._first}".encode()).decode()

    def final(self, challenge: bytes) -> str:
        """What answers the challenge (base64, as received)."""
        said = base64.b64decode(challenge).decode()
        words = dict(part.split("=", 1) for part in said.split(","))
        salted = hashlib.pbkdf2_hmac("sha1", self._password, base64.b64decode(words["s"]), int(words["i"]))
        key = hmac.digest(salted, b"Client Key", "sha1")
        bare = f"c=biws,r={words['r']}"
        signature = hmac.digest(hashlib.sha1(key).digest(), f"{self._first},{said},{bare}".encode(), "sha1")
        proof = bytes(one ^ other for one, other in zip(key, signature, strict=True))
        return base64.b64encode(f"{bare},p={base64.b64encode(proof).decode()}".encode()).decode()


def account(secret: str, number: int, expires_at: int) -> tuple[str, str]:
    """User name and password of a guest's account, as the server works it out."""
    user = f"agent-{expires_at}-{number:016x}"
    return user, hmac.new(secret.encode(), user.encode(), "sha256").hexdigest()
