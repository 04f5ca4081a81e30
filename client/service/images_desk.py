"""The instance's end of `main.py images`, over the control socket.

-> {"token": "...", "do": "images list"}          <- {"ok": true, "store": [...], "bytes": n, "limit_bytes": n,
                                                      "held": {...} or null, "transfers": [...],
                                                      "guest_files": {...} or null}
-> {"token": "...", "do": "images remove", "with": {"image": "..."}}          <- {"ok": true, "freed_bytes": n}
-> {"token": "...", "do": "images limit", "with": {"mib": n}}                 <- {"ok": true}
-> {"token": "...", "do": "images check" | "images update" | "images hold" | "images go-on"}  <- {"ok": true}
"""

from typing import Any, Final

from client.appliances import Appliances
from client.board import Board
from client.errors import BadInput
from client.preferences.spec import BY_KEY
from client.service.refusal import Send, refusals_told

LIMIT_KEY: Final = "appliances.cache_mib"


class ImagesDesk:
    """Answers words that begin with `images `."""

    def __init__(self, board: Board, appliances: Appliances) -> None:
        self._board = board
        self._appliances = appliances

    async def answer(self, word: str, given: dict[str, Any], send: Send) -> None:
        """Answer one word."""
        async with refusals_told(send):
            await send({"ok": True, **await self._answer(word.removeprefix("images "), given)})

    async def _answer(self, word: str, given: dict[str, Any]) -> dict[str, Any]:
        appliances = self._appliances
        match word:
            case "list":
                return self._list()
            case "remove":
                return {"freed_bytes": await appliances.remove(str(given.get("image", "")))}
            case "limit":
                appliances.set_limit(checked_limit(given.get("mib")))
            case "check":
                appliances.soon(check=True)
            case "update":
                appliances.soon(look=True)
            case "hold" | "go-on":
                appliances.hold(word == "hold")
            case _:
                raise BadInput("command", f"there is no images {word}", "see main.py images --help")
        return {}

    def _list(self) -> dict[str, Any]:
        said = self._board.snapshot().to_json()
        return {
            "store": said["store"],
            "bytes": said["store_bytes"],
            "limit_bytes": self._appliances.store.limit_bytes,
            "held": said["fetching_held"],
            "transfers": said["transfers"],
            "guest_files": said["guest_files"],
        }


def checked_limit(mib: object) -> int:
    """A size of the store.

    Raises:
        BadInput: it is none.
    """
    spec = BY_KEY[LIMIT_KEY]
    if isinstance(mib, int) and not isinstance(mib, bool) and spec.minimum <= mib <= spec.maximum:
        return mib
    raise BadInput(LIMIT_KEY, f"{mib!r} is no size", f"give a whole number of MiB from {spec.minimum}")
