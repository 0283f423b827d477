"""The promises of Rows, held against SQLite and a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import insert

from tieline.adapters.sql.postgres import PostgresRows
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.errors import Broken, Conflict, Refused, TielineError
from tieline.base.time import RatedClock
from tieline.columns import Instant, Json, Money
from tieline.ports import Reader, Transaction

AnyRows = SqliteRows | PostgresRows


class Load(msgspec.Struct, frozen=True):
    name: str
    rated_kw: float | None


TABLES = sa.MetaData()
COUNTS = sa.Table(
    "counts", TABLES, sa.Column("name", sa.Text, primary_key=True), sa.Column("n", sa.BigInteger, nullable=False)
)
PARTS = sa.Table(
    "parts",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("whole", sa.ForeignKey("counts.name", deferrable=True, initially="DEFERRED")),
)
VALUES = sa.Table(
    "vals",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", Instant),
    sa.Column("money", Money),
    sa.Column("data", sa.LargeBinary),
    sa.Column("words", sa.Text),
    sa.Column("loads", Json(list[Load])),
    sa.Column("yes", sa.Boolean),
    sa.Column("real", sa.Double),
    sa.Column("whole", sa.BigInteger),
)


def opened(place: str) -> AbstractAsyncContextManager[AnyRows]:
    if place.startswith("postgresql:"):
        return PostgresRows(place, RatedClock())
    return SqliteRows(Path(place), RatedClock())


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "rows.db")
    return str(request.getfixturevalue("postgres_database"))


@pytest.fixture
async def rows(place: str) -> AsyncIterator[AnyRows]:
    async with opened(place) as rows:
        await rows.transaction(create)
        yield rows


def create(tx: Transaction) -> None:
    for table in TABLES.sorted_tables:
        tx.execute(sa.schema.CreateTable(table))


def do(statement: sa.Executable, rows: Sequence[Mapping[str, Any]] | None = None) -> Callable[[Reader], None]:
    """The work of one statement."""

    def work(tx: Reader) -> None:
        tx.execute(statement, rows)

    return work


def put(name: str, n: int) -> Callable[[Reader], None]:
    return do(COUNTS.insert(), [{"name": name, "n": n}])


def counted(reader: Reader, name: str) -> int | None:
    n: int | None = reader.execute(sa.select(COUNTS.c.n).where(COUNTS.c.name == name)).scalar_one_or_none()
    return n


def increment(tx: Transaction) -> None:
    n = counted(tx, "n") or 0
    tx.execute(sa.update(COUNTS).where(COUNTS.c.name == "n").values(n=n + 1))


# --- what a transaction is --------------------------------------------------------------------------------------------


async def test_concurrent_increments_all_count(rows: AnyRows) -> None:
    await rows.transaction(put("n", 0))
    await asyncio.gather(*(rows.transaction(increment) for _ in range(100)))
    assert await rows.read(lambda reader: counted(reader, "n")) == 100


async def test_two_processes_may_share_the_rows(place: str, rows: AnyRows) -> None:
    await rows.transaction(put("n", 0))
    async with opened(place) as others:
        await asyncio.gather(*(either.transaction(increment) for _ in range(30) for either in (rows, others)))
        assert await others.read(lambda reader: counted(reader, "n")) == 60


async def test_what_was_written_is_read_at_once(rows: AnyRows) -> None:
    for n in range(20):
        await rows.transaction(put(f"n{n}", n))
        assert await rows.read(lambda reader, n=n: counted(reader, f"n{n}")) == n  # type: ignore[misc]


async def test_two_that_watch_each_other_cannot_both_leave(rows: AnyRows) -> None:
    """Write skew: each leaves only while the other stays, so one must stay. Snapshot isolation would let both go."""

    def leave(tx: Transaction, me: str) -> None:
        if tx.execute(sa.select(sa.func.sum(COUNTS.c.n))).scalar_one() == 2:
            tx.execute(sa.update(COUNTS).where(COUNTS.c.name == me).values(n=0))

    await rows.transaction(put("a", 1))
    await rows.transaction(put("b", 1))
    for _ in range(20):
        await rows.transaction(do(sa.update(COUNTS).values(n=1)))
        await asyncio.gather(*(rows.transaction(lambda tx, me=me: leave(tx, me)) for me in "ab"))  # type: ignore[misc]
        assert await rows.read(lambda r: r.execute(sa.select(sa.func.sum(COUNTS.c.n))).scalar_one()) == 1


async def test_a_reader_sees_one_moment(rows: AnyRows) -> None:
    """Amounts move between two rows while readers look at one and then at the other: they always add up."""

    def move(tx: Transaction) -> None:
        for name, change in (("a", -1), ("b", 1)):
            tx.execute(sa.update(COUNTS).where(COUNTS.c.name == name).values(n=COUNTS.c.n + change))

    await rows.transaction(put("a", 1000))
    await rows.transaction(put("b", 0))

    async def watch() -> list[int]:
        return [await rows.read(lambda r: (counted(r, "a") or 0) + (counted(r, "b") or 0)) for _ in range(50)]

    async def move_often() -> None:
        for _ in range(100):
            await rows.transaction(move)

    sums, others, _ = await asyncio.gather(watch(), watch(), move_often())
    assert set(sums + others) == {1000}


async def test_what_raises_never_happened(rows: AnyRows) -> None:
    def fail(tx: Transaction) -> None:
        put("n", 1)(tx)
        raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        await rows.transaction(fail)
    assert await rows.read(lambda reader: counted(reader, "n")) is None


async def test_one_that_fails_takes_no_other_with_it(rows: AnyRows) -> None:
    def work(tx: Transaction, n: int) -> int:
        put(f"n{n}", n)(tx)
        if n % 3 == 0:
            raise Refused("not this one")
        if n % 3 == 1:  # found out at commit only
            tx.execute(PARTS.insert(), [{"id": n, "whole": "nobody"}])
        return n

    results = await asyncio.gather(
        *(rows.transaction(lambda tx, n=n: work(tx, n)) for n in range(60)),  # type: ignore[misc]
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [Refused, Conflict, int] * 20
    assert await rows.read(lambda r: r.execute(sa.select(sa.func.count()).select_from(COUNTS)).scalar_one()) == 20


async def test_a_cancelled_caller_disturbs_nobody(rows: AnyRows) -> None:
    await rows.transaction(put("n", 0))
    tasks = [asyncio.create_task(rows.transaction(increment)) for _ in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[1::2] == [None] * 10
    assert 10 <= (await rows.read(lambda reader: counted(reader, "n")) or 0) <= 20


async def test_a_work_that_raises_stop_iteration_is_answered(rows: AnyRows) -> None:
    for run in (rows.transaction, rows.read):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await run(lambda _: next(iter(())))


# --- what goes wrong, in our words ------------------------------------------------------------------------------------


async def test_what_is_already_there_is_a_conflict(rows: AnyRows) -> None:
    await rows.transaction(put("n", 1))
    with pytest.raises(Conflict, match=r"already there.*counts"):
        await rows.transaction(put("n", 2))


async def test_a_failed_statement_dooms_its_work(rows: AnyRows) -> None:
    def swallow(tx: Transaction) -> None:
        put("other", 1)(tx)
        try:
            put("n", 2)(tx)
        except Conflict:
            return

    await rows.transaction(put("n", 1))
    with pytest.raises(Conflict):
        await rows.transaction(swallow)
    assert await rows.read(lambda reader: counted(reader, "other")) is None


async def test_a_work_may_say_it_better(rows: AnyRows) -> None:
    def explain(tx: Transaction) -> None:
        try:
            put("n", 2)(tx)
        except Conflict as error:
            raise Conflict("there is a count n already") from error

    await rows.transaction(put("n", 1))
    with pytest.raises(Conflict, match="a count n"):
        await rows.transaction(explain)


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        (VALUES.insert().values(at=datetime(2026, 1, 1)), Refused),  # noqa: DTZ001  naive on purpose
        (VALUES.insert().values(money=0.1), Refused),
        (VALUES.insert().values(money=Decimal("NaN")), Refused),
        (VALUES.insert().values(whole=2**70), Refused),
        (COUNTS.insert().values(name="n", n=None), Broken),
        (sa.text("SELECT nothing FROM nowhere"), Broken),
    ],
)
async def test_what_cannot_be_written_is_told_apart(
    rows: AnyRows, statement: sa.Executable, error: type[TielineError]
) -> None:
    with pytest.raises(error):
        await rows.transaction(do(statement))
    await rows.transaction(put("after", 1))


async def test_an_empty_list_of_rows_is_not_a_row(rows: AnyRows) -> None:
    with pytest.raises(Broken, match="empty list"):
        await rows.transaction(do(VALUES.insert(), []))


async def test_a_read_writes_nothing(rows: AnyRows) -> None:
    with pytest.raises(Broken, match="may not write"):
        await rows.read(put("n", 1))
    with pytest.raises(TielineError):
        await rows.read(do(sa.text("INSERT INTO counts VALUES ('n', 1)")))
    assert await rows.read(lambda reader: counted(reader, "n")) is None


# --- values come back as they went ------------------------------------------------------------------------------------

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=ZONES)  # noqa: DTZ001
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
ROWS = st.fixed_dictionaries(
    {
        "at": st.none() | INSTANTS,
        "money": st.none() | st.decimals(allow_nan=False, allow_infinity=False),
        "data": st.none() | st.binary(),
        "words": st.none() | TEXTS,
        "loads": st.none() | st.lists(st.builds(Load, TEXTS, st.none() | st.floats(0, 1e9))),
        "yes": st.none() | st.booleans(),
        "real": st.none() | st.floats(allow_nan=False),
        "whole": st.none() | st.integers(-(2**63), 2**63 - 1),
    }
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=ROWS)
async def test_values_come_back_exactly(rows: AnyRows, value: dict[str, Any]) -> None:
    def write(tx: Transaction) -> int:
        inserted = tx.execute(VALUES.insert().returning(VALUES.c.id), [value])
        row_id: int = inserted.scalar_one()
        return row_id

    row_id = await rows.transaction(write)
    row = await rows.read(lambda r: r.execute(sa.select(VALUES).where(VALUES.c.id == row_id)).mappings().one())
    assert {k: row[k] for k in value} == value
    assert str(row["money"]) == str(value["money"])
    assert row["at"] is None or row["at"].tzinfo is UTC


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(instants=st.lists(INSTANTS, min_size=1))
async def test_instants_order_as_time_does(rows: AnyRows, instants: list[datetime]) -> None:
    await rows.transaction(do(sa.delete(VALUES)))
    await rows.transaction(do(VALUES.insert(), [{"at": at} for at in instants]))
    later = sa.select(VALUES.c.at).where(VALUES.c.at > instants[0]).order_by(VALUES.c.at)
    assert await rows.read(lambda r: list(r.execute(later).scalars())) == sorted(i for i in instants if i > instants[0])


async def test_one_upsert_serves_both_dialects(rows: AnyRows) -> None:
    new = insert(COUNTS)
    upsert = new.on_conflict_do_update(index_elements=[COUNTS.c.name], set_={"n": COUNTS.c.n + new.excluded.n})
    for n in (1, 2, 4):
        await rows.transaction(do(upsert, [{"name": "n", "n": n}]))
    assert await rows.read(lambda reader: counted(reader, "n")) == 7
