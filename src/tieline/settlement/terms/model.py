"""The terms of a program: nouns and rules. Pure.

    measured    which baseline and holidays, what of export and of gaps        kWh by interval
    netted      does an interval, or an event, that delivered less than nothing count against the others
    paid        energy at a price, capacity × performance, what is short      clause by clause
    bounded     cap and floor of a period, tax, rounding                       to the cent

Terms are never changed: new ones begin on a day, and those before end there. Days are of the terms' own zone, money is
`Decimal` in the terms' currency (ISO 4217).
"""

import enum
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, TypeAlias

import msgspec

from tieline.base.errors import Refused
from tieline.base.names import Id

Price: TypeAlias = Decimal
Share: TypeAlias = Decimal

MOST = Decimal(1_000_000)
LEAST_PLACE = -9


def bounded(what: str, value: Decimal | None, least: Decimal = -MOST, most: Decimal = MOST) -> None:
    """Raises `Refused` for what is no plain number within bounds: msgspec has none for a Decimal."""
    if value is None:
        return
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < LEAST_PLACE or not least <= value <= most:
        raise Refused(f"{what} is {value}: give {least} to {most}, with at most {-LEAST_PLACE} decimals")


NONE, ONE, TEN = Decimal(0), Decimal(1), Decimal(10)


class Export(enum.StrEnum):
    """What a home feeds in: counted, or as if it drew nothing meanwhile."""

    NET = "net"
    IGNORED = "ignored"


class Netting(enum.StrEnum):
    """Over what less than nothing delivered counts against the rest; beyond it, nothing below zero is counted."""

    INTERVAL = "interval"
    EVENT = "event"
    PERIOD = "period"
    ALL = "all"


class Fixed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="fixed"):
    """So much for each kilowatt-hour delivered."""

    price_per_kwh: Price

    def __post_init__(self) -> None:
        bounded("energy: price_per_kwh", self.price_per_kwh)


class Market(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="market"):
    """`share` of what the series says of the interval, per MWh, within bounds; `otherwise` per kWh where it says
    nothing (None: the run is refused and says where)."""

    series_id: str
    share: Share = Decimal(1)
    least_per_mwh: Price | None = None
    most_per_mwh: Price | None = None
    otherwise_per_kwh: Price | None = None

    def __post_init__(self) -> None:
        bounded("energy: share", self.share, NONE, TEN)
        for name in ("least_per_mwh", "most_per_mwh", "otherwise_per_kwh"):
            bounded(f"energy: {name}", getattr(self, name))
        if self.least_per_mwh is not None and self.most_per_mwh is not None and self.least_per_mwh > self.most_per_mwh:
            raise Refused(f"energy: least_per_mwh {self.least_per_mwh} is above most_per_mwh {self.most_per_mwh}")


Energy: TypeAlias = Fixed | Market


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From this share of what was asked on, capacity is paid at this factor."""

    delivered: Share
    factor: Share

    def __post_init__(self) -> None:
        bounded("capacity: a step's delivered", self.delivered, NONE, TEN)
        bounded("capacity: a step's factor", self.factor, NONE, TEN)


def _delivered(step: Step) -> Share:
    return step.delivered


def _in_order(shares: Sequence[Share]) -> None:
    if list(shares) != sorted(set(shares)):
        raise Refused("capacity: its steps are in order of what was delivered, each from a share of its own on")


_NOTHING = Step(NONE, NONE)


class Capacity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For each kilowatt committed and month, times a factor by what was delivered of what was asked in the period's
    events; 1 where there was none. Without steps the factor is that share, at most 1."""

    price_per_kw_month: Price
    steps: Annotated[tuple[Step, ...], msgspec.Meta(max_length=100)] = ()

    def __post_init__(self) -> None:
        bounded("capacity: price_per_kw_month", self.price_per_kw_month, NONE)
        _in_order([one.delivered for one in self.steps])

    def factor(self, delivered: Share) -> Share:
        """What capacity is paid at, where this share of what was asked was delivered."""
        if not self.steps:
            return min(ONE, max(NONE, delivered))
        return max((one for one in self.steps if one.delivered <= delivered), key=_delivered, default=_NOTHING).factor


class Penalty(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For each kilowatt-hour of an event that is short of what was asked, beyond `tolerance` of it."""

    price_per_kwh: Price
    tolerance: Share = Decimal("0.1")

    def __post_init__(self) -> None:
        bounded("penalty: price_per_kwh", self.price_per_kwh, NONE)
        bounded("penalty: tolerance", self.tolerance, NONE, ONE)


class Tax(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern=r"^\w", max_length=64)]  # no formula, for a spreadsheet
    rate: Share

    def __post_init__(self) -> None:
        bounded("tax: rate", self.rate, NONE, ONE)


class Rounding(enum.StrEnum):
    """IEEE 754 and the names of `decimal`."""

    HALF_EVEN = "ROUND_HALF_EVEN"
    HALF_UP = "ROUND_HALF_UP"
    DOWN = "ROUND_DOWN"


class Holidays(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Public holidays by ISO 3166 (country, subdivision), and days beside them."""

    country: Annotated[str, msgspec.Meta(max_length=2)] = ""
    subdivision: Annotated[str, msgspec.Meta(max_length=6)] = ""
    also: Annotated[tuple[date, ...], msgspec.Meta(max_length=1000)] = ()


class NewTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Terms as they are given. A participant whose gaps are above `most_gap` of an event is not settled for it.

    `temperature` is the series for a rule that looks at the weather; where there is none it is absent, not null: terms
    that were put before there was such a term keep their bytes."""

    valid_from: date
    zone: Annotated[str, msgspec.Meta(max_length=64)]
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
    baseline: Annotated[str, msgspec.Meta(max_length=64)]
    temperature: Annotated[str, msgspec.Meta(max_length=400)] | msgspec.UnsetType = msgspec.UNSET
    holidays: Holidays = Holidays()
    export: Export = Export.NET
    most_gap: Share = Decimal("0.2")
    netting: Netting = Netting.EVENT
    energy: Energy
    capacity: Capacity | None = None
    penalty: Penalty | None = None
    cap: Price | None = None  # of a participant's period, before tax
    floor: Price | None = None
    tax: Tax | None = None
    rounding: Rounding = Rounding.HALF_EVEN
    places: Annotated[int, msgspec.Meta(ge=0, le=6)] = 2

    def __post_init__(self) -> None:
        """Raises `Refused` for what cannot be."""
        bounded("cap", self.cap)
        bounded("floor", self.floor)
        bounded("most_gap", self.most_gap, NONE, ONE)
        if self.cap is not None and self.floor is not None and self.cap < self.floor:
            raise Refused(f"cap {self.cap} is below floor {self.floor}")

    @property
    def calendar(self) -> str:
        """Of its public holidays, as ISO 3166 joins them: AU-NSW."""
        return "-".join(filter(None, (self.holidays.country, self.holidays.subdivision)))


class Terms(NewTerms, frozen=True, kw_only=True):
    """The n-th terms that a program was given; they hold until those that begin after them."""

    program_id: Id
    number: int
    valid_until: date | None = None

    @property
    def named(self) -> str:
        return f"{self.program_id}-terms-{self.number}"
