"""In words for people: which proof of a catalogue failed."""

from typing import Final

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    SlowRetrievalError,
    UnsignedMetadataError,
)
from tuf.api.serialization import DeserializationError, SerializationError

#: the first that fits
_WORDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (BadVersionNumberError, "it shows an older state than it has shown before"),
    (UnsignedMetadataError, "signatures are missing, or not by the keys that are trusted"),
    (LengthOrHashMismatchError, "a file has other bytes than its signed list says"),
    (ExpiredMetadataError, "its signatures were good until a time that is over"),
    (DeserializationError, "a signed list cannot be read"),
    (SerializationError, "a signed list cannot be read"),
    (DownloadLengthMismatchError, "a file is longer than it may be"),
    (SlowRetrievalError, "it is too slow"),
)


def said_of(error: Exception) -> str:
    """The cause of an error of a refresh."""
    if isinstance(error, DownloadHTTPError):
        return f"the server says {error.status_code}"
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    return str(error)[:400] or type(error).__name__
