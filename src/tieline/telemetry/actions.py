"""Keeping what was refused: its bytes, its reason, its place in the list."""

from datetime import datetime

import msgspec

from tieline import metrics
from tieline.base.time import Clock
from tieline.ports import DEAD, Blobs, Entry, Log, Rows, Transaction
from tieline.telemetry import store
from tieline.telemetry.model import Dead, DeadLetter, detail_of, excerpt

SUBJECT = "dead.mqtt"
SUBJECT_OF_REPORTS = "dead.report"


async def refuse(log: Log, blobs: Blobs, clock: Clock, entry: Entry, ven_id: str, dead: Dead) -> None:
    """Keep a refused entry. Returns once bytes and reason are durable: only then may the entry be done."""
    metrics.DEAD_LETTERS.labels(dead.reason).inc()
    letter = _letter(entry, dead, await blobs.put(entry.data), ven_id, clock.now())
    key = f"{entry.subject}:{entry.position}:{dead.reason}"
    await log.say(SUBJECT, msgspec.json.encode(letter), key=key)


def refuse_within(tx: Transaction, entry: Entry, digest: str, ven_id: str | None, dead: Dead, now: datetime) -> None:
    """Keep why an entry, or a part of it, was refused, if the caller's transaction commits; its bytes are in Blobs."""
    tx.say(SUBJECT_OF_REPORTS, msgspec.json.encode(_letter(entry, dead, digest, ven_id, now)))


def _letter(entry: Entry, dead: Dead, digest: str, ven_id: str | None, now: datetime) -> DeadLetter:
    return DeadLetter(
        subject=entry.subject[:200],
        reason=dead.reason,
        detail=detail_of(dead),
        said_at=now,
        digest=digest,
        size=len(entry.data),
        excerpt=excerpt(entry.data),
        ven_id=ven_id[:64] if ven_id else None,
        entry_position=entry.position,
    )


async def list_dead_letters(log: Log, rows: Rows) -> None:
    """For ever: enter the Log's dead letters in the table that the doors list."""
    async for delivery in log.work("dead.>", group="dead-letters"):
        letters = [(e.position, msgspec.json.decode(e.data, type=DeadLetter)) for e in delivery.entries]

        def work(tx: Transaction, letters: list[tuple[int, DeadLetter]] = letters) -> None:
            for position, letter in letters:
                store.add(tx, position, letter)

        await rows.transaction(work)
        await delivery.done()


async def forget(rows: Rows, blobs: Blobs, clock: Clock) -> None:
    """Dead letters that are as old as the Log keeps them, and their bytes, which nothing else may have put there."""
    before = clock.now() - DEAD.keep
    for digest in await rows.read(lambda reader: store.outlived(reader, before)):
        await blobs.forget(digest)
    await rows.transaction(lambda tx: store.forget_letters(tx, before))
