"""What is told of holding a target: each plan with its reasons, and minute by minute what was asked and given."""

import enum
import zlib
from collections.abc import Sequence
from datetime import datetime

import msgspec

from tieline.dispatch.planning import Explained, sentence


class Basis(enum.StrEnum):
    """By what headroom is told."""

    FORECAST = "forecast"
    METERED = "metered"


class Ahead(msgspec.Struct, frozen=True):
    """What can be counted on in an interval still to come, what is held among it: the least that is forecast to be
    there nineteen times in twenty; where nothing is forecast, what is metered now."""

    from_at: datetime
    until_at: datetime
    target_kw: float
    headroom_kw: float
    by: Basis


class PlanTold(msgspec.Struct, frozen=True):
    """A plan: what was asked, what was expected without it, what it called and gave back. `gap`: it is at most so much
    dearer than the best, as a share; `method` says how it was found, "ahead" that nobody is called yet. `ahead` is what
    it counted on for later (null of old plans)."""

    at: datetime
    target_kw: float
    expected_kw: float
    headroom_kw: float
    called_kw: float
    called: int
    released: int
    cost: float
    gap: float
    method: str
    plan_id: int = 0
    ahead: list[Ahead] | None = None


class Why(msgspec.Struct, frozen=True):
    """Why a load was called by a plan, or not, in a word and in a sentence."""

    ven_id: str
    resource_id: str
    chosen: bool
    reason: str
    kw: float
    rank: int
    said: str


class PlanShown(msgspec.Struct, frozen=True):
    """An event's plans, the newest first, and a page of the reasons of one of them."""

    plans: list[PlanTold]
    plan_id: int | None
    items: list[Why]
    next_cursor: str | None = None


class Delivery(msgspec.Struct, frozen=True):
    """At an instant, in kW: asked, given up as metered, expected a moment later, and what could be called beyond."""

    at: datetime
    target_kw: float
    delivered_kw: float
    expected_kw: float
    headroom_kw: float
    held: int


def packed(reasons: Sequence[Explained]) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(reasons), 1)


def unpacked(data: bytes) -> list[Why]:
    """In order of VEN and load."""
    found = msgspec.msgpack.decode(zlib.decompress(data), type=list[Explained])
    return sorted(
        (
            Why(one.ven_id, one.resource_id, one.chosen, one.reason, round(one.kw, 3), one.rank, sentence(one))
            for one in found
        ),
        key=lambda one: (one.ven_id, one.resource_id),
    )
