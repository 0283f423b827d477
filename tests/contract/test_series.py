"""What Series promises, on a folder and on an S3 API: two times kept apart, nothing lost, doubled or half done."""

import asyncio
import itertools
import random

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.series_world import (
    FOREVER,
    IDS,
    LONG_AGO,
    T0,
    Open,
    View,
    at,
    everything,
    opened,
    rows,
    series,
    summed,
    view,
)
from tieline.adapters.series import DeltaSeries
from tieline.base.errors import Refused
from tieline.base.series import READINGS, empty, readings
from tieline.base.time import MICROSECOND

__all__ = ["opened", "series"]


# --- reading back ---


async def test_nothing_has_the_right_columns(series: DeltaSeries) -> None:
    assert (await series.scan(IDS, LONG_AGO, FOREVER)).equals(empty())
    assert (await series.last(IDS, since=LONG_AGO)).equals(empty())
    await series.append(rows(), writer="w", position=3)
    await series.append(rows((IDS[0], 0, 1.0)), writer="w", position=4)
    assert (await series.scan([IDS[1]], LONG_AGO, FOREVER)).equals(empty())
    assert (await series.scan([], LONG_AGO, FOREVER)).equals(empty())
    assert (await series.last([IDS[1]], since=LONG_AGO)).equals(empty())
    assert await series.position("w") == 4


async def test_every_column_comes_back_as_it_was_given(series: DeltaSeries) -> None:
    given_rows = readings(
        [IDS[0], IDS[1]],
        [T0 + MICROSECOND, T0 - MICROSECOND],
        [0.1 + 0.2, -1e-300],
        known_at=T0 + 3 * MICROSECOND,
        seq=[1 << 60, -5],
        flags=[0, 15],
    )
    await series.append(given_rows, writer="w", position=1)
    assert (await series.scan(IDS, LONG_AGO, FOREVER)).equals(given_rows)
    assert (await series.last(IDS, since=LONG_AGO)).equals(given_rows)


async def test_spans_include_their_start_and_not_their_end(series: DeltaSeries) -> None:
    points = [(IDS[0], s, s) for s in (0.0, 0.000001, 60.0, 120.0)]  # the third is the next month's first
    await series.append(rows(*points[:2]), writer="w", position=1)
    await series.append(rows(*points[2:3]), writer="w", position=2)
    await series.hold(rows(*points[3:]), writer="w", position=3)
    for first, last in itertools.combinations(range(4), 2):
        got = view(await series.scan([IDS[0]], at(points[first][1]), at(points[last][1])))
        assert [value for _, _, value in got] == [s for _, s, _ in points[first:last]]


async def test_the_newest_of_each_series(series: DeltaSeries, opened: Open) -> None:
    other = opened("one")
    await series.append(rows((IDS[0], 0, 1.0), (IDS[0], 90, 2.0), (IDS[1], 30, 3.0)), writer="w", position=1)
    assert view(await series.last(IDS, since=at(60))) == [(IDS[0], at(90), 2.0)]
    assert view(await series.last(IDS, since=at(0))) == [(IDS[0], at(90), 2.0), (IDS[1], at(30), 3.0)]
    await other.append(rows((IDS[2], 10, 4.0), (IDS[1], 20, 9.0)), writer="x", position=1)
    await series.append(rows((IDS[0], 90, 2.5), known=5), writer="w", position=2)
    await series.hold(rows((IDS[1], 40, 5.0)), writer="w", position=3)
    now = [(IDS[0], at(90), 2.5), (IDS[1], at(40), 5.0), (IDS[2], at(10), 4.0)]
    assert view(await series.last([*IDS, *IDS, "none.power_kw"], since=at(0))) == now
    await series.compact()
    assert view(await series.last(IDS, since=at(0))) == now
    assert view(await other.last(IDS, since=at(0))) == [now[0], (IDS[1], at(30), 3.0), now[2]]
    await series.release(writer="w", position=3)  # given up: it was never durable
    assert view(await series.last(IDS, since=at(0))) == [now[0], (IDS[1], at(30), 3.0), now[2]]


async def test_late_rows_join_their_own_months(series: DeltaSeries) -> None:
    await series.append(rows((IDS[0], 0, 1.0), (IDS[0], 61, 2.0)), writer="w", position=1)
    year = 365 * 86400
    late = rows((IDS[0], -year, 3.0), (IDS[0], -40 * 86400, 4.0), (IDS[0], -1, 5.0), (IDS[0], 60, 6.0), known=year)
    await series.append(late, writer="w", position=2)
    assert [value for _, _, value in await everything(series)] == [3.0, 4.0, 5.0, 1.0, 6.0, 2.0]
    assert [value for _, _, value in await everything(series, as_of=T0)] == [1.0, 2.0]


# --- writers and positions ---


