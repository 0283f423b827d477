"""Floods: which VENs send more than one device has any reason to, what of theirs is dropped, and until when.

It is measured by the broker's time of each message, not by when we come to it: who waits for us is no flooder. What is
refused of one VEN is measured too: of so much nonsense it is enough to keep some, and to know how much there was.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from tieline.identity.rates import Rates
from tieline.ports import Entry
from tieline.telemetry.model import Dead

REFUSED_AT_ONCE = 20
REFUSED_PER_S = 1 / 60
SUMMED_S = 60.0


class Bounds(msgspec.Struct, frozen=True):
    """Of one device: messages a second in the long run and at once, and for how long it is shut out beyond them."""

    per_s: float = 50
    burst: int = 20_000
    pause_s: float = 60


class Flood(msgspec.Struct):
    """From its first message that was dropped. `told`: the VEN is shut out."""

    ven_id: str
    first: Entry
    until: datetime
    dropped: int = 1
    told: bool = False


class Floods:
    """Those under way."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._rates = Rates(bounds.per_s, bounds.burst)
        self._under_way: dict[str, Flood] = {}
        self._uncounted = Counter[str]()  # by subject: how many passed since its rate was looked at
        self._enough = max(1, bounds.burst // 20)
        self._passed = 0
        self._counted: dict[str, int] = {}  # by subject, which is of one VEN and one kind: the last position

    def drops(self, entry: Entry) -> bool:
        """Whether a message, the next one of its VEN and kind, is not taken. One that was counted before, since two
        rooms read it or it is delivered again, is not counted anew."""
        ven_id = entry.subject.rpartition(".")[2]
        flood = self._under_way.get(ven_id)
        if entry.position <= self._counted.get(entry.subject, 0):
            return flood is not None and flood.first.said_at <= entry.said_at < flood.until
        self._counted[entry.subject] = entry.position
        if flood is not None and entry.said_at < flood.until:
            flood.dropped += 1
            return True
        if flood is not None or self._rates.take(ven_id, entry.said_at):
            return False  # its pause is over, or it has not had one
        until = entry.said_at + timedelta(seconds=self.bounds.pause_s)
        self._under_way[ven_id] = Flood(ven_id, entry, until)
        return True

    def passes(self, entries: Sequence[Entry]) -> bool:
        """Whether all of these are taken, and counted with that; if not, none is, and each is to be asked of.

        What comes by the thousand is counted here, and its rate looked at once there are enough of a subject to matter.
        """
        if not entries or self._under_way or entries[0].position <= self._passed:
            return not entries
        counts = Counter([entry.subject for entry in entries])
        due = [one for one, count in counts.items() if self._uncounted[one] + count >= self._enough]
        last = {entry.subject: entry for entry in entries}
        if not all(self._allows(last[one], counts[one]) for one in due):
            return False
        self._uncounted.update(counts)
        for subject in due:
            self._count(last[subject], self._uncounted.pop(subject))
        self._counted.update({subject: entry.position for subject, entry in last.items()})
        self._passed = entries[-1].position
        return True

    def _allows(self, last: Entry, count: int) -> bool:
        """Whether its VEN may send so many more, beside what passed before."""
        self._count(last, self._uncounted.pop(last.subject, 0))
        return self._rates.allows(last.subject.rpartition(".")[2], last.said_at, count)

    def _count(self, last: Entry, passed: int) -> None:
        self._rates.spend(last.subject.rpartition(".")[2], last.said_at, passed)

    def begun(self) -> list[Flood]:
        """Those not told yet."""
        return [one for one in self._under_way.values() if not one.told]

    def end(self, now: datetime | None) -> list[Flood]:
        """Those over by then (None: all that were told), which are forgotten."""
        over = [one for one in self._under_way.values() if one.told and (now is None or one.until <= now)]
        for one in over:
            del self._under_way[one.ven_id]
        return over


class Unkept(msgspec.Struct):
    """Refused messages of a VEN that are only counted, from the first on; `dead` is the first's reason."""

    ven_id: str
    first: Entry
    dead: Dead
    until: datetime
    count: int = 0


class Refusals:
    """How many refused messages of each VEN are kept each for itself, by the clock that `now` is of."""

    def __init__(self) -> None:
        self._rates = Rates(REFUSED_PER_S, REFUSED_AT_ONCE)
        self._unkept: dict[str, Unkept] = {}

    def keeps(self, entry: Entry, ven_id: str, dead: Dead, now: datetime) -> bool:
        """Whether this one is kept; otherwise it is counted."""
        if self._rates.take(ven_id, now):
            return True
        until = now + timedelta(seconds=SUMMED_S)
        self._unkept.setdefault(ven_id, Unkept(ven_id, entry, dead, until)).count += 1
        return False

    def end(self, now: datetime | None) -> list[Unkept]:
        """Those to be told by then (None: all), which are forgotten."""
        over = [one for one in self._unkept.values() if now is None or one.until <= now]
        for one in over:
            del self._unkept[one.ven_id]
        return over
