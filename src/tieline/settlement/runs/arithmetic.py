"""From statements to money: clause by clause, participant by participant. Pure, and every number in it is exact.

    energy      what counts × its price                                 an entry an event
    penalty     what is short of what was asked, beyond a tolerance     an entry an event
    capacity    kW committed × months × price × factor                  an entry a commitment
    cap, floor  what is above, or below                                 of the sum of those
    tax         of the sum of all those                                 → net + tax = total

An entry is rounded once, by the terms; every sum after is of rounded amounts.
"""

import calendar
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Context, Decimal, localcontext
from fractions import Fraction

import msgspec

from tieline.settlement.model import StatementLine
from tieline.settlement.runs.energy import MWH_PLACES, Event, Worth, kwh, mwh, over_the_period, worth
from tieline.settlement.runs.model import Account, Clause, Delivery, Entry
from tieline.settlement.terms.commitments import Committed
from tieline.settlement.terms.model import Capacity, Penalty, Terms

EXACT = Context(prec=60)
"""More digits than a million million at fifteen decimals has."""
SIX = Decimal("0.000001")
NOTHING = Decimal(0)


@dataclass
class _Participant:
    """What adds up to an account; `asked` and `paid` in mWh, over the events that it was settled for."""

    deliveries: list[Delivery] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    asked: int = 0
    paid: int = 0
    called: bool = False


def accounts(terms: Terms, events: Sequence[Event], committed: Sequence[Committed]) -> list[Account]:
    """One a participant, in order of id. `events` and `committed` may come in any order."""
    with localcontext(EXACT):
        ordered = sorted(events, key=lambda one: (one.statement.start_at, one.statement.event_id))
        worths = [worth(event, terms.netting) for event in ordered]
        over_the_period(worths, terms.netting)
        found: dict[str, _Participant] = {}
        for one in worths:
            _add_event(found, terms, one)
        if terms.capacity is not None:
            _add_capacity(found, terms, terms.capacity, committed)
        return [_account(terms, ven_id, found[ven_id]) for ven_id in sorted(found)]


def _add_capacity(
    found: dict[str, _Participant], terms: Terms, capacity: Capacity, committed: Sequence[Committed]
) -> None:
    for one in sorted(committed, key=lambda one: (one.ven_id, one.from_day)):
        of = found.setdefault(one.ven_id, _Participant())
        of.entries.append(_capacity(terms, capacity, one, of))


def money(terms: Terms, amount: Decimal) -> Decimal:
    """Rounded as the terms say; never a negative nothing."""
    return amount.quantize(Decimal(1).scaleb(-terms.places), terms.rounding.value) + NOTHING


def _add_event(found: dict[str, _Participant], terms: Terms, one: Worth) -> None:
    statement = one.event.statement
    for line in statement.lines:
        of = found.setdefault(line.ven_id, _Participant())
        asked, paid = mwh(line.asked_kwh), one.paid_mwh.get(line.ven_id, 0)
        of.deliveries.append(_delivery(statement.event_id, statement.statement_id, line, paid))
        if not line.settled:
            continue
        of.called, of.asked, of.paid = True, of.asked + asked, of.paid + paid
        of.entries.append(_energy(terms, one, line))
        if terms.penalty is not None and asked and (short := _short(terms, terms.penalty, one, asked, paid)):
            of.entries.append(short)


def _delivery(event_id: str, statement_id: str, line: StatementLine, paid: int) -> Delivery:
    numbers = (line.asked_kwh, line.baseline_kwh, line.used_kwh, line.delivered_kwh)
    asked, baseline, used, delivered = (kwh(mwh(number)) for number in numbers)
    return Delivery(
        event_id,
        statement_id,
        asked,
        baseline,
        used,
        delivered,
        kwh(paid),
        gap_seconds=line.gap_seconds,
        note=line.note,
        delivered_low_kwh=_end(line.delivered_low_kwh),
        delivered_high_kwh=_end(line.delivered_high_kwh),
    )


def _end(value: float | msgspec.UnsetType) -> Decimal | msgspec.UnsetType:
    return value if isinstance(value, msgspec.UnsetType) else kwh(mwh(value))


