"""Any order, any batching, any duplication of the same messages gives the same Series, and no answer as of an instant
that was once given changes: through the tail and a real Series, across seals and restarts."""

import asyncio
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tieline.adapters.series import DeltaSeries
from tieline.base.series import Flag
from tieline.ports import Entry
from tieline.telemetry.batch import columns_of, opened, packed
from tieline.telemetry.model import Batch
from tieline.telemetry.tail import Tail

T0 = datetime(2026, 7, 15, 12, tzinfo=UTC)
NAMES = ["home-1.power_kw", "home-2.power_kw"]
SECOND = timedelta(seconds=1)
View = list[tuple[str, datetime, float]]

Message = tuple[int, int, int]  # its position, which series, which instant; its value is its position
messages = st.lists(st.tuples(st.sampled_from([0, 1]), st.integers(0, 2)), min_size=1, max_size=6)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Message], list[list[Message]]]:
    """The messages, and how they come: each once or more, in any order, cut into batches anywhere."""
    sent = [(position, *where) for position, where in enumerate(draw(messages), 1)]
    come = draw(st.permutations([*sent, *draw(st.lists(st.sampled_from(sent), max_size=4))]))
    cuts = sorted(draw(st.sets(st.integers(1, len(come)), max_size=4)) | {len(come)})
    return sent, [come[start:end] for start, end in zip([0, *cuts], cuts, strict=False)]


def entry(position: int, said: Sequence[Message], known_at: datetime, *, old: bool) -> Entry:
    batch = Batch(known_at)
    for seq, series, instant in said:
        batch.add(batch.named(NAMES[series]), T0 + instant * SECOND, float(seq), Flag.GOOD, seq)
    data = msgspec.msgpack.encode(batch) if old else packed(columns_of(batch))
    return Entry(position, "readings.mqtt", data, known_at)


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log: list[Entry] = []
        self.series = DeltaSeries.in_folder(folder / "series")
        self.tail = self._tail()

    def _tail(self) -> Tail:
        nobody: Any = None
        return Tail(nobody, self.series, seals=True, seal_seconds=3600)

    async def say(self, one: Entry) -> None:
        self.log.append(one)
        await self.tail._take(one)

    async def restart(self) -> None:
        await self.series.close()
        self.series = DeltaSeries.in_folder(self.folder / "series")
        self.tail = self._tail()
        await self.tail.remember(NAMES, T0 - timedelta(days=1))  # as the view of the fleet does
        committed = await self.series.position("telemetry")
        for one in self.log:
            if one.position > committed:
                await self.tail._take(one)

    async def view(self, as_of: datetime | None = None) -> View:
        found = (await self.series.scan(NAMES, T0, T0 + timedelta(hours=1), as_of=as_of)).to_pylist()
        return [(row["series_id"], row["at"], row["value"]) for row in found]


def meant(sent: Sequence[Message]) -> View:
    newest = {(NAMES[series], T0 + instant * SECOND): float(position) for position, series, instant in sorted(sent)}
    return [(*key, value) for key, value in sorted(newest.items())]


@given(deliveries(), st.lists(st.sampled_from(["", "seal", "restart"]), min_size=5, max_size=5), st.booleans())
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_order_batching_and_duplication_comes_to_the_same(
    come: tuple[list[Message], list[list[Message]]], then: list[str], backwards: bool
) -> None:
    """`backwards`: the clocks of the processes that take messages are far apart."""

    async def run(folder: Path) -> None:
        sent, batches = come
        world, told = World(folder), dict[datetime, View]()
        for number, (said, next_) in enumerate(zip(batches, then, strict=False), 1):
            known_at = T0 + (-1 if backwards else 1) * number * timedelta(minutes=1)
            await world.say(entry(number, said, known_at, old=number % 2 == 0))
            told[known_at] = await world.view(known_at)
            if next_ == "seal":
                await world.tail.seal()
            elif next_ == "restart":
                await world.restart()
        assert await world.view() == meant(sent)
        for name in {NAMES[series] for _, series, _ in sent}:
            latest = world.tail.latest.get(name)
            assert latest is not None
            assert (name, latest.at, latest.value) in meant(sent)
        await world.tail.seal()
        assert await world.view() == meant(sent)
        if not backwards:
            assert {known_at: await world.view(known_at) for known_at in told} == told
        await world.series.close()

    with tempfile.TemporaryDirectory() as name:
        asyncio.run(run(Path(name)))


async def test_two_that_seal_the_same_log_enter_each_row_once(tmp_path: Path) -> None:
    one, other = World(tmp_path), World(tmp_path)
    for position in range(1, 5):
        said = entry(position, [(position, 0, position)], T0 + position * SECOND, old=False)
        await one.say(said)
        if position <= 3:
            await other.say(said)
    mocked, asked = pytest.MonkeyPatch(), other.series.position

    async def late(writer: str) -> int:
        """What it was before the first has sealed."""
        mocked.undo()
        before = await asked(writer)
        await one.tail.seal()
        return before

    await other.say(entry(4, [(4, 0, 4)], T0 + 4 * SECOND, old=False))
    await other.say(entry(5, [(5, 0, 5)], T0 + 5 * SECOND, old=False))
    mocked.setattr(other.series, "position", late)
    await other.tail.seal()
    await other.tail.seal()

    assert await one.series.position("telemetry") == 5
    assert sum(file.rows for file in one.series._table.files()) == 5
    for world in (one, other):
        await world.series.close()


def test_a_batch_says_what_it_holds_in_either_version() -> None:
    batch = Batch(T0)
    for n in range(3):
        batch.add(batch.named(f"home-{n}.power_kw"), T0 + n * SECOND, n / 3, Flag.LATE, 7 + n)
    old, new = opened(msgspec.msgpack.encode(batch)), opened(packed(columns_of(batch)))
    assert old.table().equals(new.table())
    assert old.table().column("series_id").to_pylist() == [f"home-{n}.power_kw" for n in range(3)]
