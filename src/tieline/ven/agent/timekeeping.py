"""The agent's clock: this machine's, set right by what the platform tells of its own.

    a command's stamp, when it comes      the platform's clock shows at least that: ours is behind if it shows less
    the answer to what we asked           it showed no less than that since we asked: ours was ahead if it showed more

What the platform asks is begun and ended by this clock, and readings are stamped by it, so that a machine that does not
know the time, as after a day without power, does what it is asked when it is asked.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from tieline.base.time import Clock

log = logging.getLogger(__name__)

TOLERANCE = timedelta(seconds=2)
"""A message is on its way for a while."""
STEP_S = 1.0
"""A clock that leaps by more was set."""


def going_on(
    wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic
) -> Callable[[], float]:
    """This machine's time, which may be set forward; set back, it goes on as before, until the platform tells its own:
    a clock that stood until then would let nothing end."""
    began = seen = wall() - steady()

    def now() -> float:
        nonlocal began, seen
        found = wall() - steady()
        if abs(found - seen) > STEP_S:
            began, seen = began + max(found - seen, 0.0), found
        return began + steady()

    return now


class GuidedClock:
    """`ahead`: so far is this machine's own clock before the platform's; behind where negative."""

    def __init__(self, own: Clock) -> None:
        self.ahead = timedelta(0)
        self._own = own

    def now(self) -> datetime:
        return self._own.now() - self.ahead

    async def sleep(self, seconds: float) -> None:
        await self._own.sleep(seconds)

    @property
    def off_s(self) -> float:
        return round(self.ahead.total_seconds(), 1)

    def asking(self) -> datetime:
        """Before the platform is asked: for `answered`."""
        return self._own.now()

    def answered(self, stamp: datetime, asked_at: datetime) -> None:
        """The platform told this, after it was asked."""
        self.heard(stamp)
        if asked_at - self.ahead - stamp > TOLERANCE:
            self._set(asked_at - stamp)

    def heard(self, stamp: datetime) -> None:
        """The platform told this, whenever that was."""
        if stamp - self.now() > TOLERANCE:
            self._set(self._own.now() - stamp)

    def _set(self, ahead: timedelta) -> None:
        self.ahead = ahead
        where = "ahead of" if ahead > timedelta(0) else "behind"
        log.warning("this machine's clock is %s %s the platform's, which is used", abs(ahead), where)