async def test_a_position_is_committed_once(series: DeltaSeries, opened: Open) -> None:
    assert await series.position("w") == 0
    assert await series.append(rows((IDS[0], 0, 1.0)), writer="w", position=5)
    for one, position in itertools.product((series, opened("one")), (4, 5)):
        assert not await one.append(rows((IDS[0], 0, 2.0), known=9), writer="w", position=position)
        assert await one.position("w") == 5
    assert await series.append(rows((IDS[0], 1, 3.0)), writer="another", position=1)
    assert await everything(series) == [(IDS[0], at(0), 1.0), (IDS[0], at(1), 3.0)]


async def test_of_two_lives_of_one_writer_only_one_commits(opened: Open) -> None:
    lives = [opened("one") for _ in IDS]
    for position in range(1, 6):
        tries = [life.append(rows((id_, position, 1.0)), writer="w", position=position)
                 for life, id_ in zip(lives, IDS, strict=True)]  # fmt: skip
        assert sorted(await asyncio.gather(*tries)) == [False, False, True]
    assert [instant for _, instant, _ in sorted(await everything(lives[0]), key=lambda r: r[1])] == [
        at(position) for position in range(1, 6)
    ]


async def test_writers_do_not_disturb_each_other(opened: Open) -> None:
    ones = [opened("one"), opened("one")]

    async def write(one: DeltaSeries, writer: str, id_: str) -> None:
        for position in range(1, 9):
            assert await one.append(rows((id_, position, 1.0)), writer=writer, position=position)

    await asyncio.gather(*(write(ones[i % 2], f"w{i}", IDS[i]) for i in range(3)))
    assert len(await everything(ones[0])) == len(await everything(ones[1])) == 24


# --- the tail ---


async def test_what_is_held_is_read_here_and_durable_only_when_appended(series: DeltaSeries, opened: Open) -> None:
    held = rows((IDS[0], 0, 1.0), (IDS[1], 120, 2.0))
    await series.hold(held, writer="w", position=1)
    await series.hold(rows((IDS[2], 0, 3.0)), writer="x", position=1)
    assert len(await everything(series)) == 3
    assert await everything(opened("one")) == []
    await series.append(held, writer="w", position=1)
    await series.release(writer="w", position=1)
    assert len(await everything(series)) == 3
    assert await everything(opened("one")) == [(IDS[0], at(0), 1.0), (IDS[1], at(120), 2.0)]


async def test_a_reader_never_sees_held_rows_missing_or_twice(series: DeltaSeries) -> None:
    done = asyncio.Event()
    known = 0

    async def read() -> None:
        while not done.is_set():
            at_least = known
            got, newest = await everything(series), await series.last([IDS[0]], since=LONG_AGO)
            assert [value for _, _, value in got] == [float(i) for i in range(len(got))]
            assert len(got) >= at_least
            assert not at_least or newest["value"][0].as_py() >= at_least - 1

    readers = [asyncio.create_task(read()) for _ in range(2)]
    for position in range(1, 13):
        batch = rows((IDS[0], position - 1, float(position - 1)))
        await series.hold(batch, writer="w", position=position)
        known = position
        await series.append(batch, writer="w", position=position)
        await series.release(writer="w", position=position)
    done.set()
    await asyncio.gather(*readers)


# --- two times ---


class Row(msgspec.Struct, frozen=True, order=True):
    id_: str
    second: int
    known: int
    seq: int
    value: float


