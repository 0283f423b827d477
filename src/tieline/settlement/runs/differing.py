"""What a restatement changed of a participant, entry by entry. Pure."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TypeAlias

from tieline.settlement.runs.model import Account, Clause, Difference, Entry

Key: TypeAlias = tuple[Clause, str, int]
"""The n-th of a clause for an event."""


def difference(ven_id: str, before: Account | None, after: Account | None) -> Difference:
    """`because` has a line for each entry that is another one, and is empty where none is."""
    old, new = (_keyed(one.entries if one else ()) for one in (before, after))
    totals = [one.total if one else Decimal(0) for one in (before, after)]
    because = [said for key in dict.fromkeys((*old, *new)) for said in _changed(key, old.get(key), new.get(key))]
    return Difference(ven_id, totals[0], totals[1], totals[1] - totals[0], because)


def _keyed(entries: Iterable[Entry]) -> dict[Key, Entry]:
    found: dict[Key, Entry] = {}
    for entry in entries:
        n = sum(1 for clause, event_id, _ in found if (clause, event_id) == (entry.clause, entry.event_id))
        found[entry.clause, entry.event_id, n] = entry
    return found


def _changed(key: Key, before: Entry | None, after: Entry | None) -> Iterator[str]:
    name = " of ".join(filter(None, key[:2]))
    if before is None and after is not None:
        yield f"{name}: new, {_told(after)}"
    elif after is None and before is not None:
        yield f"{name}: gone, was {_told(before)}"
    elif before != after and before is not None and after is not None:
        yield f"{name}: {_told(before)} → {_told(after)}"


def _told(entry: Entry) -> str:
    price = "" if entry.price is None else f" at {entry.price}"
    return f"{entry.amount} for {entry.quantity} {entry.unit}{price}"
