"""One device, followed: read again and again, held where it must be, and left in peace for a while when it fails.

turn    limit, if it changed or is due again ─▶ read ─▶ told
fault   unknown from now on ─▶ tried again after 1, 2, 4 … 60 s, or when its limit changes; the others go on
"""

import asyncio
import functools
import logging
from collections.abc import Callable
from datetime import datetime

from tieline.base.errors import TielineError
from tieline.base.time import Clock
from tieline.ven.agent.drivers.driver import Driver, Reading
from tieline.ven.openadr.waiting import within

log = logging.getLogger(__name__)

TIMEOUT_S = 6.0
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
NOT_YET_READ = "not yet read"


class Device:
    """`run` it in a task. `reading` is None while it is unknown, and `trouble` then says why. It was told `limit_kw` at
    `limited_at`, None until it is.

    `on_turn` is called after each turn, in the event loop; `read_s` says how long to rest between two.
    """

    def __init__(
        self, name: str, driver: Driver, clock: Clock, *, on_turn: Callable[[], None], read_s: Callable[[], float],
        refresh_s: float = 60.0,
    ) -> None:  # fmt: skip
        self.name = name
        self.reading: Reading | None = None
        self.read_at: datetime | None = None
        self.limit_kw: float | None = None
        self.limited_at: datetime | None = None
        self.trouble = NOT_YET_READ
        self._driver = driver
        self._clock = clock
        self._on_turn, self._read_s, self._refresh_s = on_turn, read_s, refresh_s
        self._told_at: datetime | None = None
        self._changed = asyncio.Event()

    @property
    def settling_s(self) -> float:
        """How long it takes until readings show what a new limit made of it."""
        return 2 * self._read_s()

    def hold(self, limit_kw: float | None) -> None:
        """Hold it there from now on; None: it is free."""
        if limit_kw != self.limit_kw:
            self.limit_kw, self.limited_at, self._told_at = limit_kw, None, None
            self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            self._changed.clear()
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    await self._turn()
                failures = 0
            except Exception as error:  # a driver may be anybody's: whatever it raises is its device's fault alone
                self._fail(error)
                failures += 1
            self._on_turn()
            pause_s = min(FIRST_PAUSE_S * 2.0 ** (failures - 1), LONGEST_PAUSE_S) if failures else self._read_s()
            await within(self._clock, self._changed, pause_s)

    async def free(self) -> None:
        """Give it back and let go of it, whatever it says to that."""
        for last in (functools.partial(self._driver.limit, None), self._driver.close):
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    await last()
            except Exception as error:  # as above
                log.warning("%s could not be left free: %s", self.name, _told(error))

    async def _turn(self) -> None:
        now, limit_kw = self._clock.now(), self.limit_kw
        if self._told_at is None or (now - self._told_at).total_seconds() >= self._refresh_s:
            await self._driver.limit(limit_kw)
            if limit_kw == self.limit_kw:
                self._told_at, self.limited_at = now, self.limited_at or now
        self.reading = await self._driver.read()
        self.read_at = self._clock.now()
        if self.trouble:
            log.info("%s answers", self.name)
        self.trouble = ""

    def _fail(self, error: Exception) -> None:
        told = _told(error)
        if self.trouble in ("", NOT_YET_READ):
            log.warning("%s is not there: %s", self.name, told)
        self.reading, self.trouble, self._told_at = None, told, None


def _told(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_S:g} s"
    return str(error) if isinstance(error, TielineError) else repr(error)
