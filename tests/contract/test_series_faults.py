"""What Series does when something dies, fills up, tears or hangs: nothing half done, and words that say what helps."""

import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from tests.servers.s3 import Bucket
from tieline.adapters.series import DeltaSeries, Limits
from tieline.adapters.series.places import Folder
from tieline.base.errors import Broken, Refused, Unready
from tieline.base.series import READINGS, readings

T0 = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2027, 1, 1, tzinfo=UTC)
ID = "home-1.power_kw"
LONG = timedelta(days=8).total_seconds()

CHILD = """
import asyncio, sys
from pathlib import Path
from tests.contract.test_series_faults import batch, in_bucket
from tieline.adapters.series import DeltaSeries

async def main(folder, endpoint, bucket):
    series = in_bucket(endpoint, bucket, Path(folder)) if endpoint else DeltaSeries.in_folder(Path(folder) / "t")
    position = await series.position("w")
    while True:
        position += 1
        assert await series.append(batch(position), writer="w", position=position)
        print(position, flush=True)
        if position % 7 == 0:
            await series.compact()

asyncio.run(main(*sys.argv[1:]))
"""


def batch(position: int, count: int = 50) -> pa.Table:
    """Ten days apart, so that many batches cross into another month; every value is its own."""
    at = [T0 + timedelta(days=position * 10 % 300, seconds=position * 60 + i) for i in range(count)]
    values = [float(position * 1000 + i) for i in range(count)]
    return readings([ID] * count, at, values, known_at=T0, seq=position)


def in_bucket(endpoint: str, bucket: str, folder: Path, *, cache_bytes: int = 1 << 30) -> DeltaSeries:
    at = Bucket(endpoint=endpoint, bucket=bucket, region="us-east-1", key_id="test", secret="test")
    return DeltaSeries.in_bucket(
        bucket,
        prefix="t",
        region=at.region,
        cache=folder / "cache",
        cache_bytes=cache_bytes,
        endpoint=endpoint,
        key_id=at.key_id,
        secret=at.secret,
    )


@pytest.fixture
async def series(tmp_path: Path) -> AsyncIterator[DeltaSeries]:
    one = DeltaSeries.in_folder(tmp_path / "t", limits=Limits(scratch=tmp_path))
    yield one
    await one.close()


async def values(series: DeltaSeries) -> list[float]:
    got = await series.scan([ID], T0, LATER)
    return sorted(row["value"] for row in got.to_pylist())


def all_of(*batches: pa.Table) -> list[float]:
    return sorted(row["value"] for one in batches for row in one.to_pylist())


# --- death ---


