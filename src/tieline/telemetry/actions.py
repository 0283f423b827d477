"""Keeping what was refused: its bytes, its reason, its place in the list."""

import msgspec

from tieline import metrics
from tieline.base.time import Clock
from tieline.ports import Blobs, Entry, Log, Rows, Transaction
from tieline.telemetry import store
from tieline.telemetry.model import Dead, DeadLetter, excerpt

SUBJECT = "dead.mqtt"
MOST_DETAIL = 1000


async def refuse(log: Log, blobs: Blobs, clock: Clock, entry: Entry, ven_id: str, dead: Dead) -> None:
    """Keep a refused entry. Returns once bytes and reason are durable: only then may the entry be done."""
    metrics.DEAD_LETTERS.labels(dead.reason).inc()
    letter = DeadLetter(
        subject=entry.subject[:200],
        reason=dead.reason,
        detail=dead.detail[:MOST_DETAIL].replace("\x00", "\ufffd"),
        said_at=clock.now(),
        digest=await blobs.put(entry.data),
        size=len(entry.data),
        excerpt=excerpt(entry.data),
        ven_id=ven_id[:64],
    )
    key = f"{entry.subject}:{entry.position}:{dead.reason}"
    await log.say(SUBJECT, msgspec.json.encode(letter), key=key)


async def list_dead_letters(log: Log, rows: Rows) -> None:
    """For ever: enter the Log's dead letters in the table that the doors list."""
    async for delivery in log.work("dead.>", group="dead-letters"):
        letters = [(e.position, msgspec.json.decode(e.data, type=DeadLetter)) for e in delivery.entries]

        def work(tx: Transaction, letters: list[tuple[int, DeadLetter]] = letters) -> None:
            for position, letter in letters:
                store.add(tx, position, letter)

        await rows.transaction(work)
        await delivery.done()
