"""What a PDF says of a run or an account, as rows of text. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UnsetType

from tieline.base.time import iso
from tieline.settlement.documents.model import AccountDocument, accounts
from tieline.settlement.documents.style import shown
from tieline.settlement.model import Calibration
from tieline.settlement.runs.model import Account, Clause, Input, Measured, MeasuredEvent, Run

Row = tuple[str, ...]


class Table(msgspec.Struct, frozen=True):
    """`numbers`: which columns hold them; `shares`: of the width; `summed`: the last row is the others' sum."""

    header: Row
    rows: Sequence[Row]
    numbers: slice
    shares: Sequence[float]
    summed: bool = False


def number(value: Decimal | None) -> str:
    """All its digits, thousands apart."""
    return "" if value is None else f"{value:,f}"


def money(value: Decimal, currency: str) -> str:
    return f"{currency} {number(value)}"


def markup(text: str) -> str:
    return escape(shown(text))


# --- the summary ------------------------------------------------------------------------------------------------------


def title(document: Run | AccountDocument) -> str:
    return "Settlement run" if isinstance(document, Run) else "Settlement statement"


def reference(document: Run | AccountDocument) -> str:
    return document.run_id if isinstance(document, Run) else f"{document.run_id} / {document.account.ven_id}"


def facts(document: Run | AccountDocument) -> list[Row]:
    last = document.until_day - timedelta(days=1)
    return [
        *_who_and_how_often(document),
        ("Program", document.program_id),
        ("Period", f"{document.from_day} to {last}"),
        ("Zone", document.zone),
        ("Delivered", f"{number(delivered_kwh(document))} kWh"),
        ("As known at", iso(document.known_at)),
        ("Run", _numbered(document)),
    ]


def _who_and_how_often(document: Run | AccountDocument) -> list[Row]:
    if isinstance(document, Run):
        return [("Participants", f"{document.participants:,}"), ("Events", f"{document.events:,}")]
    return [("Participant", document.account.ven_id), ("Events", f"{len(document.account.deliveries):,}")]


def delivered_kwh(document: Run | AccountDocument) -> Decimal:
    if isinstance(document, Run):
        return document.delivered_kwh
    return sum((one.delivered_kwh for one in document.account.deliveries), Decimal(0))


def _numbered(document: Run | AccountDocument) -> str:
    before = f", restates {document.restates[:16]}…" if document.restates else ""
    return f"{document.number} of its period{before}"


def amounts(document: Run | AccountDocument) -> list[Row]:
    of, currency = (document if isinstance(document, Run) else document.account), document.currency
    return [
        ("Net", money(of.net, currency)),
        ("Tax", money(of.tax, currency)),
        ("Total", money(of.total, currency)),
    ]


def who_owes(document: Run | AccountDocument) -> str:
    if isinstance(document, Run):
        return "Totals are what the participants are owed; less than zero: what they owe."
    owed = document.account.total
    if owed < 0:
        return f"{document.account.ven_id} owes {money(-owed, document.currency)} for this period."
    return f"{document.account.ven_id} is owed {money(owed, document.currency)} for this period."


def by_clause(document: Run | AccountDocument) -> Table:
    sums: dict[Clause, Decimal] = defaultdict(Decimal)
    counts: dict[Clause, int] = defaultdict(int)
    for account in accounts(document):
        for entry in account.entries:
            sums[entry.clause] += entry.amount
            counts[entry.clause] += 1
    rows = [(one.value, f"{counts[one]:,}", number(sums[one])) for one in Clause if one in sums]
    total = ("total", f"{sum(counts.values()):,}", number(sum(sums.values(), Decimal(0))))
    header = ("Clause of the terms", "Entries", f"Amount {document.currency}")
    return Table(header, [*rows, total], slice(1, None), (0.5, 0.2, 0.3), summed=True)


# --- what is behind it ------------------------------------------------------------------------------------------------


def in_short(of: Sequence[Account], currency: str) -> Table:
    header = ("Participant", "Events", "Delivered kWh", "Net", "Tax", f"Total {currency}")
    return Table(header, [_account(one) for one in of], slice(1, None), (0.32, 0.08, 0.15, 0.15, 0.12, 0.18))


