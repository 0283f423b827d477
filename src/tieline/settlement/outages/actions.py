"""Declaring an outage, correcting one, withdrawing one."""

from datetime import datetime

import msgspec

from tieline.base.errors import NotFound
from tieline.base.time import instant
from tieline.ports import Reader, Transaction
from tieline.registry import reads as registry
from tieline.settlement.outages import reads, store
from tieline.settlement.outages.model import NewOutage, Outage


def declare(tx: Transaction, new: NewOutage, fresh_id: str, now: datetime) -> Outage:
    """The next version of the one that it names, or the first of a new one. The same again changes nothing.

    Raises `NotFound` for a VEN, circuit, site or outage that is not known.
    """
    before = reads.newest(tx, new.outage_id) if new.outage_id else None
    if new.outage_id and before is None:
        raise NotFound(f"there is no outage {new.outage_id!r} to correct: leave outage_id out to declare one")
    span = {"start_at": instant(new.start_at), "end_at": instant(new.end_at)}
    said = {**msgspec.structs.asdict(new), **span, "outage_id": new.outage_id or fresh_id}
    made = Outage(
        **said,
        ven_ids=_touched(tx, new),
        version=before.version + 1 if before else 1,
        known_at=now,
    )
    if before is not None and msgspec.structs.replace(made, version=before.version, known_at=before.known_at) == before:
        return before
    store.add(tx, made)
    return made


def _touched(reader: Reader, new: NewOutage) -> tuple[str, ...]:
    if new.site_id is not None:
        registry.the_site(reader, new.site_id)
        return tuple(registry.vens_at(reader, new.site_id))
    ven = registry.the_ven(reader, new.ven_id or "")
    if new.resource_id is not None:
        known = [one.resource_id for one in registry.resources_of(reader, ven.ven_id)]
        if new.resource_id not in known:
            raise NotFound(
                f"VEN {ven.ven_id} has no circuit {new.resource_id!r}: there are {', '.join(known) or 'none'}"
            )
    return (ven.ven_id,)
