"""A table of Series for tests, on a folder and on an S3 API, and small readings to put into it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pytest

from tests.servers.s3 import Bucket
from tieline.adapters.series import DeltaSeries, Limits
from tieline.base.series import READINGS, readings

T0 = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)  # a minute before a month ends
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
IDS = ["home-1.power_kw", "home-2.power_kw", "home-3.power_kw"]


class Open(Protocol):
    def __call__(self, name: str, shape: pa.Schema = READINGS) -> DeltaSeries: ...


View = list[tuple[str, datetime, float]]


@pytest.fixture(params=["folder", "s3"])
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens the table of a name, as one more process would; all are closed in the end."""
    ones: list[DeltaSeries] = []
    bucket: Bucket | None = request.getfixturevalue("s3_bucket") if request.param == "s3" else None
    limits = Limits(scratch=tmp_path)

    def open_(name: str, shape: pa.Schema = READINGS) -> DeltaSeries:
        if bucket is None:
            one = DeltaSeries.in_folder(tmp_path / name, limits=limits, shape=shape)
        else:
            one = DeltaSeries.in_bucket(
                bucket.bucket,
                prefix=name,
                region=bucket.region,
                endpoint=bucket.endpoint,
                key_id=bucket.key_id,
                secret=bucket.secret,
                cache=tmp_path / "cache",
                limits=limits,
                shape=shape,
            )
        ones.append(one)
        return one

    yield open_
    for one in ones:
        await one.close()


@pytest.fixture
def series(opened: Open) -> DeltaSeries:
    return opened("one")


def rows(*given_rows: tuple[str, float, float], known: float = 0, seq: int = 0) -> pa.Table:
    """Readings of (series, seconds after T0, value)."""
    ids, seconds, values = zip(*given_rows, strict=True) if given_rows else ((), (), ())
    at = [T0 + timedelta(seconds=s) for s in seconds]
    return readings(list(ids), at, list(values), known_at=T0 + timedelta(seconds=known), seq=seq)


def view(table: pa.Table) -> View:
    assert table.schema.equals(READINGS)
    return [(row["series_id"], row["at"], row["value"]) for row in table.to_pylist()]


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


async def everything(series: DeltaSeries, as_of: datetime | None = None) -> View:
    return view(await series.scan(IDS, LONG_AGO, FOREVER, as_of=as_of))


async def summed(series: DeltaSeries, step: float, *span: datetime, ids: list[str] = IDS) -> list[tuple[float, ...]]:
    start, end = span or (at(0), at(3600))
    got = await series.total(ids, start, end, step=timedelta(seconds=step), columns=["value"])
    return [((row["at"] - T0).total_seconds(), row["sum_value"], row["count"]) for row in got.to_pylist()]
