"""What choosing offers the process: it works out the proposals that are asked for."""

import asyncio

import structlog

from tieline.base.errors import Unready
from tieline.base.time import Clock
from tieline.ports import Rows, Series
from tieline.settlement.choosing import actions, reads

LOOK_S = 1.0
"""Of the wall, between two looks at what was asked for."""
log = structlog.get_logger(__name__)


class Chooser:
    """What is to be worked out stands in the rows: whatever dies, the next look, in any process, finds it again."""

    def __init__(self, rows: Rows, series: Series, clock: Clock, look_s: float = LOOK_S) -> None:
        self._rows, self._series, self._clock, self._look_s = rows, series, clock, look_s

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._look_s)

    async def look(self) -> None:
        for one in await self._rows.read(reads.asked):
            try:
                await actions.work_out(one, rows=self._rows, series=self._series, now=self._clock.now())
            except Unready as error:
                log.warning("proposal waits", proposal_id=one.proposal_id, reason=str(error))
            except Exception as error:  # whatever is wrong with one, the others go on, and it is not tried for ever
                log.error("proposal fails", proposal_id=one.proposal_id, exc_info=error)
                await actions.give_up(one, rows=self._rows)
