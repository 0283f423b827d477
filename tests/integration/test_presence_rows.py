"""Presence and steps in both kinds of Rows: what is written is read again, and what knows less never wins."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.servers.rows import AnyRows, rows_at
from tieline.adapters.blobs import ObjectBlobs
from tieline.base.time import Span, VirtualClock
from tieline.ports import Entry
from tieline.registry import actions as registry
from tieline.registry.model import NewSite, NewVen
from tieline.telemetry.flood import Bounds
from tieline.telemetry.flooding import Flooding
from tieline.telemetry.model import DeadLetter
from tieline.telemetry.presence import reads
from tieline.telemetry.presence.actions import enter, forget, settle
from tieline.telemetry.presence.model import Cause, Heard, Policy, State
from tieline.telemetry.presence.mqtt import Listener
from tieline.telemetry.statistics import reads as statistics
from tieline.telemetry.statistics import store
from tieline.telemetry.statistics.model import Step

BEAT = b'{"online":true}'
START = datetime(2026, 7, 15, 12, tzinfo=UTC)
EARLY = START - timedelta(days=1)


@pytest.fixture
async def rows(tables: str) -> AsyncIterator[AnyRows]:
    clock = VirtualClock(START)
    async with rows_at(tables, clock) as made:
        for n in (1, 2, 3):
            new = NewVen(f"home-{n}", f"home-{n}", site=NewSite(f"site-{n}", "S", "UTC"))
            await registry.register_ven(made, clock, new)
        yield made


def heard(ven_id: str, seconds: float, *, online: bool = True) -> Heard:
    at = START + timedelta(seconds=seconds)
    return Heard(ven_id, at, at, online, 60.0, "test")


async def test_many_are_entered_and_settled_at_once(rows: AnyRows) -> None:
    messages = [heard("home-1", 0), heard("home-2", 0), heard("home-2", 10, online=False), heard("nobody", 0)]
    standings, unknown = await rows.transaction(lambda tx: enter(tx, messages, Policy()))
    assert sorted((one.ven_id, one.state, one.gone_at is None) for one in standings) == [
        ("home-1", State.ONLINE, True),
        ("home-2", State.ONLINE, False),
    ]
    assert unknown == ["nobody"]
    now = START + timedelta(seconds=100)
    kept = {"home-1": heard("home-1", 95)}
    after = await rows.transaction(lambda tx: settle(tx, kept, [], now, EARLY, Policy()))
    found = await rows.read(reads.standings)
    assert found == {one.ven_id: one for one in after}
    assert [(one.state, one.cause) for one in (found["home-1"], found["home-2"])] == [
        (State.ONLINE, Cause.HEARD),
        (State.OFFLINE, Cause.WILL),
    ]
    assert await rows.transaction(lambda tx: settle(tx, {}, [], now, EARLY, Policy())) == []


class Lent(msgspec.Struct):
    """A delivery, and the dead letters of who takes it."""

    entries: Sequence[Entry]
    letters: list[DeadLetter]
    is_done: bool = False

    async def done(self, *, but: Sequence[Entry] = ()) -> None:
        self.is_done = not but

    async def say(self, subject: str, data: bytes, *, key: str | None = None) -> int:
        self.letters.append(msgspec.json.decode(data, type=DeadLetter))
        return 0


async def test_one_message_that_cannot_be_kept_stops_nobody_s_presence(rows: AnyRows, tmp_path: Path) -> None:
    said = [("home-1", b'{"online":true,"agent":"a\\u0000b"}'), ("a\x00b", b'{"online":true}'), ("home-2", BEAT)]
    lent = Lent([Entry(n, f"mqtt.ven.presence.{who}", data, START) for n, (who, data) in enumerate(said, 1)], [])
    log: Any = lent
    clock, blobs = VirtualClock(START), ObjectBlobs.folder(tmp_path / "blobs")
    await Listener(log, rows, clock, Policy(), Flooding(log, rows, blobs, clock, clock, Bounds())).take(lent)
    found = await rows.read(reads.standings)
    assert {ven_id: one.agent for ven_id, one in found.items()} == {"home-1": "a\ufffdb", "home-2": ""}
    assert (len(lent.letters), lent.is_done) == (1, True)


async def test_a_history_that_is_long_over_is_forgotten(rows: AnyRows) -> None:
    await rows.transaction(lambda tx: enter(tx, [heard("home-1", 0)], Policy()))
    await forget(rows, VirtualClock(START + timedelta(days=89)))
    assert len(await reads.changes(rows, "home-1")) == 1
    await forget(rows, VirtualClock(START + timedelta(days=91)))
    assert await reads.changes(rows, "home-1") == []


async def test_a_step_that_knows_less_never_replaces_one_that_knows_more(rows: AnyRows) -> None:
    old, new = (Step(START, kw, 0.0, 0.0, vens=3, counted=1) for kw in (1.0, 2.0))
    await rows.transaction(lambda tx: store.put(tx, [new], 20))
    await rows.transaction(lambda tx: store.put(tx, [old], 10))
    assert await statistics.kept(rows, Span(START, START + timedelta(seconds=300))) == [new]
    for position in (20, 10):
        await rows.transaction(lambda tx, position=position: store.advance(tx, "readings", position))  # type: ignore[misc]
    assert await statistics.position(rows, "readings") == 20
