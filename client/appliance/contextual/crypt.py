"""SHA-512 crypt, the form in which Linux keeps passwords, so that no medium carries one in the clear.

Source: Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512", version 0.6. Python's own module for it is not on every
system and is gone in 3.13.
"""

import hashlib
from typing import Final

ROUNDS: Final = 5000
_LETTERS: Final = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def sha512_crypt(password: str, salt: str) -> str:
    """The hash as in /etc/shadow. salt: 1 to 16 letters, digits, '.', '/'. Takes about 10 ms."""
    key, grain = password.encode(), salt.encode()
    inner = hashlib.sha512(key + grain + key).digest()
    start = hashlib.sha512(key + grain + _stretched(inner, len(key)))
    bits = len(key)
    while bits:
        start.update(inner if bits & 1 else key)
        bits >>= 1
    digest = start.digest()
    keys = _stretched(hashlib.sha512(key * len(key)).digest(), len(key))
    grains = _stretched(hashlib.sha512(grain * (16 + digest[0])).digest(), len(grain))
    for turn in range(ROUNDS):
        middle = (grains if turn % 3 else b"") + (keys if turn % 7 else b"")
        digest = hashlib.sha512(keys + middle + digest if turn & 1 else digest + middle + keys).digest()
    return f"$6${salt}${_encoded(digest)}"


def salt_from(secret: bytes) -> str:
    """16 letters of a salt from at least 16 random or secret bytes."""
    return "".join(_LETTERS[byte & 63] for byte in secret[:16])


def _stretched(digest: bytes, length: int) -> bytes:
    return (digest * (length // 64 + 1))[:length]


def _encoded(digest: bytes) -> str:
    groups = [(digest[a], digest[b], digest[c]) for a, b, c in _order()]
    text = "".join(_letters(high << 16 | middle << 8 | low, 4) for high, middle, low in groups)
    return text + _letters(digest[63], 2)


def _order() -> list[tuple[int, int, int]]:
    turned = [(n, n + 21, n + 42) for n in range(21)]
    return [(t[n % 3], t[(n + 1) % 3], t[(n + 2) % 3]) for n, t in enumerate(turned)]


def _letters(number: int, count: int) -> str:
    return "".join(_LETTERS[number >> 6 * n & 63] for n in range(count))
