"""One account explained: each event down to its intervals, to the days behind its baseline and the readings."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal, localcontext
from itertools import repeat

import msgspec

from tieline.base.time import from_micros
from tieline.ports import Blobs, Reader, Rows, Series
from tieline.settlement import reads as statements
from tieline.settlement.intervals import Intervals
from tieline.settlement.model import Statement
from tieline.settlement.proof import Behind, behind, intervals_of, the_line
from tieline.settlement.runs import reads
from tieline.settlement.runs.arithmetic import EXACT
from tieline.settlement.runs.energy import Prices, counted, kwh
from tieline.settlement.runs.model import Account, Run
from tieline.settlement.runs.pricing import prices
from tieline.settlement.terms import reads as terms_reads
from tieline.settlement.terms.model import Netting, Terms


class PaidInterval(msgspec.Struct, frozen=True):
    """Baseline less use is delivered; what of it counts, times the price, is the amount before it is rounded. The
    baseline lies between `low_kwh` and `high_kwh`, where that can be told."""

    from_at: datetime
    until_at: datetime
    baseline_kwh: Decimal
    used_kwh: Decimal
    gap_s: float
    paid_kwh: Decimal
    price_per_kwh: Decimal
    amount: Decimal
    low_kwh: Decimal | None = None
    high_kwh: Decimal | None = None


class EventExplained(Behind, frozen=True):
    """One event of an account; no intervals where it was not settled, or none were kept."""

    intervals: list[PaidInterval]


class Explanation(msgspec.Struct, frozen=True):
    run_id: str
    currency: str
    terms: Terms
    account: Account
    events: list[EventExplained]


async def explain(rows: Rows, series: Series, blobs: Blobs, run_id: str, ven_id: str) -> Explanation:
    """Raises `NotFound`."""

    def work(reader: Reader) -> tuple[Run, Account, Terms]:
        run = reads.the_head(reader, run_id)
        terms = terms_reads.over(reader, run.program_id, run.from_day, run.until_day)
        return run, reads.the_account(reader, run_id, ven_id), terms

    run, account, terms = await rows.read(work)
    paid = terms.netting is not Netting.PERIOD or sum(one.delivered_kwh for one in account.deliveries) >= 0
    events = []
    for one in account.deliveries:
        events.append(await _event(rows, series, blobs, run, terms, one.statement_id, ven_id, paid=paid))
    return Explanation(run_id, run.currency, terms, account, events)


async def _event(
    rows: Rows, series: Series, blobs: Blobs, run: Run, terms: Terms, statement_id: str, ven_id: str, *, paid: bool
) -> EventExplained:
    def work(reader: Reader) -> tuple[Statement, Behind]:
        statement = statements.the_statement(reader, statement_id)
        return statement, behind(reader, statement, ven_id)

    statement, found = await rows.read(work)
    intervals: list[PaidInterval] = []
    if the_line(statement, ven_id).settled and statement.intervals_digest:
        kept = await intervals_of(statement, blobs)
        priced = await prices(terms.energy, kept.edges_us, run.known_at, rows, series)
        intervals = _paid(kept, kept.place[ven_id], priced, terms, paid=paid)
    return EventExplained(**msgspec.structs.asdict(found), intervals=intervals)


def _paid(kept: Intervals, i: int, priced: Prices, terms: Terms, *, paid: bool) -> list[PaidInterval]:
    """`paid`: whether anything of the event counts, once the whole period was netted."""
    counts = counted(kept.delivered_mwh[i : i + 1], terms.netting)[0] * (1 if paid else 0)
    edges = [from_micros(us) for us in kept.edges_us.tolist()]
    each = list(priced.per_kwh) * (len(counts) if len(priced.per_kwh) == 1 else 1)
    columns = (kept.baseline_mwh[i], kept.used_mwh[i], kept.covered_us[i], counts)
    unknown: list[Iterable[Decimal | None]] = [repeat(None)] * 2
    ends = [map(kwh, end.tolist()) for end in kept.ends_of(i)] or unknown
    rows = zip(edges, edges[1:], *(column.tolist() for column in columns), each, *ends, strict=False)
    with localcontext(EXACT):
        return [
            PaidInterval(
                start,
                end,
                kwh(base),
                kwh(used),
                (end - start).total_seconds() - covered / 1_000_000,
                kwh(count),
                price,
                kwh(count) * price,
                low,
                high,
            )
            for start, end, base, used, covered, count, price, low, high in rows
        ]