def killed_while_appending(arguments: list[str], lives: int) -> int:
    """Kill a writer again and again at any moment; the last position it was told is durable."""
    told = 0
    dice = random.Random(3)
    for _ in range(lives):
        child = subprocess.Popen([sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        with child.stdout:
            told = int(child.stdout.readline())
            time.sleep(dice.uniform(0, 0.4))
            child.kill()
            told = max([told, *(int(line) for line in child.stdout if line.endswith("\n"))])
        child.wait()
    return told


@pytest.mark.parametrize("place", ["folder", "s3"])
async def test_a_killed_writer_leaves_each_batch_whole_and_once(
    place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if place == "s3":
        bucket: Bucket = request.getfixturevalue("s3_bucket")
        arguments, one = [bucket.endpoint, bucket.bucket], in_bucket(bucket.endpoint, bucket.bucket, tmp_path)
        await one.ready()
    else:
        arguments, one = ["", ""], DeltaSeries.in_folder(tmp_path / "t")
    told = killed_while_appending([str(tmp_path), *arguments], lives=4)
    position = await one.position("w")
    assert told <= position <= told + 1
    assert await values(one) == all_of(*(batch(p) for p in range(1, position + 1)))
    assert await one.append(batch(position + 1), writer="w", position=position + 1)
    await one.compact()
    assert await values(one) == all_of(*(batch(p) for p in range(1, position + 2)))
    await one.close()


async def test_rows_are_stored_once_however_many_move_them(series: DeltaSeries, tmp_path: Path) -> None:
    """What no read could show: reads hide a row stored twice."""
    others = [DeltaSeries.in_folder(tmp_path / "t") for _ in range(2)]
    for position in range(1, 25):
        await series.append(batch(position % 3), writer="w", position=position)
        if position % 3 == 0:
            await asyncio.gather(*(other.compact() for other in others))
            assert DeltaTable(tmp_path / "t").count() == position * 50
    assert await values(series) == all_of(batch(0), batch(1), batch(2))
    for other in others:
        await other.close()


@pytest.mark.parametrize("torn", [b"", b"\0" * 300, b'{"commitInfo":{}}\n{"add":{"pa'])
async def test_a_power_cut_in_a_commit_is_mended(series: DeltaSeries, tmp_path: Path, torn: bytes) -> None:
    await series.append(batch(1), writer="w", position=1)
    await series.compact()
    log = tmp_path / "t" / "_delta_log"
    newest = max(log.glob("*.json"))
    (log / f"{int(newest.stem) + 1:020}.json").write_bytes(torn)
    next(log.glob("*.checkpoint.parquet")).write_bytes(b"\0" * 100)
    after = DeltaSeries.in_folder(tmp_path / "t")
    assert await values(after) == all_of(batch(1))
    assert await after.append(batch(2), writer="w", position=2)
    assert await values(after) == all_of(batch(1), batch(2))
    assert DeltaTable(tmp_path / "t").count() == 100
    await after.close()


# --- disks ---


@contextmanager
def not_root() -> Iterator[None]:
    """Root writes anywhere: be nobody for a while."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder anybody may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("locked", [".", "_delta_log"])
async def test_a_folder_not_to_be_written_is_told_and_left_alone(shared: Path, locked: str) -> None:
    first = DeltaSeries.in_folder(shared / "t")
    await first.append(batch(1), writer="w", position=1)
    await first.close()
    for path in (shared / "t").rglob("*"):
        path.chmod(0o777 if path.is_dir() else 0o644)
    (shared / "t" / locked).chmod(0o555)
    series = DeltaSeries.in_folder(shared / "t")
    with not_root():
        assert await values(series) == all_of(batch(1))
        with pytest.raises(Unready, match=r"may not write|Permission denied|denied"):
            await series.append(batch(9), writer="w", position=2)
        assert await values(series) == all_of(batch(1))
    assert len(list((shared / "t").rglob("rows-*.parquet"))) == 1
    (shared / "t" / locked).chmod(0o777)
    assert await series.append(batch(9), writer="w", position=2)
    assert await values(series) == all_of(batch(1), batch(9))
    await series.close()


async def test_a_folder_that_cannot_be_made_is_told(shared: Path) -> None:
    series = DeltaSeries.in_folder(shared / "t")
    with not_root():
        with pytest.raises(Unready, match=r"denied|may not write"):
            await series.ready()
        with pytest.raises(Unready, match=r"denied|may not write"):
            await series.append(batch(1), writer="w", position=1)
    await series.close()


async def test_a_full_disk_leaves_the_table_as_it_was(series: DeltaSeries, monkeypatch: pytest.MonkeyPatch) -> None:
    await series.append(batch(1), writer="w", position=1)
    draft = Folder.draft

    def on_full_disk(folder: Folder, path: str) -> Path:
        """A link, for what cannot be written is removed: never name the device itself."""
        draft(folder, path).symlink_to("/dev/full")
        return draft(folder, path)

    with monkeypatch.context() as full:
        full.setattr(Folder, "draft", on_full_disk)
        with pytest.raises(Unready, match="disk is full"):
            await series.append(batch(2), writer="w", position=2)
    assert await series.position("w") == 1
    assert await values(series) == all_of(batch(1))
    assert await series.append(batch(2), writer="w", position=2)
    assert await values(series) == all_of(batch(1), batch(2))


# --- what is not as it should be ---


async def test_a_broken_log_is_told(series: DeltaSeries, tmp_path: Path) -> None:
    for position in (1, 2):
        await series.append(batch(position), writer="w", position=position)
    (tmp_path / "t" / "_delta_log" / f"{1:020}.json").write_text("{")
    after = DeltaSeries.in_folder(tmp_path / "t")
    with pytest.raises(Broken, match="reading the table at"):
        await after.scan([ID], T0, LATER)
    with pytest.raises(Broken, match="table at"):
        await after.append(batch(3), writer="w", position=3)
    await after.close()


@pytest.mark.parametrize("cut", [True, False])
async def test_a_data_file_cut_or_gone_is_told(series: DeltaSeries, tmp_path: Path, cut: bool) -> None:
    await series.append(batch(1), writer="w", position=1)
    file = next((tmp_path / "t").rglob("rows-*.parquet"))
    file.write_bytes(file.read_bytes()[:100]) if cut else file.unlink()
    with pytest.raises(Broken, match="reading 1 files of"):
        await series.scan([ID], T0, LATER)


async def test_a_table_of_another_shape_is_not_touched(series: DeltaSeries, tmp_path: Path) -> None:
    DeltaTable.create(tmp_path / "t", pa.schema([("a", pa.int64())]))
    with pytest.raises(Broken, match="holds a table of"):
        await series.append(batch(1), writer="w", position=1)


async def test_a_store_out_of_reach_is_unready(s3_bucket: Bucket, tmp_path: Path) -> None:
    nowhere = in_bucket("http://127.0.0.1:1", "none", tmp_path)
    no_bucket = in_bucket(s3_bucket.endpoint, "no-such-bucket", tmp_path)
    for series in (nowhere, no_bucket):
        with pytest.raises(Unready, match="the table at s3://"):
            await series.ready()
        with pytest.raises(Unready, match="the table at s3://"):
            await series.append(batch(1), writer="w", position=1)
        await series.close()


# --- limits ---


async def test_too_much_at_once_is_refused(tmp_path: Path) -> None:
    series = DeltaSeries.in_folder(tmp_path / "t", limits=Limits(rows=60))
    await series.append(batch(1), writer="w", position=1)
    assert len(await values(series)) == 50
    await series.append(batch(2), writer="w", position=2)
    with pytest.raises(Refused, match="more than 60 readings"):
        await series.scan([ID], T0, LATER)
    await series.close()


async def test_a_question_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    await (whole := DeltaSeries.in_folder(tmp_path / "t")).append(batch(1, 60_000), writer="w", position=1)
    hasty = DeltaSeries.in_folder(tmp_path / "t", limits=Limits(timeout_s=0.0001))
    with pytest.raises(Unready, match="too long"):
        await hasty.scan([ID], T0, LATER)
    for one in (whole, hasty):
        await one.close()


async def test_the_cache_keeps_its_bound_and_refuses_what_does_not_fit(s3_bucket: Bucket, tmp_path: Path) -> None:
    writer = in_bucket(s3_bucket.endpoint, s3_bucket.bucket, tmp_path / "writer")
    for position in range(1, 31):
        await writer.append(batch(position), writer="w", position=position)
    reader = in_bucket(s3_bucket.endpoint, s3_bucket.bucket, tmp_path / "reader", cache_bytes=20_000)
    with pytest.raises(Refused, match="shorter span or enlarge the cache"):
        await reader.scan([ID], T0, LATER)
    for position in [*range(1, 31), *range(1, 31)]:
        start = T0 + timedelta(days=position * 10 % 300, seconds=position * 60)
        got = await reader.scan([ID], start, start + timedelta(seconds=50))
        assert got["value"].to_pylist() == batch(position)["value"].to_pylist()
        held = [file.stat().st_size for file in (tmp_path / "reader").rglob("*.parquet")]
        assert 0 < sum(held) <= 20_000
    for one in (writer, reader):
        await one.close()


# --- what other tools find ---


async def test_what_is_replaced_lies_apart_and_other_tools_read_it_all(series: DeltaSeries, tmp_path: Path) -> None:
    first = batch(1)
    second = first.set_column(4, "known_at", pa.array([LATER] * 50, READINGS.types[4])).cast(READINGS)
    await series.append(pa.concat_tables([first, second]), writer="w", position=1)
    exact = T0 + timedelta(microseconds=7)  # the others are known to the millisecond, and packed so
    single = readings([ID], [T0], [7.0], known_at=exact)
    await series.append(single, writer="w", position=2)
    files = DeltaTable(tmp_path / "t").file_uris()
    assert sorted(Path(file).name.split(".", 1)[1] for file in files) == [
        "latest.parquet",
        "latest.parquet",
        "past.parquet",
    ]
    other = DeltaTable(tmp_path / "t").to_pyarrow_table(columns=READINGS.names).cast(READINGS)
    assert Counter(other["known_at"].to_pylist()) == {T0: 50, LATER: 50, exact: 1}
    assert await values(series) == all_of(first, single)
    assert (await series.scan([ID], T0, LATER, as_of=T0)).equals(first)


# --- vacuum ---


async def test_the_vacuum_takes_only_what_is_long_in_no_table(series: DeltaSeries, tmp_path: Path) -> None:
    for position in (1, 2, 32):  # the last in the month of the second
        await series.append(batch(position), writer="w", position=position)
    month = next((tmp_path / "t").glob("month=*"))
    old, young = month / "rows-old.parquet", month / "rows-young.parquet"  # of writers that died
    for orphan in (old, young):
        orphan.write_bytes(b"half")
    for file in (tmp_path / "t").rglob("*.parquet"):
        os.utime(file, (time.time() - LONG, time.time() - LONG)) if file != young else None
    await series.compact()
    await series.compact()
    assert not old.exists()
    assert young.exists()
    assert await values(series) == all_of(batch(1), batch(2), batch(32))
    with pytest.raises(Refused, match="a week at least"):
        DeltaSeries.in_folder(tmp_path / "t", limits=Limits(retention=timedelta(days=1)))
