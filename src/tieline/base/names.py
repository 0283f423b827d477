"""Names that travel between machines: which are legal, and how others are escaped into legal ones."""

import re
import secrets
from typing import Annotated

import msgspec

# A VEN id becomes one level of an MQTT topic and one token of a NATS subject: nothing that either reads as syntax.
ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$(?!\n)"  # in Python "$" also stands before a last line feed
# A series id is dotted and ends with its unit: home-7.hvac.power_kw
SERIES_PATTERN = r"^[A-Za-z0-9_~-]{1,64}(\.[A-Za-z0-9_~-]{1,64}){0,5}$(?!\n)"

Id = Annotated[str, msgspec.Meta(pattern=ID_PATTERN, description="1 to 64 of A-Z a-z 0-9 _ -")]
SeriesId = Annotated[str, msgspec.Meta(pattern=SERIES_PATTERN, description="dotted, unit last: home-7.hvac.power_kw")]


def new_id() -> str:
    """One that nobody has and nobody guesses: 24 of 0-9 a-f."""
    return secrets.token_hex(12)


def is_id(text: str) -> bool:
    """Whether it is a legal id."""
    return re.match(ID_PATTERN, text) is not None


def is_series_id(text: str) -> bool:
    """Whether it is a legal series id."""
    return re.match(SERIES_PATTERN, text) is not None


def escaped(name: str) -> str:
    """An outside name as one part of a series id: W/HOE#2 → W~2FHOE~232. Reversible, since ~ itself is escaped."""
    return "".join(c if re.match(r"[A-Za-z0-9_-]", c) else "".join(f"~{b:02X}" for b in c.encode()) for c in name)


def power_series(ven_id: str, resource_id: str | None = None) -> str:
    """The id of a VEN's own power series, or of one of its loads'."""
    return f"{ven_id}.power_kw" if resource_id is None else f"{ven_id}.{resource_id}.power_kw"


def reported_series(ven_id: str, resource_id: str | None, what: str) -> str:
    """The id of a series that reports tell of beside power; `what` is a payload's type and unit: demand_peak_kvar."""
    return ".".join([ven_id, *([resource_id] if resource_id else []), escaped(f"openadr_{what.lower()}")])


def sheddable_series(ven_id: str, resource_id: str) -> str:
    """The id of the series of what a load could give up of what it draws."""
    return f"{ven_id}.{resource_id}.sheddable_kw"


def hold_series(ven_id: str, resource_id: str) -> str:
    """The id of the series of how long a load could stay down."""
    return f"{ven_id}.{resource_id}.hold_s"


def withheld_series(ven_id: str, resource_id: str) -> str:
    """The id of the series of what a load would draw beyond what it does, were it not held down."""
    return f"{ven_id}.{resource_id}.withheld_kw"
