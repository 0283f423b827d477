"""Settling 10,000 participants with 20 events: statements from readings, then a run to the cent at a market's price.

Run: python -m tests.bench.bench_settlement [PARTICIPANTS]

Beside each stands the cost of merely reading the same data. Limit: statements and run together in a minute.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from tieline.adapters.blobs import ObjectBlobs
from tieline.adapters.series import DeltaSeries
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.names import power_series
from tieline.base.series import INSTANT, READINGS, Declaration, Stamp
from tieline.base.time import VirtualClock, micros
from tieline.dispatch import publishing
from tieline.dispatch import reads as dispatch
from tieline.dispatch import store as dispatch_store
from tieline.dispatch.model import EventState, NewEvent, NewProgram, RowState
from tieline.ports import Transaction
from tieline.registry import actions as registry
from tieline.registry.importing import import_sheet
from tieline.settlement import actions as settlement
from tieline.settlement import metering, reads, store
from tieline.settlement.baseline.intervals import History
from tieline.settlement.baseline.sureness import sureness
from tieline.settlement.calibration import calibration, packed
from tieline.settlement.intervals import unpacked
from tieline.settlement.model import FrozenBaseline, Stood, VenBaseline
from tieline.settlement.runs import actions
from tieline.settlement.runs import reads as runs
from tieline.settlement.runs.actions import NewRun
from tieline.settlement.terms import actions as terms
from tieline.settlement.terms.model import NewTerms

EVENTS, HOURS = 20, 2
LIMIT_S = 60.0
FIRST = datetime(2026, 6, 1, 7, tzinfo=UTC)  # five in the afternoon of Brisbane
READ = timedelta(minutes=15)
PRICE = Declaration("nem.QLD1.price", "AUD/MWh", 300, "Australia/Brisbane", Stamp.END, 300, "nem")
TERMS = {
    "valid_from": "2026-06-01",
    "zone": "Australia/Brisbane",
    "currency": "AUD",
    "baseline": "caiso-10-in-10",
    "energy": {"type": "market", "series_id": PRICE.series_id},
    "penalty": {"price_per_kwh": "0.20"},
    "tax": {"name": "GST", "rate": "0.10"},
}


class Market:
    """A fleet that was called and read all June, beside a market."""

    def __init__(self, folder: Path, rows: SqliteRows, clock: VirtualClock, participants: int) -> None:
        self.rows, self.clock = rows, clock
        self.series = DeltaSeries.in_folder(folder / "series")
        self.blobs = ObjectBlobs.folder(folder / "blobs")
        self.ven_ids = [f"home-{n:05}" for n in range(participants)]
        self.starts = [FIRST + timedelta(days=n) for n in range(EVENTS)]
        self.random = np.random.default_rng(0)
        self.sure = sureness(self.history(days=60, vens=400))

    def history(self, days: int, vens: int) -> History:
        """Of a sample of them, on like days: what intervals are made of."""
        shape, lift_kw = (days, vens), self.random.normal(0, 1, (days, vens))
        errors = self.random.normal(0, 0.5, (*shape, HOURS * 12)) * (1 + np.abs(lift_kw))[..., None]
        errors[-1] = np.nan
        return History(errors, np.full(shape, 2.0), lift_kw, np.full(shape, 4.0))

    async def register(self) -> None:
        header = "site_id,zone,ven_id,resource_id,kind,rated_kw,sheddable\n"
        lines = [f"{one},Australia/Brisbane,{one},hvac,hvac,5,yes\n" for one in self.ven_ids]
        report = await import_sheet(self.rows, self.clock, (header + "".join(lines)).encode(), dry_run=False)
        assert report.refused == 0, report
        await registry.declare(self.rows, self.clock, PRICE)
        now = self.clock.now()
        await self.rows.transaction(lambda tx: publishing.add_program(tx, NewProgram("peak", "Peak"), now))
        new = msgspec.convert(TERMS, NewTerms)
        await self.rows.transaction(lambda tx: terms.put(tx, "peak", new, now))

    async def call(self, n: int) -> None:
        """An event that is over, that each VEN accepted, with its frozen baselines."""
        start = self.starts[n]
        end, event_id = start + timedelta(hours=HOURS), f"event-{n:02}"
        kw = self.random.gamma(4.0, 0.5, (len(self.ven_ids), HOURS * 12)).round(6).tolist()
        stood = [Stood(lift, 4.0, 0.1) for lift in self.random.normal(0, 1, len(kw)).round(6).tolist()]
        each = zip(self.ven_ids, kw, stood, strict=True)
        vens = [VenBaseline(one, row, 1.0, [], stood=then) for one, row, then in each]
        frozen = FrozenBaseline(event_id, "caiso-10-in-10", start, start, end, 300, vens, [])
        frozen = msgspec.structs.replace(frozen, calibration=calibration(self.sure, 400))
        row = {"event_id": event_id, "resource_id": "hvac", "state": RowState.RESTORED, "planned_kw": 1.0}
        row |= {"cause": "", "planned_at": start, "answer": "accepted", "restoring_at": end, "restored_at": end}
        ended = {"state": EventState.ENDED, "started_at": start, "ended_at": end}

        def work(tx: Transaction) -> None:
            new = NewEvent("peak", start, end, float(len(self.ven_ids)), event_id=event_id, allow_past=True)
            publishing.publish(tx, new, start)
            tx.execute(sa.update(dispatch_store.event).where(dispatch_store.event.c.event_id == event_id).values(ended))
            tx.execute(sa.insert(dispatch_store.ledger), [{**row, "ven_id": one} for one in self.ven_ids])
            store.put_baseline(tx, frozen, packed(self.sure))

        await self.rows.transaction(work)

    async def read(self, n: int) -> None:
        """Its meters, a quarter of an hour at a time, and the market."""
        start, end = self.starts[n], self.starts[n] + timedelta(hours=HOURS)
        quarters = np.array([micros(start + READ * k) for k in range(-1, HOURS * 4 + 2)])
        meters = [power_series(one) for one in self.ven_ids]
        prices = np.array([micros(start + timedelta(minutes=5 * k)) for k in range(1, HOURS * 12 + 1)])
        ids = np.concatenate([np.repeat(meters, len(quarters)), np.repeat([PRICE.series_id], len(prices))])
        at = np.concatenate([np.tile(quarters, len(meters)), prices])
        kw = self.random.gamma(2.0, 0.5, len(meters) * len(quarters))
        value = np.concatenate([kw, self.random.gamma(2.0, 60.0, len(prices)).round(2)])
        known = np.full(len(at), micros(end))
        columns = [pa.array(ids), pa.array(at, INSTANT), pa.array(value), pa.array(np.zeros(len(at), np.int16))]
        columns += [pa.array(known, INSTANT), pa.array(np.arange(len(at)))]
        await self.series.append(pa.Table.from_arrays(columns, schema=READINGS), writer="bench", position=n + 1)

    async def settle(self) -> None:
        for n in range(EVENTS):
            await settlement.settle(
                f"event-{n:02}", rows=self.rows, series=self.series, blobs=self.blobs, clock=self.clock
            )

    async def run(self) -> None:
        made = await actions.settle(
            "peak",
            NewRun(date(2026, 6, 1), date(2026, 7, 1)),
            rows=self.rows,
            series=self.series,
            blobs=self.blobs,
            clock=self.clock,
            now=self.clock.now(),
        )
        assert (made.participants, made.events) == (len(self.ven_ids), EVENTS)
        print(f"  {made.run_id}: {made.delivered_kwh} kWh, {made.total} {made.currency}")

    async def read_meters(self) -> None:
        """What statements are made of: ledgers, baselines, readings."""
        for n in range(EVENTS):
            event_id, start = f"event-{n:02}", self.starts[n]
            await dispatch.participants(self.rows, event_id)
            await self.rows.read(lambda reader, event_id=event_id: reads.the_baseline(reader, event_id))  # type: ignore[misc]
            for group in await metering.meters(self.rows, lambda _: True):
                await metering.read(self.series, group, start, start + timedelta(hours=HOURS), self.clock.now())

    async def read_statements(self) -> None:
        """What a run is made of: statements and their intervals."""
        for n in range(EVENTS):
            event_id = f"event-{n:02}"
            (statement,) = await self.rows.read(lambda reader, event_id=event_id: reads.statements_of(reader, event_id))  # type: ignore[misc]
            unpacked(await self.blobs.get(statement.intervals_digest))

    async def read_run(self) -> None:
        await runs.the_run(self.rows, "peak-2026-06-01-1")


class Took(msgspec.Struct):
    """Seconds of the wall, and of a processor."""

    wall: float
    busy: float

    def __add__(self, other: "Took") -> "Took":
        return Took(self.wall + other.wall, self.busy + other.busy)

    def beside(self, other: "Took | None" = None) -> str:
        times = "" if other is None else f"   {self.wall / other.wall:6.2f} times reading"
        return f"{self.wall:7.2f} s, {self.busy:6.2f} of a processor{times}"


async def took(work: Callable[[], Awaitable[None]]) -> Took:
    start, busy = time.perf_counter(), time.process_time()
    await work()
    return Took(time.perf_counter() - start, time.process_time() - busy)


async def main() -> None:
    participants = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as name:
        clock = VirtualClock(FIRST - timedelta(days=30))
        async with SqliteRows(Path(name) / "rows.sqlite", clock) as rows:
            await rows.migrate()
            market = Market(Path(name), rows, clock, participants)
            print(f"{participants:,} participants, {EVENTS} events: entering them takes a while")
            await market.register()
            await clock.advance(40 * 86400 + 30 * 86400)
            for n in range(EVENTS):
                await market.call(n)
                await market.read(n)
            await market.series.compact()
            await told(market, participants)
            await market.series.close()


async def told(market: Market, participants: int) -> None:
    meters = await took(market.read_meters)
    settling = await took(market.settle)
    statements = await took(market.read_statements)
    running = await took(market.run)
    whole = await took(market.read_run)
    together, reading = settling + running, meters + statements
    print(f"reading ledgers, baselines and meters  {meters.beside()}")
    print(f"{EVENTS} statements from them              {settling.beside(meters)}")
    print(f"reading statements and intervals       {statements.beside()}")
    print(f"a run from them, to the cent           {running.beside(statements)}")
    print(f"reading that run                       {whole.beside()}")
    print(f"statements and run                     {together.beside(reading)}")
    held = "within" if together.wall <= LIMIT_S * participants / 10_000 else "OVER"
    print(f"{held} the limit of {LIMIT_S:g} s for 10,000")


if __name__ == "__main__":
    asyncio.run(main())
