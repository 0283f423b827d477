"""Who lives here: what the page shows them, and their word against the grid's."""

from datetime import datetime

from tieline.base.time import Clock
from tieline.ven.agent.configuration import Site
from tieline.ven.agent.page import AskedView, LoadView, View
from tieline.ven.agent.schedule import Asked, Schedule
from tieline.ven.agent.store import Store
from tieline.ven.agent.switchboard import Switchboard
from tieline.ven.agent.uplink import Uplink
from tieline.wires.mqtt.messages import Ack


class Household:
    """An opt-out frees at once, then is on disk, then is told to the platform."""

    def __init__(
        self, site: Site, board: Switchboard, schedule: Schedule, uplink: Uplink, store: Store, clock: Clock
    ) -> None:
        self._site, self._board, self._schedule = site, board, schedule
        self._uplink, self._store, self._clock = uplink, store, clock

    # --- what they see ------------------------------------------------------------------------------------------------

    async def view(self) -> View:
        now, schedule = self._clock.now(), self._schedule
        return View(
            ven_id=self._site.platform.ven_id,
            now_at=now,
            power_kw=self._board.power_kw,
            limit_kw=self._site.panel.limit_kw,
            loads=self.loads(),
            asked=[_asked(one) for one in schedule.asked(now)],
            out_until=schedule.opted_out_until if schedule.is_out(now) else None,
            waiting=await self._store.waiting(),
            trouble=self._uplink.trouble,
        )

    def loads(self) -> list[LoadView]:
        return [
            LoadView(
                load_id=load_id,
                kind=one.load.kind,
                power_kw=one.power_kw,
                limit_kw=one.hold.limit_kw if one.hold else None,
                why=one.hold.why if one.hold else None,
                trouble=one.device.trouble,
            )
            for load_id, one in self._board.resources.items()
        ]

    # --- what they may ------------------------------------------------------------------------------------------------

    async def opt_out(self, subject: str) -> None:
        ack = self._schedule.opt_out(subject, self._clock.now())
        await self._settle([ack] if ack else [])

    async def opt_out_of_all(self, until: datetime) -> None:
        await self._settle(self._schedule.opt_out_of_all(until, self._clock.now()))

    async def opt_in(self) -> None:
        self._schedule.opt_in()
        await self._settle([])

    async def _settle(self, acks: list[Ack]) -> None:
        self._board.look()
        await self._uplink.keep()
        self._uplink.say(acks)


def _asked(one: Asked) -> AskedView:
    ruling = one.ruling
    if ruling.panel_kw is not None:
        what = f"All together at most {ruling.panel_kw:.2f} kW"
    else:
        what = "; ".join(f"{load_id} at most {kw:.2f} kW" for load_id, kw in ruling.limits.items())
    return AskedView(one.subject, what, one.is_on, ruling.start_at, ruling.end_at)
