"""Statements written by hand for the tests of money: who delivered how much in which interval."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np

from tieline.base.time import from_micros
from tieline.settlement.intervals import MILLIWATT_HOURS, Intervals
from tieline.settlement.model import STEP_S, Statement, StatementLine, edges_us
from tieline.settlement.runs.energy import Event, Prices
from tieline.settlement.terms.model import Terms

START = datetime(2026, 6, 10, 7, tzinfo=UTC)  # five in the afternoon of Sydney


def terms(**given: Any) -> Terms:
    said = {
        "program_id": "peak",
        "number": 1,
        "valid_from": "2026-06-01",
        "zone": "Australia/Sydney",
        "currency": "AUD",
        "baseline": "caiso-10-in-10",
        "energy": {"type": "fixed", "price_per_kwh": "0.50"},
    }
    return msgspec.convert(said | given, Terms)


def event(
    delivered: Mapping[str, Sequence[float]],
    *,
    event_id: str = "hot",
    asked: float = 0.0,
    price: str | Sequence[str] = "0.50",
    start: datetime = START,
    baseline: float = 1.0,
) -> Event:
    """kWh by VEN and interval, of a baseline of so much in each; one price, or one an interval."""
    steps = len(next(iter(delivered.values())))
    end = start + timedelta(seconds=STEP_S * steps)
    ven_ids = sorted(delivered)
    mwh = np.rint(np.array([delivered[one] for one in ven_ids]) * MILLIWATT_HOURS).astype(np.int64)
    base = np.full(mwh.shape, round(baseline * MILLIWATT_HOURS))
    kept = Intervals(ven_ids, edges_us(start, end), base, base - mwh, np.full(mwh.shape, STEP_S * 1_000_000))
    prices = (
        Prices([Decimal(price)], "fixed") if isinstance(price, str) else Prices(list(map(Decimal, price)), "market")
    )
    lines = [
        StatementLine(ven_id, b / 1e6, (b - d) / 1e6, d / 1e6, 0.0, 8, "", asked)
        for ven_id, b, d in zip(ven_ids, base.sum(axis=1).tolist(), mwh.sum(axis=1).tolist(), strict=True)
    ]
    return Event(_statement(event_id, lines, kept), prices, kept)


def _statement(event_id: str, lines: list[StatementLine], kept: Intervals) -> Statement:
    start, end = (from_micros(int(us)) for us in kept.edges_us[[0, -1]])
    return Statement(
        statement_id="",
        event_id=event_id,
        program_id="peak",
        start_at=start,
        end_at=end,
        target_kw=10.0,
        known_at=end,
        baseline_kwh=0.0,
        used_kwh=0.0,
        delivered_kwh=0.0,
        target_kwh=0.0,
        gap_seconds=0.0,
        vens=len(lines),
        rule="caiso-10-in-10",
        baseline_known_at=start,
        baseline_digest="",
        readings_digest="",
        lines=lines,
    ).numbered(1)
