"""A document as CSV (RFC 4180): every entry of its accounts, one a line; the amounts add up to the total. Pure."""

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import msgspec

from tieline.base.time import iso
from tieline.settlement.documents.model import AccountDocument, accounts
from tieline.settlement.runs.model import Account, Clause, Entry, Run

HEADER = (
    "run_id",
    "ven_id",
    "clause",
    "event_id",
    "from_at",
    "until_at",
    "quantity",
    "unit",
    "price",
    "amount",
    "currency",
    "because",
    "delivered_low_kwh",
    "delivered_high_kwh",
)


def csv_of(shown: Run | AccountDocument) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(HEADER)
    for account in accounts(shown):
        writer.writerows(_lines(shown, account))
    return out.getvalue().encode()


def _lines(shown: Run | AccountDocument, account: Account) -> Iterator[tuple[str, ...]]:
    delivered = {one.event_id: one for one in account.deliveries}
    for entry in account.entries:
        of = delivered.get(entry.event_id) if entry.clause is Clause.ENERGY else None
        ends = (of.delivered_low_kwh, of.delivered_high_kwh) if of else (msgspec.UNSET,) * 2
        between = ("" if isinstance(end, msgspec.UnsetType) else plain(end) for end in ends)
        yield (shown.run_id, account.ven_id, *_cells(entry), shown.currency, _text(entry.because), *between)


def _cells(entry: Entry) -> tuple[str, ...]:
    span = _instant(entry.from_at), _instant(entry.until_at)
    return (
        entry.clause,
        entry.event_id,
        *span,
        plain(entry.quantity),
        entry.unit,
        plain(entry.price),
        plain(entry.amount),
    )


def plain(number: Decimal | None) -> str:
    """All its digits, never an exponent."""
    return "" if number is None else f"{number:f}"


def _instant(at: datetime | None) -> str:
    return "" if at is None else iso(at)


def _text(said: str) -> str:
    """What a spreadsheet would run as a formula is quoted with an apostrophe."""
    return f"'{said}" if said[:1] in ("=", "+", "-", "@", "\t") else said
