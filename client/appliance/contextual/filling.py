"""`${field}` in the places where values may stand, and what a value must be there."""

import re
from collections.abc import Callable
from typing import Final

from client.appliance.contextual.faults import Faults, nearest
from client.appliance.contextual.language import Field, Kind, Value
from client.appliance.contextual.slots import Check
from client.appliance.contextual.values import Values

#: characters of all filled-in values together, wherever they stand
MOST_TEXT: Final = 1 << 21
FIELD_NAME: Final = r"[a-z][a-z0-9_]{0,39}"
_PLACE: Final = re.compile(r"\$(\$)?\{([^{}]{0,80})\}?")
_ALONE: Final = re.compile(rf"\$\{{({FIELD_NAME})\}}")

Quote = Callable[[str], str]


class Filling:
    """Fills places in and notes each fault where it is. Without values it checks what can be checked: a rehearsal.

    Attributes:
        rehearses: there are no values yet; a place with a `${field}` yields "" and is not checked.
    """

    def __init__(self, fields: tuple[Field, ...], values: Values | None, faults: Faults) -> None:
        self.fields = {field.name: field for field in fields}
        self.used: set[str] = set()
        self.rehearses = values is None
        self._held = values.held if values else {}
        self._left = MOST_TEXT
        self._faults = faults

    def alone(self, raw: str) -> Field | None:
        """The field when the whole text is one `${field}`."""
        found = _ALONE.fullmatch(raw)
        return self.fields.get(found[1]) if found else None

    def value(self, field: Field) -> Value:
        """What a field holds; "" in a rehearsal."""
        self.used.add(field.name)
        return "" if self.rehearses else self._held[field.name]

    def text(
        self,
        path: str,
        raw: object,
        check: Check,
        *,
        values: Check | None = None,
        quote: Quote = str,
        lines: bool = False,
    ) -> str:
        """The text of one place with its fields filled in.

        Args:
            check: what the whole text must be.
            values: what each filled-in value must be beside that.
            quote: what is done to each value before it is put in.
            lines: a script's text may stand here.
        """
        if not isinstance(raw, str):
            self._faults.add(path, "must be text")
            return ""
        known = True

        def put(found: re.Match[str]) -> str:
            nonlocal known
            if found[1]:
                return found[0][1:]
            said = self._said(path, found, lines)
            if said is None:
                known = False
                return ""
            if not self.rehearses and (fault := values(said) if values and said else ""):
                self._refuse(path, found[2], fault)
            self._left -= len(said)
            return quote(said) if self._left > 0 else ""

        text = _PLACE.sub(put, raw)
        if (self.rehearses and text != raw.replace("$${", "${")) or not known:
            return ""
        if self._left <= 0:
            self._faults.add(path, "makes the whole too long: the fields stand in it too often")
            return ""
        if text and (fault := check(text)):
            self._refuse(path, self._only(raw), fault)
            return ""
        return text

    def _said(self, path: str, found: re.Match[str], lines: bool) -> str | None:
        field = self.fields.get(found[2]) if found[0].endswith("}") else None
        if field is None:
            hint = nearest(found[2], self.fields)
            self._faults.add(
                path, f"speaks of a field that is not there: {found[0]!r}{hint}. A plain ${{ is written $${{"
            )
            return None
        self.used.add(field.name)
        if field.kind is Kind.SCRIPT and not lines:
            self._faults.add(path, f"takes one line, and the field {field.name} is a script")
            return None
        value = self.value(field)
        if isinstance(value, bool):
            return "on" if value else "off"
        return str(value)

    def _only(self, raw: str) -> str:
        found = _ALONE.fullmatch(raw)
        return found[1] if found else ""

    def _refuse(self, path: str, name: str, fault: str) -> None:
        self._faults.add(path, f"(the field {name}) {fault}" if name else fault)
