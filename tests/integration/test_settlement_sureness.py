"""How sure a statement is: from fifty days of readings to the intervals of its lines, its sum and its documents."""

from datetime import UTC, timedelta

import msgspec
import numpy as np

from tests.integration.settlement_world import END, QUARTER, START, World, world
from tieline.base.names import power_series
from tieline.base.series import readings
from tieline.settlement import reads
from tieline.settlement.documents.content import content_of
from tieline.settlement.documents.model import Form, of_account
from tieline.settlement.model import Statement, canonical, digest_of
from tieline.settlement.runs.actions import NewRun
from tieline.settlement.runs.actions import settle as run
from tieline.settlement.terms import actions as terms
from tieline.settlement.terms.model import NewTerms

__all__ = ["world"]  # a fixture

HOMES = [f"home-{n}" for n in range(6)]
DAYS = 50
TERMS = {
    "valid_from": "2026-01-01",
    "zone": "America/Los_Angeles",
    "currency": "USD",
    "baseline": "caiso-10-in-10",
    "energy": {"type": "fixed", "price_per_kwh": "0.50"},
}


async def evenings(world: World, days: int) -> None:
    """Every home between 1 and 3 kW from 12:00 to 19:00, another mean each day."""
    random = np.random.default_rng(0)
    ids, at, kw = [], [], []
    for day in range(1, days + 1):
        first = START - timedelta(days=day, hours=5)
        stamps = [(first + QUARTER * n).astimezone(UTC) for n in range(1, 29)]
        for home in HOMES:
            ids += [power_series(home)] * len(stamps)
            at += stamps
            kw += (random.uniform(1, 3) + random.uniform(-0.2, 0.2, len(stamps))).tolist()
    table = readings(ids, at, kw, known_at=START.astimezone(UTC), seq=1)
    await world.series.append(table, writer="history", position=1)


async def stated(world: World, days: int = DAYS) -> Statement:
    await world.register(*HOMES)
    await evenings(world, days)
    for home in HOMES:
        await world.read(home, START - timedelta(hours=5), START, 2.0, known_at=START)
    await world.freeze(await world.call(*HOMES))
    for home in HOMES:
        await world.read(home, START, END + QUARTER, 0.5, known_at=END)
    await world.over()
    await world.until(END + timedelta(seconds=120))
    return await world.settle()


async def test_a_statement_says_between_what_it_lies_and_how_that_is_known(world: World) -> None:
    statement = await stated(world)
    made = statement.calibration
    assert not isinstance(made, msgspec.UnsetType)
    assert (made.level, made.vens, made.why, made.sum_why) == (0.9, 6, "", "")
    assert made.days >= 25
    assert made.errors == 6 * made.days
    assert made.held is not None
    assert 0.75 < made.held <= 1
    widths = []
    for line in statement.lines:
        assert isinstance(line.delivered_low_kwh, float)
        assert isinstance(line.delivered_high_kwh, float)
        assert line.delivered_low_kwh < 3.0 < line.delivered_high_kwh  # 2 kW less 0.5 kW for two hours
        widths.append(line.delivered_high_kwh - line.delivered_low_kwh)
    assert isinstance(statement.delivered_low_kwh, float)
    assert isinstance(statement.delivered_high_kwh, float)
    together = statement.delivered_high_kwh - statement.delivered_low_kwh
    assert 0.2 * sum(widths) < together < 0.7 * sum(widths)  # errors of homes on their own cancel
    assert digest_of(msgspec.structs.replace(statement, digest="")) == statement.digest
    assert canonical(await world.settle(known_at=statement.known_at)) == canonical(statement)
    async with world.door() as door:
        for ven in ("", "&ven_id=home-3"):
            found = (await door.get(f"/v1/statements/{statement.statement_id}/intervals?limit=100{ven}")).json()[
                "items"
            ]
            assert all(one["low_kwh"] < one["baseline_kwh"] < one["high_kwh"] for one in found)
            assert len(found) == 24
        told = (await door.get(f"/v1/statements/{statement.statement_id}/explanation?ven_id=home-3")).json()
        assert told["calibration"] == msgspec.to_builtins(made)
        assert told["stood"]["highest_kw"] > 2


async def test_an_account_hands_it_over(world: World) -> None:
    new = msgspec.convert(TERMS, NewTerms)
    await stated(world)
    await world.rows.transaction(lambda tx: terms.put(tx, "summer", new, world.clock.now()))
    await world.clock.advance(86400)
    period = NewRun(START.date(), START.date() + timedelta(days=1))
    ports = {"rows": world.rows, "series": world.series, "blobs": world.blobs, "clock": world.clock}
    made = await run("summer", period, **ports, now=world.clock.now())  # type: ignore[arg-type]
    (event,) = made.measured or []
    assert event.calibration.days >= 25
    account = made.accounts[3]
    document = of_account(made, account)
    assert b"delivered_low_kwh" in content_of(document, Form.JSON)
    assert b'"delivered_kwh":18.0' not in content_of(document, Form.JSON)  # what all delivered is not its business
    low, high = account.deliveries[0].delivered_low_kwh, account.deliveries[0].delivered_high_kwh
    lines = content_of(document, Form.CSV).decode().splitlines()
    assert lines[1].endswith(f",{low},{high}")
    for shown in (document, made):
        assert content_of(shown, Form.PDF) == content_of(shown, Form.PDF)


async def test_with_few_days_it_says_why_there_is_none(world: World) -> None:
    statement = await stated(world, days=12)
    made = statement.calibration
    assert not isinstance(made, msgspec.UnsetType)
    assert made.why.endswith("on 3 like days; 19 on 5 are needed")
    assert made.digest == ""
    assert statement.delivered_low_kwh is msgspec.UNSET
    assert await world.rows.read(lambda reader: reads.sureness_of(reader, "hot")) is None