ROWS = st.lists(
    st.builds(
        Row,
        st.sampled_from(IDS),
        st.sampled_from([-40 * 86400, 0, 1, 60, 61]),
        st.integers(0, 3),
        st.integers(0, 2),
        st.sampled_from([0.0, 1.5, -2.0]),
    ),
    max_size=30,
)
NUMBERS = itertools.count(1)
FEW = settings(
    max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def table_of(some: list[Row]) -> pa.Table:
    one = [rows((row.id_, row.second, row.value), known=row.known, seq=row.seq) for row in some]
    return pa.concat_tables([empty(), *one])


def believed(some: list[Row], as_of: int) -> View:
    """The law itself, in the plainest words there are."""
    best: dict[tuple[str, int], Row] = {}
    for row in sorted((row for row in some if row.known <= as_of), key=lambda r: (r.known, r.seq, r.value)):
        best[row.id_, row.second] = row
    return [(row.id_, at(row.second), row.value) for _, row in sorted(best.items())]


def by_steps(rows_: View, step: int, first: int) -> list[tuple[float, ...]]:
    """Sums and counts, steps counted from an instant."""
    steps: dict[float, list[float]] = {}
    for _, instant, value in rows_:
        seconds = (instant - T0).total_seconds()
        steps.setdefault(seconds - (seconds - first) % step, []).append(value)
    return [(start, sum(values), len(values)) for start, values in sorted(steps.items())]


@FEW
@given(some=ROWS, data=st.data())
async def test_any_order_batching_and_doubling_gives_one_view(
    opened: Open, some: list[Row], data: st.DataObject
) -> None:
    series = opened(f"t{next(NUMBERS)}")
    doubled = data.draw(st.permutations(some + some[: len(some) // 2]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(doubled)), max_size=3)))
    parts = [doubled[a:b] for a, b in itertools.pairwise([0, *cuts, len(doubled)])]
    for position, part in enumerate(parts[:-1], 1):
        await series.append(table_of(part), writer="w", position=position)
    await series.hold(table_of(parts[-1]), writer="w", position=len(parts))
    for as_of in range(4):
        assert await everything(series, as_of=at(as_of)) == believed(some, as_of)
    assert await everything(series) == believed(some, 3)
    assert await summed(series, 7200, at(-50 * 86400), at(3600)) == by_steps(believed(some, 3), 7200, -50 * 86400)
    last = {id_: row for row in believed(some, 3) for id_ in [row[0]]}
    assert view(await series.last(IDS, since=LONG_AGO)) == [row for _, row in sorted(last.items())]
    await series.compact()
    assert await everything(series) == believed(some, 3)
    assert [await everything(series, as_of=at(as_of)) for as_of in range(4)] == [believed(some, n) for n in range(4)]
    assert await summed(series, 7200, at(-50 * 86400), at(3600)) == by_steps(believed(some, 3), 7200, -50 * 86400)


@FEW
@given(first=ROWS, second=ROWS)
async def test_what_was_believed_then_never_changes(opened: Open, first: list[Row], second: list[Row]) -> None:
    series = opened(f"t{next(NUMBERS)}")
    later = [msgspec.structs.replace(row, known=row.known + 10) for row in second]
    await series.append(table_of(first), writer="w", position=1)
    before = [await everything(series, as_of=at(as_of)) for as_of in range(4)]
    await series.append(table_of(later), writer="w", position=2)
    await series.hold(table_of(later), writer="x", position=1)
    await series.compact()
    assert [await everything(series, as_of=at(as_of)) for as_of in range(4)] == before
    assert await everything(series) == believed(first + later, 99)


# --- compaction ---


async def test_compaction_changes_no_answer_while_others_read_and_append(opened: Open) -> None:
    one, other, reader = opened("one"), opened("one"), opened("one")
    done = asyncio.Event()
    count = 0

    async def read() -> None:
        while not done.is_set():
            at_least = count
            values = [value for _, _, value in await everything(reader)]
            assert values == [float(i) for i in range(len(values))]
            assert len(values) >= at_least

    async def write() -> None:
        nonlocal count
        for position in range(1, 25):
            await other.append(rows((IDS[0], position - 1, float(position - 1))), writer="w", position=position)
            count = position
        done.set()

    async def compact(series: DeltaSeries) -> None:
        while not done.is_set():
            await series.compact()

    await asyncio.gather(read(), write(), compact(one), compact(reader))
    assert len(await everything(one)) == len(await everything(other)) == 24


async def test_a_large_shuffled_load_survives_compaction(series: DeltaSeries) -> None:
    order = list(range(3000))
    random.Random(7).shuffle(order)
    for position, part in enumerate((order[i::10] for i in range(10)), 1):
        await series.append(rows(*((IDS[i % 3], i * 30, float(i)) for i in part)), writer="w", position=position)
    before = await everything(series)
    assert sorted(value for _, _, value in before) == [float(i) for i in range(3000)]
    await series.compact()
    assert await everything(series) == before


# --- what is refused ---


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (rows((IDS[0], 0, 1.0)).drop_columns(["seq"]), "must have the columns"),
        (rows((IDS[0], 0, 1.0)).append_column("unit", pa.array(["kW"])), "must have the columns"),
        (rows((IDS[0], 0, 1.0)).set_column(2, "value", pa.array([1])), "must have the columns"),
        (rows((IDS[0], 0, 1.0)).set_column(2, "value", pa.array([None], pa.float64())), "have no value"),
        (rows((IDS[0], 0, 1.0)).set_column(1, "at", pa.array([1 << 60], READINGS.types[1])), "years 1 to 9999"),
    ],
)
async def test_rows_of_another_shape_are_refused_whole(series: DeltaSeries, wrong: pa.Table, why: str) -> None:
    with pytest.raises(Refused, match=why):
        await series.append(wrong, writer="w", position=1)
    with pytest.raises(Refused, match=why):
        await series.hold(wrong, writer="w", position=1)
    with pytest.raises(Refused, match="start at 1"):
        await series.append(empty(), writer="w", position=0)
    assert await series.position("w") == 0
    assert await everything(series) == []


async def test_naive_instants_are_refused(series: DeltaSeries) -> None:
    naive = T0.replace(tzinfo=None)
    for span in ((naive, T0), (T0, naive)):
        with pytest.raises(Refused, match="no time zone"):
            await series.scan(IDS, *span)
    with pytest.raises(Refused, match="no time zone"):
        await series.scan(IDS, T0, T0, as_of=naive)
    with pytest.raises(Refused, match="no time zone"):
        await series.last(IDS, since=naive)