def _energy(terms: Terms, one: Worth, line: StatementLine) -> Entry:
    statement, paid = one.event.statement, one.paid_mwh[line.ven_id]
    amount = money(terms, Decimal(one.value[line.ven_id]).scaleb(-one.places))
    because = one.event.prices.why
    if paid != mwh(line.delivered_kwh):
        because += f"; {line.delivered_kwh:g} kWh delivered, and less than nothing is not counted by {terms.netting}"
    return Entry(
        Clause.ENERGY,
        kwh(paid),
        "kWh",
        one.event.prices.fixed,
        amount,
        because,
        statement.event_id,
        statement.start_at,
        statement.end_at,
    )


def _short(terms: Terms, penalty: Penalty, one: Worth, asked: int, paid: int) -> Entry | None:
    least = Decimal(asked) * (1 - penalty.tolerance)
    short = (least - paid).scaleb(-MWH_PLACES).quantize(SIX)
    if short <= 0:
        return None
    statement = one.event.statement
    said = f"{kwh(asked):f} kWh asked, less {penalty.tolerance:%} tolerance, {kwh(paid):f} kWh counted"
    return Entry(
        Clause.PENALTY,
        short,
        "kWh",
        -penalty.price_per_kwh,
        money(terms, -short * penalty.price_per_kwh),
        f"short of what was asked: {said}",
        statement.event_id,
        statement.start_at,
        statement.end_at,
    )


def _capacity(terms: Terms, capacity: Capacity, committed: Committed, of: _Participant) -> Entry:
    months = Fraction(0)
    for day, until in by_month(committed.from_day, committed.until_day):
        months += Fraction((until - day).days, calendar.monthrange(day.year, day.month)[1])
    quantity = (committed.kw * months.numerator / months.denominator).quantize(SIX)
    factor, why = performance(capacity, of.called, of.asked, of.paid)
    price = capacity.price_per_kw_month * factor
    return Entry(
        Clause.CAPACITY,
        quantity,
        "kW month",
        price,
        money(terms, quantity * price),
        f"{committed.kw} kW committed from {committed.from_day} until {committed.until_day}, times {factor}: {why}",
    )


def performance(capacity: Capacity, called: bool, asked: int, paid: int) -> tuple[Decimal, str]:
    """The factor and why: by what was delivered of what was asked, both in mWh."""
    if not called or not asked:
        return Decimal(1), "nothing was asked"
    share = (Decimal(paid) / asked).quantize(SIX)
    return capacity.factor(share), f"{kwh(paid):f} of {kwh(asked):f} kWh asked were delivered"


def by_month(from_day: date, until_day: date) -> list[tuple[date, date]]:
    """Days [from, until) cut where months begin."""
    found = []
    while from_day < until_day:
        length = calendar.monthrange(from_day.year, from_day.month)[1]
        end = min(until_day, from_day.replace(day=1) + timedelta(days=length))
        found.append((from_day, end))
        from_day = end
    return found


def _account(terms: Terms, ven_id: str, of: _Participant) -> Account:
    entries = list(of.entries)
    earned = sum((entry.amount for entry in entries), money(terms, NOTHING))
    if (bound := _bounded(terms, earned)) is not None:
        entries.append(bound)
        earned += bound.amount
    tax = money(terms, NOTHING)
    if terms.tax is not None:
        tax = money(terms, earned * terms.tax.rate)
        entries.append(Entry(Clause.TAX, earned, terms.currency, terms.tax.rate, tax, f"{terms.tax.name} of the sum"))
    return Account(ven_id, of.deliveries, entries, net=earned, tax=tax, total=earned + tax)


def _bounded(terms: Terms, earned: Decimal) -> Entry | None:
    if terms.cap is not None and earned > terms.cap:
        clause, bound, word = Clause.CAP, terms.cap, "above"
    elif terms.floor is not None and earned < terms.floor:
        clause, bound, word = Clause.FLOOR, terms.floor, "below"
    else:
        return None
    amount = money(terms, bound) - earned
    because = f"{earned} is {word} the {clause} of {bound} for a period"
    return Entry(clause, amount, terms.currency, None, amount, because)


def sums(found: Sequence[Account]) -> dict[str, Decimal]:
    """Net, tax and total of all accounts, and the energy that was delivered in them."""
    with localcontext(EXACT):
        delivered = sum((one.delivered_kwh for account in found for one in account.deliveries), kwh(0))
        each = {name: sum((getattr(one, name) for one in found), NOTHING) for name in ("net", "tax", "total")}
    return {**each, "delivered_kwh": delivered}
