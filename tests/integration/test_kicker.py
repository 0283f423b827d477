"""The kicker beside a fleet that comes and goes: it looks for those alone whom the news is of, and finds them all."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.servers.rows import with_tables
from tieline.adapters.nats import sessions
from tieline.adapters.nats.sessions import Sessions
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.access import Session
from tieline.base.time import VirtualClock
from tieline.identity import kicker
from tieline.identity.kicker import Kicker
from tieline.ports import Entry

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)


@pytest.fixture
async def rows(tmp_path: Path) -> AsyncIterator[SqliteRows]:
    async with SqliteRows(with_tables(tmp_path / "rows.sqlite"), VirtualClock(NOW)) as rows:
        yield rows


class News:
    """A log with some news of each of so many devices, a piece at a time."""

    def __init__(self, what: str, devices: int) -> None:
        self.entries = [
            Entry(n, f"news.device.{what}", msgspec.json.encode({"ven_id": f"home-{n}", "at": NOW}), NOW)
            for n in range(1, devices + 1)
        ]
        self.told = asyncio.Event()

    async def follow(self, subject: str, *, after: int | None) -> AsyncIterator[list[Entry]]:
        assert (subject, after) == ("news.device.*", None)
        for one in self.entries:
            yield [one]
            await asyncio.sleep(0)
        self.told.set()
        await asyncio.Event().wait()


class Asked:
    """Sessions that nobody has; `of_whom` was asked for."""

    def __init__(self) -> None:
        self.of_whom: list[str] = []
        self.sweeps = 0

    async def of(self, mqtt_client_id: str) -> list[Session]:
        self.of_whom.append(mqtt_client_id)
        return []

    async def all(self) -> AsyncIterator[list[Session]]:
        self.sweeps += 1
        yield []

    async def close(self, session: Session) -> None:
        raise AssertionError(session)


@pytest.mark.parametrize("what", ["online", "late", "offline", "enrolled", "revoked", "paused"])
async def test_only_those_are_looked_for_who_may_no_longer_be_connected(
    what: str, rows: SqliteRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kicker, "_AGAIN_S", (0.0, 0.0, 0.0))
    asked, log = Asked(), News(what, 3)
    kicking = asyncio.ensure_future(Kicker(log, rows, asked, VirtualClock(NOW)).run())  # type: ignore[arg-type]
    heeded = sorted(["home-1", "home-2", "home-3"] * 3) if what in ("revoked", "paused") else []
    await log.told.wait()
    while sorted(asked.of_whom) != heeded or not asked.sweeps:
        await asyncio.sleep(0.01)
    assert len([task for task in asyncio.all_tasks() if "Kicker" in str(task.get_coro())]) == 5
    kicking.cancel()
    await asyncio.gather(kicking, return_exceptions=True)
    assert (sorted(asked.of_whom), asked.sweeps) == (heeded, 1)


class Full(Sessions):
    """As one server lists those who are connected."""

    def __init__(self, devices: int) -> None:
        self.connected = list(range(devices))

    async def _asked(self, **chosen: Any) -> list[sessions._Listed]:
        first = chosen["offset"]
        some = self.connected[first : first + chosen["limit"]]
        listed = [sessions._Connection(cid, "mqtt", f"device:home-{cid}:1") for cid in some]
        return [sessions._Listed(sessions._Server("a"), sessions._Connections(len(self.connected), listed))]

    async def close(self, session: Session) -> None:
        self.connected.remove(session.cid)


async def test_of_more_than_are_listed_at_once_none_is_passed_over(rows: SqliteRows) -> None:
    full = Full(2500)
    await Kicker(News("revoked", 0), rows, full, VirtualClock(NOW)).sweep()  # type: ignore[arg-type]
    assert full.connected == []
