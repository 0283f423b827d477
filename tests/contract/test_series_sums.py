"""What Series promises of sums, of what is new in it, and of other shapes; on a folder and on an S3 API."""

from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from tests.contract.series_world import FOREVER, IDS, LONG_AGO, T0, Open, at, opened, rows, series, summed
from tieline.adapters.series import DeltaSeries
from tieline.base.errors import NotFound, Refused
from tieline.base.series import ROLLUPS, Flag

__all__ = ["opened", "series"]


# --- sums ---


async def test_sums_are_of_the_latest_versions_by_steps_from_the_start(series: DeltaSeries) -> None:
    assert await summed(series, 60) == []
    await series.append(rows((IDS[0], 0, 1.0), (IDS[0], 30, 2.0), (IDS[1], 0, 4.0)), writer="w", position=1)
    await series.append(rows((IDS[0], 61, 8.0), (IDS[2], 200, 16.0)), writer="w", position=2)
    assert await summed(series, 60) == [(0, 7, 3), (60, 8, 1), (180, 16, 1)]
    await series.append(rows((IDS[0], 30, 3.0), known=5), writer="x", position=1)
    await series.hold(rows((IDS[1], 0, 5.0), (IDS[1], 62, 1.0), known=6), writer="w", position=3)
    now = [(0, 9, 3), (60, 9, 2), (180, 16, 1)]
    assert await summed(series, 60) == now
    await series.compact()
    assert await summed(series, 60) == now
    assert await summed(series, 3600, at(30), at(200)) == [(30, 12, 3)]
    assert await summed(series, 60, ids=[IDS[0]]) == [(0, 4, 2), (60, 8, 1)]
    assert await summed(series, 60, ids=[]) == []


async def test_what_cannot_be_summed_is_refused(series: DeltaSeries) -> None:
    for column in ("series_id", "known_at", "price"):
        with pytest.raises(Refused, match="value, flags, seq can"):
            await series.total(IDS, at(0), at(1), step=timedelta(1), columns=[column])
    for ask in (
        series.total(IDS, at(0), at(1), step=timedelta(0), columns=["value"]),
        series.touched(0, step=-timedelta(1)),
    ):
        with pytest.raises(Refused, match="longer than nothing"):
            await ask


# --- what is new ---


Touched = set[tuple[str, datetime]]


async def news(series: DeltaSeries, after: int, minutes: int = 1) -> tuple[int, Touched]:
    """All that came after a version, and the version after which nothing came."""
    found: Touched = set()
    while True:
        version, table = await series.touched(after, step=timedelta(minutes=minutes))
        found |= {(row["series_id"], row["at"]) for row in table.to_pylist()}
        if version == after:
            return version, found
        after = version


async def test_what_is_new_is_told_by_steps_from_1970(series: DeltaSeries, opened: Open) -> None:
    version, found = await news(series, 0)
    assert found == set()
    await series.hold(rows((IDS[2], 0, 1.0)), writer="w", position=3)
    await series.append(rows((IDS[0], 0, 1.0), (IDS[0], 59, 1.0), (IDS[1], 61, 2.0)), writer="w", position=1)
    first, found = await news(opened("one"), version)
    assert found == {(IDS[0], at(0)), (IDS[1], at(60))}
    for position in (2, 3):
        await series.append(rows((IDS[0], -1e9 * position, 5.0)), writer="w", position=position)
    second, found = await news(series, first)
    assert {(T0 - start).total_seconds() for _, start in found} == {2_000_000_040, 3_000_000_000}
    assert (await news(series, first, 24 * 60))[1] == {
        (IDS[0], (at(-1e9 * n)).replace(hour=0, minute=0, second=0)) for n in (2, 3)
    }
    await series.compact()
    await series.append(rows((IDS[1], 0, 1.0)), writer="w", position=3)  # has been: nothing
    assert (await news(series, second))[1] == set()
    assert (await news(series, 0))[1] == {(IDS[0], at(0)), (IDS[1], at(60))} | found
    assert (await news(series, 1 << 40))[1] == (await news(series, 0))[1]  # put back to an older state: all is new


async def test_what_the_log_has_forgotten_may_all_be_new(series: DeltaSeries, monkeypatch: pytest.MonkeyPatch) -> None:
    for position in (1, 2, 3):
        await series.append(rows((IDS[0], 60 * position, 1.0)), writer="w", position=position)
    third, everything_ = await news(series, 0)
    assert len(everything_) == 3
    assert len((await news(series, third - 1))[1]) == 1
    await series.compact()
    for name in ("Folder", "Bucket"):
        monkeypatch.setattr(f"tieline.adapters.series.places.{name}.entry", forgotten)
    version, found = await news(series, third - 1)
    assert found == everything_
    assert version > third
    assert (await news(series, version))[1] == set()


def forgotten(*_: object) -> bytes:
    raise NotFound("long ago")


# --- another shape ---


def rollup(id_: str, second: float, integral: float, known: float, count: int = 1) -> pa.Table:
    numbers = [[integral], [60.0], [1.0], [2.0], [1.5], [1.7]]
    columns = [[id_], [at(second)], *numbers, [count], [Flag.LATE], [at(known)], [0]]
    return pa.table(dict(zip(ROLLUPS.names, columns, strict=True)), schema=ROLLUPS)


async def test_every_promise_stands_for_rollups_too(opened: Open) -> None:
    series = opened("rolled", ROLLUPS)
    one, two, better = rollup(IDS[0], 0, 1.0, 0), rollup(IDS[1], 60, 2.0, 0), rollup(IDS[0], 0, 3.0, 9, count=7)
    await series.append(pa.concat_tables([two, one]), writer="w", position=1)
    await series.append(better, writer="w", position=2)
    await series.hold(rollup(IDS[1], 60, 4.0, 0), writer="w", position=3)  # a tie: the greater value is the latest
    assert (await series.scan(IDS, at(0), at(60))).equals(better)
    assert (await series.scan(IDS, at(0), at(60), as_of=at(8))).equals(one)
    await series.compact()
    now = pa.concat_tables([better, rollup(IDS[1], 60, 4.0, 0)])
    assert (await series.scan(IDS, LONG_AGO, FOREVER)).equals(now)
    assert (await series.last(IDS, since=LONG_AGO)).equals(now)
    assert (await news(series, 0))[1] == {(IDS[0], at(0)), (IDS[1], at(60))}
    total = await series.total(IDS, at(0), at(120), step=timedelta(seconds=120), columns=["integral", "covered_s"])
    assert total.select(["at", "count", "sum_integral"]).to_pylist() == [{"at": at(0), "count": 2, "sum_integral": 7.0}]
    with pytest.raises(Refused, match="covered_s double"):
        await series.append(rows((IDS[0], 0, 1.0)), writer="w", position=4)
