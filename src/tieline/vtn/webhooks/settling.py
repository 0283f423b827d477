"""What a turn of the courier writes in one transaction: results, health, leases given up and taken."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tieline.ports import Transaction
from tieline.vtn.webhooks import store
from tieline.vtn.webhooks.model import LONGEST_REASON, HealthChange, Leased, Result, Verdict


class Settlement(msgspec.Struct, frozen=True):
    """`health` of the endpoints where it changed; `idle` ones have nothing in hand."""

    worker: str
    now: datetime
    results: Sequence[Result]
    health: Sequence[HealthChange]
    idle: Sequence[str]
    let_go: Sequence[str]
    claims: Sequence[str]
    lease_until: datetime

    def __bool__(self) -> bool:
        return bool(self.results or self.health or self.idle or self.let_go or self.claims)


class Settled(msgspec.Struct, frozen=True):
    """The endpoints that are gone because nothing is left for them, and those newly leased."""

    drained: set[str]
    leased: list[Leased]


def settle(tx: Transaction, asked: Settlement) -> Settled:
    _write_results(tx, asked.results, asked.now)
    if asked.health:
        _write_health(tx, asked)
    drained = store.remove_drained(tx, asked.idle, asked.worker) if asked.idle else set()
    if asked.let_go:
        store.release(tx, asked.let_go, asked.worker)
    leased = store.claim(tx, asked.claims, asked.worker, asked.now, asked.lease_until) if asked.claims else []
    return Settled(drained, leased)


def _write_health(tx: Transaction, asked: Settlement) -> None:
    """Whoever looks after subscribers hears of what breaks and what mends: OpenADR 3.1.0 Definition, "Webhooks"."""
    store.set_health(tx, asked.health, asked.worker)
    for one in asked.health:
        if one.news:
            tx.say(f"news.webhook.{one.news}", msgspec.json.encode(one))
    if mended := [one.endpoint_id for one in asked.health if one.news == "mended"]:
        store.hasten(tx, mended, asked.now)


def _write_results(tx: Transaction, results: Sequence[Result], now: datetime) -> None:
    delivered = [one for one in results if one.verdict is Verdict.DELIVERED]
    dead = [one for one in results if one.verdict is Verdict.DEAD]
    again = [one for one in results if one.verdict is Verdict.AGAIN]
    if delivered:
        store.remove_deliveries(tx, [one.due.seq for one in delivered])
        store.remove_unused_bodies(tx, sorted({one.due.digest for one in delivered}))
    if dead:
        store.bury(tx, [_tried(one) for one in dead], now)
    if again:
        store.postpone(tx, [_tried(one) for one in again])
    if ended := [one.due.lane_id for one in (*delivered, *dead)]:
        store.remove_empty_lanes(tx, ended)


def _tried(one: Result) -> dict[str, object]:
    """The values that `store.bury` and `store.postpone` ask for."""
    return {
        "b_seq": one.due.seq,
        "b_lane_id": one.due.lane_id,
        "attempts": one.due.attempts + 1,
        "reason": one.reason[:LONGEST_REASON],
        "due_at": one.retry_at,
    }
