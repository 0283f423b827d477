"""Whom an event may call: its ledger, its program's rules and the registry, asked together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from tieline.base.time import Span
from tieline.dispatch import reads
from tieline.dispatch.holding import Circle
from tieline.dispatch.model import Event, LedgerRow, Rules
from tieline.dispatch.planning import CallLimits, Reason, limited, unfairness
from tieline.ports import Reader, Rows
from tieline.registry import openadr
from tieline.registry import reads as registry

Call = tuple[str, datetime, datetime]
"""(VEN, start, end)."""
LOOK_BACK = timedelta(days=32)
"""A month that began in another zone is in it."""
FAIR_OVER = timedelta(days=30)


class Scene(NamedTuple):
    """An event's ledger and rules, and whom it may call."""

    ledger: list[LedgerRow]
    rules: Rules
    circle: Circle


async def scene(rows: Rows, event: Event, now: datetime) -> Scene:
    found, calls = await rows.read(lambda reader: _read(reader, event, now))
    if not calls:
        return found
    limits = await _limited(rows, event, calls, found.rules.limits)
    return found._replace(circle=replace(found.circle, limits=limits))


def _read(reader: Reader, event: Event, now: datetime) -> tuple[Scene, list[Call]]:
    program = reads.find_program(reader, event.program_id)
    rules, targets = program.rules if program else Rules(), event.request.targets or ()
    calls, counts = list[Call](), dict[str, int]()
    if rules.limits != CallLimits():
        calls = reads.called_since(reader, event.program_id, now - LOOK_BACK, event.event_id)
    if rules.fair:
        counts = reads.times_called(reader, event.program_id, now - FAIR_OVER, event.event_id)
    circle = Circle(
        elsewhere=reads.held_loads(reader, but=event.event_id),
        granted=openadr.granted(reader, targets) if targets else None,
        dearer=_dearer(counts),
    )
    return Scene(reads.ledger_of(reader, event.event_id), rules, circle), calls


def _dearer(counts: Mapping[str, int]) -> dict[str, float]:
    of_all = np.array([*counts.values(), 0], dtype=np.float64)  # somebody was never called
    return dict(zip(counts, unfairness(of_all).tolist(), strict=False))


async def _limited(rows: Rows, event: Event, calls: Sequence[Call], limits: CallLimits) -> dict[str, Reason]:
    zones = {ven.ven_id: ZoneInfo(ven.zone) for ven in await registry.vens(rows)}
    return limited(Span(event.start_at, event.end_at), calls, limits, zones)
