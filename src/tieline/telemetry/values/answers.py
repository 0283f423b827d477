"""Answers as the door gives them: in a format, with a tag of what they depend on, made once for all who ask."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
import pyarrow as pa

from tieline.base.errors import Refused, Unready
from tieline.base.series import Declaration
from tieline.base.time import Clock
from tieline.ports import Series
from tieline.telemetry.rollups.reads import Rollups
from tieline.telemetry.values import reads
from tieline.telemetry.values.formats import File, Format, file
from tieline.telemetry.values.model import MOST_ROWS, STEP_S, Asked, Detail, shape
from tieline.telemetry.values.shared import Shared
from tieline.wires import greenbutton
from tieline.wires.greenbutton import Interval

MOST_FILES = 8
"""Being written at once; whoever comes then is asked to come again."""
ANSWER_S = 30.0
_WH_PER_UNIT_HOUR = {"W": 1.0, "kW": 1e3, "MW": 1e6}


class Answers:
    """One a process. What it keeps can be made again. `position` is that of the Log up to which reads see it."""

    def __init__(self, series: Series, rollups: Rollups, clock: Clock, position: Callable[[], int]) -> None:
        self.series, self.rollups, self.clock = series, rollups, clock
        self._position = position
        self._shared = Shared()
        self._files = 0

    async def tag(self, *depends: Any) -> str:
        """A weak ETag of all that an answer depends on: what was asked, and what this process sees of the data."""
        rolled = [await level.position() for level in (self.rollups.levels.five, self.rollups.levels.hour)]
        seen = (await self.series.version(), self._position(), rolled)
        said = msgspec.json.encode((seen, depends))
        return f'W/"{hashlib.blake2b(said, digest_size=12).hexdigest()}"'

    async def shared(self, tag: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """Made once for all who ask for the same at once, and kept as long as nothing changes. Raises `Unready`."""
        try:
            return await asyncio.wait_for(self._shared.get(tag, make), ANSWER_S)
        except TimeoutError:
            raise Unready(f"no answer within {ANSWER_S:g} s: ask for fewer values or a shorter span") from None

    async def written(
        self, kind: Format, declared: Sequence[Declaration], asked: Asked, *, many: bool
    ) -> AsyncGenerator[bytes, None]:
        """A file in parts; `many`: with a column of ids. When it returns the first is made: what is refused is so in
        time."""
        if self._files >= MOST_FILES:
            raise Unready(f"{MOST_FILES} files are being written now: ask again in a moment")
        parts = self._parts(_file(kind, declared, asked, many=many), declared, asked, many=many)
        return _going_on(await anext(parts), parts)

    async def _parts(
        self, into: File, declared: Sequence[Declaration], asked: Asked, *, many: bool
    ) -> AsyncGenerator[bytes, None]:
        self._files += 1
        try:
            async for rows in reads.each(self.series, self.rollups, declared, asked):
                yield await asyncio.to_thread(into.add, rows if many else rows.drop_columns("series_id"))
            yield into.end()
        finally:
            self._files -= 1

    async def green_button(self, declared: Declaration, asked: Asked) -> bytes:
        """Of a series of power: what was used in each step. Raises `Refused`."""
        if declared.unit not in _WH_PER_UNIT_HOUR:
            raise Refused(f"Green Button tells energy, and {declared.series_id} is in {declared.unit}: of power only")
        if asked.resolution in (Detail.RAW, Detail.AUTO):
            asked = msgspec.structs.replace(asked, resolution=Detail.QUARTER)
        if asked.resolution in (Detail.DAY, Detail.MONTH):
            raise Refused("Green Button has intervals of one length: ask for 1m, 5m, 15m or 1h")
        rows = await reads.whole(self.series, self.rollups, [declared], asked, most=MOST_ROWS)
        told = await asyncio.to_thread(_intervals, rows, STEP_S[asked.resolution], _WH_PER_UNIT_HOUR[declared.unit])
        return greenbutton.feed(declared.series_id, told, self.clock.now()).encode()


async def _going_on(first: bytes, parts: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(parts):
        yield first
        async for part in parts:
            yield part


def _file(kind: Format, declared: Sequence[Declaration], asked: Asked, *, many: bool) -> File:
    schema = shape(asked.resolution, many=many)
    # A file of one series may be all that somebody has of it: it says what it is.
    said = {} if many else {"tieline.series": msgspec.json.encode(declared[0])}
    header = schema.names if many else [f"value_{declared[0].unit}" if n == "value" else n for n in schema.names]
    return file(kind, schema.with_metadata(said), header)


def _intervals(rows: pa.Table, step_s: int, wh: float) -> list[Interval]:
    columns: list[list[Any]] = [
        rows["at"].cast(pa.int64()).to_pylist(),
        rows["integral"].to_pylist(),
        rows["covered_s"].to_pylist(),
    ]
    return [
        Interval(at // 1_000_000, step_s, integral * wh, covered_s >= step_s - 1e-6)
        for at, integral, covered_s in zip(*columns, strict=True)
    ]