def deliveries(account: Account) -> Table:
    header = ("Event", "Asked kWh", "Baseline kWh", "Used kWh", "Delivered kWh", "between", "Paid kWh", "Gaps")
    rows = [
        (
            one.event_id,
            *map(number, (one.asked_kwh, one.baseline_kwh, one.used_kwh, one.delivered_kwh)),
            between(one.delivered_low_kwh, one.delivered_high_kwh),
            number(one.paid_kwh),
            f"{one.gap_seconds:g} s" if one.gap_seconds else "none",
        )
        for one in account.deliveries
    ]
    return Table(header, rows, slice(1, None), (0.24, 0.11, 0.12, 0.11, 0.12, 0.14, 0.1, 0.06))


def events(of: Sequence[MeasuredEvent]) -> Table:
    header = ("Event", "Baseline by", "Delivered kWh", "between")
    rows = [
        (
            one.event_id,
            one.rule,
            f"{one.delivered_kwh:,.6f}",
            between(one.delivered_low_kwh, one.delivered_high_kwh),
        )
        for one in of
    ]
    return Table(header, rows, slice(2, None), (0.4, 0.25, 0.15, 0.2))


def between(low: float | Decimal | UnsetType, high: float | Decimal | UnsetType) -> str:
    """Both ends to a hundredth of a kilowatt-hour: more digits than are sure."""
    if isinstance(low, UnsetType) or isinstance(high, UnsetType):
        return "not told"
    return f"{low:,.2f} to {high:,.2f}"


def how_sure(measured: Sequence[Measured], *, together: bool = False) -> list[str]:
    """How the intervals of events were made, those alike in one line, as markup; `together`: those of sums."""
    lines: dict[str, list[str]] = defaultdict(list)
    for one in measured:
        lines[_how_sure(one.rule, one.calibration, together=together)].append(one.event_id)
    return [f"{markup(', '.join(names))}: {markup(line)}" for line, names in lines.items()]


def _how_sure(rule: str, made: Calibration, *, together: bool) -> str:
    if why := (made.sum_why if together else made.why):
        return f"no interval can be told: {why}."
    of = f"{made.errors:,} errors of {rule} on {made.days} like days before, of {made.vens:,} VENs"
    held = made.sum_held if together else made.held
    measured = (
        "" if held is None else f" Of those days themselves, judged by the ones before them, {held:.1%} were held."
    )
    return f"what was delivered lies between with a chance of {made.level:.0%}, by {of}.{measured}"


def notes(account: Account) -> list[str]:
    """What is to be said of events, as markup."""
    return [f"{markup(one.event_id)}: {markup(one.note)}" for one in account.deliveries if one.note]


def _account(one: Account) -> Row:
    delivered = sum((each.delivered_kwh for each in one.deliveries), Decimal(0))
    events = f"{len(one.deliveries):,}"
    return (one.ven_id, events, *map(number, (delivered, one.net, one.tax, one.total)))


def entries(account: Account, zone: str) -> Table:
    header = ("", "Clause", "Event", "Of", "Quantity", "Price", "Amount")
    rows = [
        (
            f"{n}",
            one.clause.value,
            one.event_id,
            _span(one.from_at, one.until_at, zone),
            f"{number(one.quantity)} {one.unit}",
            number(one.price),
            number(one.amount),
        )
        for n, one in enumerate(account.entries, 1)
    ]
    total = ("", "total", "", "", "", "", number(account.total))
    return Table(header, [*rows, total], slice(4, None), (0.05, 0.11, 0.24, 0.2, 0.16, 0.11, 0.13), summed=True)


def _span(from_at: datetime | None, until_at: datetime | None, zone: str) -> str:
    if from_at is None or until_at is None:
        return "the period"
    return f"{from_at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}, {(until_at - from_at).total_seconds() / 60:g} min"


def inputs(found: Sequence[Input]) -> Table:
    rows = [(one.kind.value, one.name, one.digest) for one in found]
    return Table(("Input", "Name", "SHA-256 of its canonical JSON"), rows, slice(3, 3), (0.12, 0.28, 0.6))


def checking(document: Run | AccountDocument, digest: str) -> list[str]:
    """As markup."""
    whole = "" if isinstance(document, Run) else f" The whole run has the SHA-256 {document.run_digest}."
    return [
        f"The same as canonical JSON has the SHA-256 {digest}.{whole}",
        (
            "This file is signed with Ed25519; its signature is a file of the same name that ends in .jws, the public "
            "keys are at /v1/settlements/keys. With the three, and without us: "
            "tieline settlement verify FILE --keys KEYS"
        ),
    ]
