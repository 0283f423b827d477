"""A settlement run and what it holds: nouns. Pure.

    run            a program's period, as known at an instant; the n-th of its period restates the one before
      └ account    one participant (a VEN): what it is owed
          └ entry  one clause of the terms, applied to one thing: quantity × price = amount, and why

Money is `Decimal` in the run's currency. Every amount of an account is the sum of its entries, every sum of the run
that of its accounts, without any error; entries are rounded once, as the terms say. Periods are of days in the terms'
zone, [from, until). All of it has its place in canonical bytes: the same `known_at` gives the same digest anywhere.
"""

import enum
from datetime import date, datetime
from decimal import Decimal

import msgspec

from tieline.settlement.model import Calibration


class Clause(enum.StrEnum):
    """Of the terms."""

    ENERGY = "energy"
    CAPACITY = "capacity"
    PENALTY = "penalty"
    CAP = "cap"
    FLOOR = "floor"
    TAX = "tax"


class Entry(msgspec.Struct, frozen=True):
    """One clause applied once. `event_id` and the span are empty where it is of the whole period."""

    clause: Clause
    quantity: Decimal
    unit: str
    price: Decimal | None
    amount: Decimal
    because: str
    event_id: str = ""
    from_at: datetime | None = None
    until_at: datetime | None = None


class Delivery(msgspec.Struct, frozen=True):
    """What a participant delivered in one event, as its statement says; `paid_kwh` is what counts after netting. What
    it delivered lies between low and high, as sure as the run's `measured` says of the event."""

    event_id: str
    statement_id: str
    asked_kwh: Decimal
    baseline_kwh: Decimal
    used_kwh: Decimal
    delivered_kwh: Decimal
    paid_kwh: Decimal
    gap_seconds: float
    note: str = ""
    delivered_low_kwh: Decimal | msgspec.UnsetType = msgspec.UNSET
    delivered_high_kwh: Decimal | msgspec.UnsetType = msgspec.UNSET


class Account(msgspec.Struct, frozen=True):
    """One participant's: `net` + `tax` = `total`."""

    ven_id: str
    deliveries: list[Delivery]
    entries: list[Entry]
    net: Decimal
    tax: Decimal
    total: Decimal


class InputKind(enum.StrEnum):
    TERMS = "terms"
    STATEMENT = "statement"
    PRICES = "prices"
    COMMITMENTS = "commitments"


class Input(msgspec.Struct, frozen=True):
    """Something that the run follows from: the SHA-256 of its canonical bytes."""

    kind: InputKind
    name: str
    digest: str


class Measured(msgspec.Struct, frozen=True):
    """How an event was measured: by a rule, whose intervals were made so."""

    event_id: str
    rule: str
    calibration: Calibration


class MeasuredEvent(Measured, frozen=True):
    """With what all its participants delivered together; the ends are unset where no interval of it can be told."""

    delivered_kwh: float
    delivered_low_kwh: float | msgspec.UnsetType = msgspec.UNSET
    delivered_high_kwh: float | msgspec.UnsetType = msgspec.UNSET


class RunSummary(msgspec.Struct, frozen=True):
    """The aggregate. `run_id` is program, first day and number: `peak-2026-06-01-2`."""

    run_id: str
    program_id: str
    from_day: date
    until_day: date
    zone: str
    currency: str
    known_at: datetime
    number: int
    participants: int
    events: int
    delivered_kwh: Decimal
    net: Decimal
    tax: Decimal
    total: Decimal


class Run(RunSummary, frozen=True):
    """`digest` is of all of it but itself; `restates` is the run before of the same period, by its digest. `measured`
    are the events of whose baselines it is known how sure they are; unset without any."""

    inputs: list[Input]
    accounts: list[Account]
    restates: str = ""
    digest: str = ""
    measured: list[MeasuredEvent] | msgspec.UnsetType = msgspec.UNSET

    @property
    def period(self) -> tuple[date, date]:
        """[from, until)."""
        return self.from_day, self.until_day


class Difference(msgspec.Struct, frozen=True):
    """What a restatement changed of a participant."""

    ven_id: str
    before: Decimal
    after: Decimal
    change: Decimal
    because: list[str]


class Verdict(enum.StrEnum):
    """What somebody said of a run or of one account in it; added, never changed."""

    APPROVED = "approved"
    DISPUTED = "disputed"
    RESOLVED = "resolved"


class Review(msgspec.Struct, frozen=True):
    run_id: str
    ven_id: str  # empty: of the whole run
    verdict: Verdict
    by: str
    at: datetime
    note: str
