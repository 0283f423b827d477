"""The local schedule: what was accepted goes on by the VEN's own clock, over restarts, unless the owner opts out.

command ─▶ answered ─▶ on disk, whole and synced ─▶ the answer is sent ─▶ held from start_at to end_at
owner ─▶ opts out ─▶ on disk ─▶ free at once, and the platform is told: that command is opted out of
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from tieline.ven.control import Control, Ruling, Snapshot
from tieline.ven.openadr.memory import write_durably
from tieline.wires.mqtt.messages import Ack, Answer, Command, Op

log = logging.getLogger(__name__)

REASON = "opted out by the owner"
MOST_OPTED_OUT = 256
FLEETING = (Op.PING, Op.GET)
"""Commands that leave nothing to remember."""


class Kept(msgspec.Struct, frozen=True):
    """The file. `opted_out` are the ids of events."""

    control: Snapshot = Snapshot()
    opted_out: list[str] = []
    opted_out_until: datetime | None = None


class Asked(NamedTuple):
    """One thing that is asked, now or later, for who lives here. `subject` is its name in `Control.rulings`."""

    subject: str
    ruling: Ruling
    is_on: bool


class Schedule(Control):
    """A control that asks its owner, and can be kept in a file."""

    opted_out: Sequence[str] = ()
    opted_out_until: datetime | None = None

    # --- commands -----------------------------------------------------------------------------------------------------

    def answer(self, command: Command, now: datetime) -> Ack:
        return self.take(command, now, willing=self._is_willing(command.event_id, now))

    def is_out(self, now: datetime) -> bool:
        """Whether the owner opted out of everything."""
        return self.opted_out_until is not None and now < self.opted_out_until

    def asked(self, now: datetime) -> list[Asked]:
        """All that holds or will, the first to begin first."""
        found = [Asked(name, one, one.holds(now)) for name, one in self.rulings.items() if not one.is_over(now)]
        return sorted(found, key=lambda one: one.ruling.start_at or one.ruling.issue[0])

    def _is_willing(self, event_id: str, now: datetime) -> bool:
        return not self.is_out(now) and event_id not in self.opted_out

    # --- the owner ----------------------------------------------------------------------------------------------------

    def opt_out(self, subject: str, now: datetime) -> Ack | None:
        """Be free of that at once, and of what comes later of the same event; what to tell. None: it holds no more."""
        ruling = self.rulings.get(subject)
        if ruling is None or ruling.is_over(now):
            return None
        self.rulings[subject] = Ruling(ruling.issue)
        kind, _, name = subject.partition(":")
        if kind == "event":
            self.opted_out = [*self.opted_out, name][-MOST_OPTED_OUT:]
        ack = Ack(command_id=ruling.issue[1], answer=Answer.OPTED_OUT, at=now, reason=REASON)
        self._acks[ack.command_id] = ack
        return ack

    def opt_out_of_all(self, until: datetime, now: datetime) -> list[Ack]:
        """Be free of everything that begins before; what to tell."""
        self.opted_out_until = until
        begun = [one for one in self.asked(now) if one.ruling.start_at is None or one.ruling.start_at < until]
        return [ack for one in begun if (ack := self.opt_out(one.subject, now))]

    def opt_in(self) -> None:
        """Take part again in what is yet to come."""
        self.opted_out_until = None

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
        self.opted_out, self.opted_out_until = kept.opted_out, kept.opted_out_until

    async def keep(self, path: Path) -> None:
        """Durable when this returns, as it was when this was called. Raises `Unready`."""
        kept = Kept(self.snapshot(), list(self.opted_out), self.opted_out_until)
        await asyncio.to_thread(write_durably, path, msgspec.json.encode(kept))
