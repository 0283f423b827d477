"""Rates: how often each of many may do something, by a bucket that fills steadily and holds a burst."""

from collections import OrderedDict
from datetime import datetime

_MOST = 100_000


class Rates:
    """`per_s` times a second in the long run, `burst` times at once. It remembers those that came last."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left: OrderedDict[str, tuple[float, datetime]] = OrderedDict()

    def allows(self, who: str, now: datetime, times: int = 1) -> bool:
        """Whether it may so often more; asking does not count."""
        return self._of(who, now) >= times

    def take(self, who: str, now: datetime, times: int = 1) -> bool:
        """Whether it might; these times count, unless it might not."""
        left, (_, at) = self._of(who, now), self._left.get(who, (0.0, now))
        # What comes in by two ways is told out of order: the time between must not be gained again and again.
        self._left[who] = left - times * (left >= times), max(at, now)
        self._left.move_to_end(who)
        if len(self._left) > _MOST:
            self._left.popitem(last=False)
        return left >= times

    def spend(self, who: str, now: datetime, times: int) -> None:
        """It has done so already: as far as it might, these times count."""
        if possible := min(times, int(self._of(who, now))):
            self.take(who, now, possible)

    def forget(self, who: str) -> None:
        self._left.pop(who, None)

    def _of(self, who: str, now: datetime) -> float:
        left, at = self._left.get(who, (self._burst, now))
        return min(self._burst, left + max(0.0, (now - at).total_seconds()) * self._per_s)
