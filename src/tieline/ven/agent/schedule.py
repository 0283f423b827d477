"""The local schedule: what was accepted goes on by the VEN's own clock, over restarts, unless the owner opts out.

command ─▶ answered ─▶ on disk, whole and synced ─▶ the answer is sent ─▶ held from start_at to end_at
owner ─▶ opts out ─▶ on disk ─▶ free at once, or when he said, and the platform is told
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from tieline.ven.control import HOLDING, Control, Snapshot
from tieline.ven.durable import write_durably
from tieline.ven.ruling import Ruling
from tieline.wires.mqtt.messages import Ack, Command, Op, OptOut

log = logging.getLogger(__name__)

REASON = "opted out by the owner"
MOST_STANDING = 64
FLEETING = (Op.PING, Op.GET)
"""Commands that leave nothing to remember."""


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """The owner takes no part in anything from an instant until another: with all loads, or with one."""

    from_at: datetime
    until_at: datetime
    resource_id: str | None = None
    reason: str = REASON

    def covers(self, at: datetime, resource_id: str | None = None) -> bool:
        return self.from_at <= at < self.until_at and self.resource_id in (None, resource_id)


class Kept(msgspec.Struct, frozen=True):
    """The file."""

    control: Snapshot = Snapshot()
    standing: list[Standing] = []


class Asked(NamedTuple):
    """One thing that is asked, now or later, for who lives here. `subject` is its name in `Control.rulings`."""

    subject: str
    ruling: Ruling
    is_on: bool


class Schedule(Control):
    """A control that asks its owner, and can be kept in a file."""

    standing: Sequence[Standing] = ()

    # --- commands -----------------------------------------------------------------------------------------------------

    def answer(self, command: Command, now: datetime) -> Ack:
        return self.take(command, now, opt_outs=self._against(command, now) if command.op in HOLDING else ())

    def asked(self, now: datetime) -> list[Asked]:
        """All that holds or will, the first to begin first."""
        found = [Asked(name, one, one.holds(now)) for name, one in self.rulings.items() if not one.is_over(now)]
        return sorted(found, key=lambda one: one.ruling.start_at or one.ruling.issue[0])

    def _against(self, command: Command, now: datetime) -> list[OptOut]:
        """What stands against it."""
        begins, ends = max(now, command.start_at or now), command.end_at
        concerned = [one for one in self.standing if one.until_at > begins and (ends is None or one.from_at < ends)]
        return [_opt_out(one, begins) for one in concerned]

    # --- the owner ----------------------------------------------------------------------------------------------------

    def free_s(self, now: datetime, resource_id: str) -> float | None:
        """For how many seconds more that load may be held by his word; None: as long as it likes."""
        concerned = [one for one in self.standing if one.resource_id in (None, resource_id) and one.until_at > now]
        return min((max(0.0, (one.from_at - now).total_seconds()) for one in concerned), default=None)

    def opt_out_of_all(self, standing: Standing, now: datetime) -> list[Ack]:
        """Be free of everything while it stands; what to tell of what is asked already."""
        kept = [one for one in self.standing if one.until_at > now]
        self.standing = [*kept, standing][-MOST_STANDING:]
        told = []
        for one in self.asked(now):
            begins, ends = max(now, one.ruling.start_at or now), one.ruling.end_at
            if standing.until_at > begins and (ends is None or standing.from_at < ends):
                told.append(self.opt_out(one.subject, _opt_out(standing, begins), now))
        return [ack for ack in told if ack]

    def opt_in(self) -> None:
        """Take part again in what is yet to come."""
        self.standing = ()

    # --- the file -----------------------------------------------------------------------------------------------------

    def recall(self, path: Path) -> None:
        """Go on from what was kept; what cannot be read is set aside."""
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=Kept)
        except FileNotFoundError:
            kept = Kept()
        except msgspec.DecodeError as error:
            aside = path.rename(path.with_suffix(".unreadable"))
            log.error("the schedule cannot be read, and is set aside as %s: %s", aside, error)
            kept = Kept()
        self.restored(kept.control)
        self.standing = kept.standing

    async def keep(self, path: Path) -> None:
        """Durable when this returns, as it was when this was called. Raises `Unready`."""
        kept = Kept(self.snapshot(), list(self.standing))
        await asyncio.to_thread(write_durably, path, msgspec.json.encode(kept))


def _opt_out(standing: Standing, begins: datetime) -> OptOut:
    """Of something that begins then."""
    later = standing.from_at > begins
    return OptOut(standing.resource_id, standing.from_at if later else None, reason=standing.reason)
