"""A small run, whole: three participants, two events, every clause that money can come by."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec

from tieline.settlement.model import digest_of
from tieline.settlement.runs.model import Account, Clause, Delivery, Entry, Input, InputKind, Run

STARTS = [datetime(2026, 6, day, 16, tzinfo=UTC) for day in (10, 11)]
CENT = Decimal("0.01")


def small_run(homes: int = 3) -> Run:
    accounts = [account(n) for n in range(1, homes + 1)]
    deliveries = [delivery for one in accounts for delivery in one.deliveries]
    run = Run(
        run_id="peak-2026-06-01-2",
        program_id="peak",
        from_day=date(2026, 6, 1),
        until_day=date(2026, 7, 1),
        zone="Australia/Sydney",
        currency="AUD",
        known_at=datetime(2026, 7, 3, 1, tzinfo=UTC),
        number=2,
        participants=homes,
        events=len(STARTS),
        delivered_kwh=sum((one.delivered_kwh for one in deliveries), Decimal(0)),
        net=sum((one.net for one in accounts), Decimal(0)),
        tax=sum((one.tax for one in accounts), Decimal(0)),
        total=sum((one.total for one in accounts), Decimal(0)),
        inputs=[Input(InputKind.TERMS, "peak-1", "ab" * 32), Input(InputKind.STATEMENT, "hot-1-1", "cd" * 32)],
        accounts=accounts,
        restates="ef" * 32,
    )
    return msgspec.structs.replace(run, digest=digest_of(run))


def account(n: int) -> Account:
    kwh = Decimal("1.234567") * n
    entries = [energy(f"hot-{i}", start, kwh) for i, start in enumerate(STARTS, 1)]
    paid = Decimal("1851.75")
    entries.append(Entry(Clause.CAPACITY, Decimal("1.5"), "kW·month", Decimal("1234.5"), paid, "1.5 kW × 1 month × 1"))
    entries.append(Entry(Clause.PENALTY, Decimal("0.3"), "kWh", Decimal("0.1"), Decimal("-0.03"), "=0.3 kWh short"))
    net = sum((one.amount for one in entries), Decimal(0))
    tax = (net / 10).quantize(CENT)
    entries.append(Entry(Clause.TAX, net, "AUD", Decimal("0.1"), tax, "10 % of the net: 消費税, Łódź, Ωμέγα, <b>"))
    deliveries = [delivered(f"hot-{i}", kwh) for i in (1, 2)]
    return Account(f"home-{n}", deliveries, entries, net, tax, net + tax)


def energy(event_id: str, start: datetime, kwh: Decimal) -> Entry:
    price = Decimal("0.42")
    span = start, start + timedelta(hours=2)
    because = f"{kwh} kWh delivered in {event_id} at {price}"
    return Entry(Clause.ENERGY, kwh, "kWh", price, (kwh * price).quantize(CENT), because, event_id, *span)


def delivered(event_id: str, kwh: Decimal) -> Delivery:
    baseline = Decimal("7.1")
    note = "a gap of 90 s" if event_id == "hot-1" else ""
    used = baseline - kwh
    return Delivery(event_id, f"{event_id}-1", Decimal("2.5"), baseline, used, kwh, kwh, 90.0 if note else 0.0, note)
