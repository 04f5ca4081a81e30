"""The accounts that a key manager gives: made of a name and the site's secret, stored nowhere."""

import hashlib
import hmac
import secrets
from typing import Final

#: User names begin with this; the XMPP server's module and `client.copilot.account` know it too.
PREFIX: Final = "agent"


def guest_name(now: float, lifetime_s: int, owner: str = "") -> str:
    """A fresh user name that is good until `now + lifetime_s` (epoch seconds), of an owner if there is one."""
    whose = f"{owner}-" if owner else ""
    return f"{PREFIX}-{int(now) + lifetime_s}-{whose}{secrets.token_hex(8)}"


def guest_password(site_secret: str, name: str) -> str:
    """The password that belongs to a user name."""
    return hmac.new(site_secret.encode(), name.encode(), hashlib.sha256).hexdigest()
