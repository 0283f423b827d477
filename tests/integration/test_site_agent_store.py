"""The agent's store: means of what was read, on disk until the platform has them, within bounds."""

import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tieline.base.errors import Unready
from tieline.ven.agent.store import PREMISES, Energy, Power, Store
from tieline.wires.mqtt.messages import Load, LoadState

START = datetime(2026, 7, 14, 18, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "readings.db", days=7, mib=64)
    yield made
    made.close()


def again(store: Store, path: Path, **bounds: float) -> Store:
    """Another process's, after a kill."""
    store.close()
    return Store(path / "readings.db", **{"days": 7, "mib": 64, **bounds})


def loads(means_kw: Mapping[str, float]) -> list[Load]:
    return [Load(name, kw, kw, LoadState.ON) for name, kw in means_kw.items() if name != PREMISES]


async def a_minute(store: Store, minute: int) -> None:
    at = START + minute * MINUTE
    powers = [(PREMISES, 2.0 + minute), ("boiler", 1.0), (PREMISES, 4.0 + minute), ("boiler", 2.0)]
    await store.note([Power(name, at - timedelta(seconds=30 - i), kw) for i, (name, kw) in enumerate(powers)], {})
    await store.report(at, loads)


async def test_a_report_is_the_mean_of_what_was_read(store: Store) -> None:
    await a_minute(store, 1)
    batch = await store.oldest()
    assert batch is not None
    assert batch.meter is not None
    assert [(one.at, one.power_kw) for one in batch.meter.samples] == [(START + MINUTE, 4.0)]
    assert [(one.at, one.loads[0].power_kw) for one in batch.loads] == [(START + MINUTE, 1.5)]
    assert await store.last_read_at() is None


async def test_what_was_read_survives_a_kill_and_is_told_as_of_then(store: Store, tmp_path: Path) -> None:
    await store.note([Power(PREMISES, START, 1.0), Power(PREMISES, START + MINUTE / 6, 3.0)], {})
    later = again(store, tmp_path)
    at = await later.last_read_at()
    assert at == START + MINUTE / 6
    await later.report(at, loads)
    batch = await later.oldest()
    assert batch is not None
    assert batch.meter is not None
    assert [(one.at, one.power_kw) for one in batch.meter.samples] == [(at, 2.0)]
    assert batch.loads == []
    later.close()


async def test_what_waits_goes_out_in_order_several_a_message_and_is_then_forgotten(store: Store) -> None:
    for minute in range(1, 26):
        await a_minute(store, minute)
    seen, snapshots, messages = [], [], 0
    while batch := await store.oldest():
        assert store.some.is_set()
        messages += (batch.meter is not None) + len(batch.loads)
        seen += [one.at for one in (batch.meter.samples if batch.meter else ())]
        snapshots += [one.at for one in batch.loads]
        await store.forget(batch)
    assert seen == snapshots == [START + minute * MINUTE for minute in range(1, 26)]
    assert messages == 1 + 25
    assert not store.some.is_set()
    assert await store.waiting() == await store.dropped() == 0


async def test_what_is_not_confirmed_is_there_again_after_a_kill(store: Store, tmp_path: Path) -> None:
    await a_minute(store, 1)
    first = await store.oldest()
    later = again(store, tmp_path)
    assert later.some.is_set()
    assert await later.oldest() == first
    later.close()


async def test_what_is_too_old_is_dropped_and_counted(store: Store, tmp_path: Path) -> None:
    for minute in range(1, 4):
        await a_minute(store, minute)
    await a_minute(store, 7 * 24 * 60 + 3)
    batch = await store.oldest()
    assert batch is not None
    assert batch.meter is not None
    assert [one.at for one in batch.meter.samples] == [START + 3 * MINUTE, START + (7 * 24 * 60 + 3) * MINUTE]
    assert await store.dropped() == 4
    later = again(store, tmp_path)
    assert await later.dropped() == 4
    later.close()


async def test_beyond_its_bytes_the_oldest_go_first(store: Store, tmp_path: Path) -> None:
    small = again(store, tmp_path, mib=0.1)
    many = [Load(f"load-{i}", 1.0, 1.0, LoadState.ON) for i in range(40)]
    for minute in range(1, 200):
        await small.note([Power(PREMISES, START + minute * MINUTE, 1.0)], {})
        await small.report(START + minute * MINUTE, lambda _: many)
    assert await small.dropped() > 0
    assert await small.waiting() + await small.dropped() == 2 * 199
    assert (tmp_path / "readings.db").stat().st_size < 400_000
    newest: list[datetime] = []
    while batch := await small.oldest():
        newest += [one.at for one in batch.loads]
        await small.forget(batch)
    assert newest[-1] == START + 199 * MINUTE
    assert newest == sorted(newest)
    small.close()


async def test_energies_survive_a_kill(store: Store, tmp_path: Path) -> None:
    await store.note([], {"car": Energy(START, 3.5)})
    later = again(store, tmp_path)
    assert await later.energies() == {"car": Energy(START, 3.5)}
    later.close()


async def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "readings.db").write_bytes(b"not a database, but long enough to look at" * 40)
    store = Store(tmp_path / "readings.db", days=7, mib=64)
    await a_minute(store, 1)
    assert await store.waiting() == 2
    assert (tmp_path / "readings.unreadable").exists()
    store.close()


async def test_a_disk_that_takes_nothing_is_told(store: Store, tmp_path: Path) -> None:
    blocker = sqlite3.connect(tmp_path / "readings.db")
    store._rows.execute("PRAGMA busy_timeout = 10")
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Unready, match="locked"):
        await store.note([Power(PREMISES, START, 1.0)], {})
    blocker.rollback()
    blocker.close()
    await store.note([Power(PREMISES, START, 1.0)], {})
