"""An outage: a span in which what a VEN's meter read was not its usual load. Pure.

    declared       version 1: home-7, 12 July 14:00 to 18:00, feeder fault       known at 12 July 19:00
    corrected      version 2: until 17:30                                        known at 13 July 09:00
    withdrawn      version 3: it was another street                              known at 20 July 11:00

What was known at an instant is the newest version of then. No rule takes a day that an outage touches, on the clock of
the VEN; what is read during one is a gap, in the hours beside an event and in the event itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, TypeAlias
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from tieline.base.errors import Refused
from tieline.base.names import Id
from tieline.base.time import iso, micros
from tieline.dispatch.model import ZonedInstant
from tieline.telemetry.integration import Integrated, Ints

LONGEST = timedelta(days=366)


class NewOutage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of a VEN, of one of its circuits (`resource_id`), or of all VENs of a site, over [start_at, end_at). `outage_id`
    names an earlier one that this corrects, as a whole; `withdrawn`: there was none. Raises `Refused` for what cannot
    be."""

    start_at: ZonedInstant
    end_at: ZonedInstant
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
    said_by: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    ven_id: Id | None = None
    resource_id: Id | None = None
    site_id: Id | None = None
    outage_id: Id | None = None
    withdrawn: bool = False

    def __post_init__(self) -> None:
        if not self.start_at < self.end_at:
            raise Refused(f"an outage ends after it starts: {iso(self.start_at)} to {iso(self.end_at)} is none")
        if self.end_at - self.start_at > LONGEST:
            raise Refused(f"an outage lasts at most {LONGEST.days} days: declare several")
        if (self.ven_id is None) == (self.site_id is None):
            raise Refused("an outage is of one VEN (ven_id) or of one site (site_id): name one of the two")
        if self.withdrawn and self.outage_id is None:
            raise Refused("what is withdrawn was declared before: name its outage_id")
        if self.resource_id is not None and self.ven_id is None:
            raise Refused("a circuit (resource_id) is one of a VEN: name that too (ven_id)")


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """The n-th version of one; `ven_ids` are whom it touches."""

    outage_id: str
    version: int
    known_at: datetime
    start_at: datetime
    end_at: datetime
    reason: str
    said_by: str
    ven_ids: tuple[str, ...]
    ven_id: str | None = None
    resource_id: str | None = None
    site_id: str | None = None
    withdrawn: bool = False

    @property
    def named(self) -> str:
        """Which version of which."""
        return f"{self.outage_id}-{self.version}"


Out: TypeAlias = Mapping[str, Sequence[Outage]]
"""The outages of each VEN that had any."""


def by_ven(outages: Iterable[Outage]) -> dict[str, list[Outage]]:
    found: dict[str, list[Outage]] = {}
    for one in outages:
        for ven_id in one.ven_ids:
            found.setdefault(ven_id, []).append(one)
    return found


def days_out(outages: Iterable[Outage], zone: ZoneInfo) -> set[date]:
    """The local days that they touch."""
    found: set[date] = set()
    for one in outages:
        first, last = (at.astimezone(zone).date() for at in (one.start_at, one.end_at - timedelta(microseconds=1)))
        found |= {first + timedelta(days=n) for n in range((last - first).days + 1)}
    return found


def without(read: Integrated, ven_ids: Sequence[str], edges_us: Ints, out: Out) -> Integrated:
    """What the meters of those VENs read, [VENs, steps], but for the steps that an outage touches: these are gaps."""
    own = np.ones(read.covered_s.shape, bool)
    for meter, ven_id in enumerate(ven_ids):
        for one in out.get(ven_id, ()):
            own[meter] &= (edges_us[1:] <= micros(one.start_at)) | (edges_us[:-1] >= micros(one.end_at))
    return read if own.all() else Integrated(read.energy_kwh * own, read.covered_s * own)
