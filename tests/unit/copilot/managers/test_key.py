import hashlib
import hmac
import re

import pytest
from aiohttp import web

from client.copilot.managers.key import KeySettings, guest_name, guest_password, parse_vm_id


def test_an_account_tells_until_when_it_is_good_and_its_password_is_its_hmac() -> None:
    name = guest_name(1000.9, 86400)
    assert re.fullmatch(r"agent-87400-[0-9a-f]{16}", name)
    assert name != guest_name(1000.9, 86400)
    assert guest_password("secret", name) == hmac.new(b"secret", name.encode(), hashlib.sha256).hexdigest()


def test_secrets_are_not_in_logs() -> None:
    assert "hidden" not in repr(KeySettings("localhost", "hidden", "hidden"))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"vm_id": 5}', b'{"vm_id": ""}', b'{"vm_id": "a\\nb"}', b"[" * 4000]
)
def test_hostile_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(web.HTTPBadRequest):
        parse_vm_id(body)
