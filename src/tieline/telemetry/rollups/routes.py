"""The HTTP door of the rollups: proof that they are what raw readings make, and making them again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody, SkipValidation

from tieline.base.errors import NotFound, Refused
from tieline.base.names import SeriesId
from tieline.base.time import Clock, Span, instant
from tieline.doors import WithClock, WithRows, after, cursor_of
from tieline.ports import Rows
from tieline.registry import reads as registry
from tieline.telemetry.rollups.model import Resolution, whole
from tieline.telemetry.rollups.portions import Box
from tieline.telemetry.rollups.reads import Rollups
from tieline.telemetry.rollups.verification import Mismatch, verified

WithRollups = NamedDependency[SkipValidation[Rollups]]
LONGEST_H = 26


class RollupSpan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which steps to prove, of a day at most: of the named series, or of `limit` in order of id after the cursor."""

    start: datetime
    end: datetime
    series_ids: Annotated[list[SeriesId], msgspec.Meta(max_length=1000)] = []
    cursor: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 200


class RollupProof(msgspec.Struct, frozen=True):
    """How many steps raw readings make, and how many of those kept are others: `differences` shows the first hundred.
    `waiting` ones are not rolled up yet, and prove nothing; `written` were made again."""

    steps: int
    differing: int
    waiting: int
    written: int
    differences: list[Mismatch]
    next_cursor: str | None


@post("/v1/rollups/verify", status_code=200)
async def verify_rollups(
    data: JSONBody[RollupSpan], rows: WithRows, rollups: WithRollups, clock: WithClock
) -> RollupProof:
    """Make the steps of five minutes and of an hour again of raw readings, and compare, to the bit. Writes nothing."""
    return await _proof(data, rows, rollups, clock, write=False)


@post("/v1/rollups/rebuild", status_code=200)
async def rebuild_rollups(
    data: JSONBody[RollupSpan], rows: WithRows, rollups: WithRollups, clock: WithClock
) -> RollupProof:
    """The same, and write those that differ."""
    return await _proof(data, rows, rollups, clock, write=True)


async def _proof(asked: RollupSpan, rows: Rows, rollups: Rollups, clock: Clock, *, write: bool) -> RollupProof:
    box, cursor = await _chosen(asked, rows)
    found = await verified(rollups, box, clock, write=write)
    return RollupProof(found.steps, found.differing, found.waiting, found.written, found.differences, cursor)


async def _chosen(asked: RollupSpan, rows: Rows) -> tuple[Box, str | None]:
    span = whole(Span(instant(asked.start), instant(asked.end)), Resolution.HOUR, "UTC")
    if span.hours > LONGEST_H:
        raise Refused(f"{span.hours:g} hours: ask for {LONGEST_H} at once")
    if asked.series_ids:
        return Box(await _declared(rows, asked.series_ids), span), None
    found = await registry.declarations(rows, after=after(asked.cursor), limit=asked.limit + 1)
    ids = [one.series_id for one in found[: asked.limit]]
    return Box(ids, span), cursor_of(ids[-1]) if len(found) > asked.limit else None


async def _declared(rows: Rows, series_ids: Sequence[str]) -> list[str]:
    known = await rows.read(lambda reader: registry.declared(reader, series_ids))
    if unknown := sorted(set(series_ids) - set(known)):
        raise NotFound(f"there is no series {unknown[0]!r}")
    return sorted(known)


ROUTES = [verify_rollups, rebuild_rollups]
