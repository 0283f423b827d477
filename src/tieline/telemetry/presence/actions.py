"""Entering what was heard, and what was not: each change of state is kept, and told on the Log when it commits."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from tieline.base.time import Clock
from tieline.ports import Rows, Transaction
from tieline.registry import reads as registry
from tieline.telemetry.presence import reads, store
from tieline.telemetry.presence.model import Cause, Heard, Policy, Standing, State, first, flapping, hear, judge

KEEP = timedelta(days=90)
"""How long it is known when a VEN came and went."""


class DeviceNews(msgspec.Struct, frozen=True):
    """What is said under `news.device.online`, `.late` and `.offline`."""

    ven_id: str
    state: State
    cause: Cause
    at: datetime
    flapping: bool


def enter(tx: Transaction, messages: Sequence[Heard], policy: Policy) -> tuple[list[Standing], list[str]]:
    """How the VENs of these messages stand now, and which of them nobody registered."""
    known = reads.standings(tx, {one.ven_id for one in messages})
    new = {one.ven_id for one in messages} - known.keys()
    unknown = new - registry.registered(tx, new).keys()
    after, moved = dict(known), list[Standing]()
    for message in sorted(messages, key=lambda one: one.said_at):
        before = after.get(message.ven_id)
        if message.ven_id in unknown or (before is None and not message.online):
            continue  # the last will of one that never said that it is there says nothing
        now = after[message.ven_id] = first(message) if before is None else hear(before, message, policy)
        if before is None or now.state is not before.state:
            moved.append(now)
    _keep(tx, known, after, moved, policy)
    return list(after.values()), sorted(unknown)


def settle(
    tx: Transaction,
    messages: Mapping[str, Heard],
    due: Iterable[str],
    now: datetime,
    listening_at: datetime,
    policy: Policy,
) -> list[Standing]:
    """Enter messages that were kept back of the VENs `due`, and of all whose silence is one; how these stand now."""
    known = reads.unsettled(tx, now) | reads.standings(tx, set(due))
    after, moved = dict[str, Standing](), list[Standing]()
    for ven_id, before in known.items():
        heard = hear(before, messages[ven_id], policy) if ven_id in messages else before
        after[ven_id] = one = judge(heard, now, listening_at, policy)
        if one.state is not before.state:
            moved.append(one)
    _keep(tx, known, after, moved, policy)
    return list(after.values())


async def forget(rows: Rows, clock: Clock) -> None:
    """What is too old to be asked for."""
    before = clock.now() - KEEP
    await rows.transaction(lambda tx: store.forget_changes(tx, before))


def _keep(
    tx: Transaction,
    before: Mapping[str, Standing],
    after: Mapping[str, Standing],
    moved: Sequence[Standing],
    policy: Policy,
) -> None:
    store.put(tx, [one for ven_id, one in after.items() if before.get(ven_id) != one], policy)
    store.add_changes(tx, moved)
    for one in moved:
        news = DeviceNews(one.ven_id, one.state, one.cause, one.since_at, flapping(one, one.since_at, policy))
        tx.say(f"news.device.{one.state}", msgspec.json.encode(news))
