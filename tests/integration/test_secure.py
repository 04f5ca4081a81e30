"""The original's secure mode and configuration file end to end: our agent and a manager over the real prosody."""

import asyncio
import subprocess
import time
from base64 import b64decode, encodebytes
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from client.copilot import native
from client.copilot.messages import GetTicket, StoreTicket
from client.copilot.original_config import AGENT, agent_settings, read_original
from client.copilot.report import LogReport
from client.copilot.security import make_ticket, new_session_key, seal, unseal, unwrap_key, wrap_key
from client.copilot.security_codec import Provider
from client.copilot.stanza import decode_value, encode_value
from client.copilot.transport import Account, XmppTransport
from tests.helpers.servers import Chirp, Xmpp
from tests.helpers.small_manager import SmallManager

pytestmark = pytest.mark.integration


class SecureManager(SmallManager):
    """Takes and says nothing that is not encrypted, and gives tickets."""

    def __init__(self, xmpp: Xmpp, chirp: Chirp, folder: Path) -> None:
        super().__init__(xmpp, chirp, "#!/bin/sh\nalienv 2>/dev/null; echo done\n", 1)
        self.key = generate_private_key(65537, 2048)
        public = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()
        (folder / "keys.pub").write_text(f"jm@localhost\n{public}")
        account = Account("jm@localhost", "pw", "127.0.0.1", xmpp.port, xmpp.ca_pem, "jobs-1")
        codec = Provider(self.key, self.key.public_key(), only=True)
        self.transport = XmppTransport(account, self.on_info, resend=False, codec=codec)
        self.tickets = 0

    def answers(self, command: Any) -> list[Any]:
        if isinstance(command, GetTicket):
            self.tickets += 1
            return [StoreTicket(make_ticket("agent@localhost", self.key, time.time(), 3600))]
        return super().answers(command)


async def test_a_job_is_done_in_secure_mode_as_the_originals_configuration_says(
    xmpp: Xmpp, chirp: Chirp, root: Path
) -> None:
    manager = SecureManager(xmpp, chirp, root)
    (root / "ca.pem").write_text(xmpp.ca_pem)
    lines = {
        "JM_JABBER_ADDRESS": "jm@localhost",
        "KM_JABBER_ADDRESS": "jm@localhost",
        "PUBLIC_KEYS_FILE": root / "keys.pub",
        "AGENT_JABBER_SERVER": "127.0.0.1",
        "AGENT_JABBER_DOMAIN": "localhost",
        "AGENT_JABBER_ID": "agent",
        "AGENT_JABBER_PASSWORD": "overridden",
        "AGENT_JABBER_PORT": xmpp.port,
        "AGENT_JABBER_CA_FILE": root / "ca.pem",
        "AGENT_WORK_DIR": root,
        "AGENT_SECURE_MODE": 1,
    }
    (root / "copilot-agent.conf").write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
    settings, ignored = agent_settings(read_original(root, AGENT, {"AGENT_JABBER_PASSWORD": "pw"}))
    assert ignored == []
    report = LogReport()
    await manager.transport.connect(60)
    try:
        async with asyncio.timeout(60):
            await native.run(settings, report, max_jobs=1)
    finally:
        await manager.transport.close()
    assert [done.exit_code for done in manager.done] == [0]
    assert (report.done_jobs, report.accepted_jobs, manager.tickets) == (1, 1, 1)


def openssl(*words: str, data: bytes) -> bytes:
    done = subprocess.run(["openssl", *words], input=data, capture_output=True, timeout=20, check=True)
    return done.stdout


def test_openssl_reads_what_we_write_and_we_what_it_writes(root: Path) -> None:
    key = generate_private_key(65537, 1024)
    private, public = root / "key", root / "key.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    session = new_session_key()
    oaep = ("-pkeyopt", "rsa_padding_mode:oaep")
    wrapped = b64decode(decode_value(wrap_key(session, key.public_key())))
    assert b64decode(openssl("pkeyutl", "-decrypt", *oaep, "-inkey", str(private), data=wrapped)) == session
    theirs = openssl("pkeyutl", "-encrypt", *oaep, "-pubin", "-inkey", str(public), data=encodebytes(session))
    assert unwrap_key(encode_value(encodebytes(theirs).decode()), key) == session
    # As a pass phrase it must be a text for openssl.
    phrase = "a pass phrase of an agent"
    aes = ("enc", "-aes-256-cbc", "-md", "md5", "-k", phrase)
    sealed = b64decode(decode_value(seal(b"<info/>", phrase.encode())))
    assert b64decode(openssl(*aes, "-d", data=sealed)) == b"<info/>"
    theirs = openssl(*aes, data=encodebytes(b"<info/>"))
    assert unseal(encode_value(encodebytes(theirs).decode()), phrase.encode()) == b"<info/>"
    ticket = make_ticket("a@x/r", key, 0, 100)
    signature, _, content = ticket.partition("###")
    (root / "signature").write_bytes(b64decode(signature))
    verify = ("dgst", "-sha1", "-verify", str(public), "-signature", str(root / "signature"))
    assert openssl(*verify, data=content.encode()).strip() == b"Verified OK"
