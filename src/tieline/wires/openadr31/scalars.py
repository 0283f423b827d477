"""The single values of OpenADR 3: names, ids, instants, durations, addresses.

Instants and durations are kept as the text that came, so that they go out as they came in; the timeline reads them.
In patterns "\\Z" and "[0-9]" stand for the specification's "$" and "\\d", which in Python also allow a last line feed
and the digits of every script.
"""

import re
from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

_ID = r"^[a-zA-Z0-9_-]*\Z"
_DURATION = (
    r"^(-?)P(?=[0-9]|T[0-9])(?:([0-9]+)Y)?(?:([0-9]+)M)?(?:([0-9]+)([DW]))?"
    r"(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+(?:\.[0-9]+)?)S)?)?\Z"
)
_URI = r"^[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#@!$&'()*+,;=\[\]-]|%[0-9A-Fa-f]{2})+\Z"
EXPECTED = {_ID: "of A-Z a-z 0-9 _ -", _DURATION: "in ISO 8601 such as PT1H", _URI: "holding an absolute URI"}
"""What each pattern asks for, in words for who broke it."""

DURATION = re.compile(_DURATION)
NOW = re.compile(r"^0001-01-01(T00:00:00(\.0+)?(Z|[+-]00:00)?)?\Z")
"""A start that means now, or after the interval before: not an instant (User Guide 7.1)."""
RFC3339 = re.compile(
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-5][0-9])\Z"
)

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
"""The instants a calendar ends with."""

ObjectID = Annotated[str, Meta(min_length=1, max_length=128, pattern=_ID)]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
"""Of a program, VEN, resource or client, a target, a payload type, a unit: the specification's or a private word."""
Duration = Annotated[str, Meta(pattern=_DURATION)]
Uri = Annotated[str, Meta(min_length=2, max_length=8000, pattern=_URI)]
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Percent = Annotated[int, Meta(ge=0, le=100)]
HttpStatus = Annotated[int, Meta(ge=100, lt=600)]
NotNegative = Annotated[int, Meta(ge=0)]
ZonedInstant = Annotated[datetime, Meta(tz=True)]


def read_instant(text: str) -> datetime:
    """In UTC; an offset out of the years 1 to 9999 ends with them. Raises `ValueError` for no RFC 3339 date-time."""
    try:
        at = datetime.fromisoformat(text.upper()) if RFC3339.match(text) else None
    except ValueError:
        at = None
    if at is None:
        raise ValueError(f"{text!r} is not an RFC 3339 date-time with a zone such as 2026-01-31T17:00:00Z")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return FIRST if at.year == 1 else LAST


def check_start(text: str) -> None:
    """Raises `ValueError` unless it is an RFC 3339 date-time or the start that means now."""
    if not NOW.match(text):
        read_instant(text)


def wire_name(name: str) -> str:
    """The specification's spelling of an attribute: program_id → programID."""
    first, *rest = name.split("_")
    return first + "".join("ID" if word == "id" else "URL" if word == "url" else word.capitalize() for word in rest)
