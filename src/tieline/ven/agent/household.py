"""Who lives here: what the page shows them, and their word against the grid's."""

from datetime import datetime
from zoneinfo import ZoneInfo

from tieline.base.errors import Refused
from tieline.ven.agent.configuration import Site
from tieline.ven.agent.page import AskedView, LoadView, View
from tieline.ven.agent.schedule import REASON, Asked, Schedule, Standing
from tieline.ven.agent.store import Store
from tieline.ven.agent.switchboard import Switchboard
from tieline.ven.agent.timekeeping import GuidedClock
from tieline.ven.agent.uplink import Uplink
from tieline.ven.agent.wish import Wish, midnight
from tieline.wires.mqtt.messages import Ack, OptOut


class Household:
    """An opt-out frees at once, then is on disk, then is told to the platform."""

    def __init__(
        self, site: Site, board: Switchboard, schedule: Schedule, uplink: Uplink, store: Store, clock: GuidedClock
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
            asked=[_asked(one, now) for one in schedule.asked(now)],
            standing=[one for one in schedule.standing if one.until_at > now],
            clock_off_s=self._clock.off_s,
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

    async def opt_out(self, wish: Wish) -> None:
        """Raises `Refused` for what would change nothing."""
        now = self._clock.now()
        if wish.load_id is not None and wish.load_id not in self._schedule.resources:
            raise Refused(
                f"there is no load {wish.load_id!r} that is held: {', '.join(sorted(self._schedule.resources))}"
            )
        if wish.subject:
            ack = self._schedule.opt_out(wish.subject, self._opt_out(wish, now), now)
            await self._settle([ack] if ack else [])
        else:
            await self._settle(self._schedule.opt_out_of_all(self._standing(wish, now), now))

    def _opt_out(self, wish: Wish, now: datetime) -> OptOut:
        ruling = self._schedule.rulings.get(wish.subject)
        if ruling is None or ruling.is_over(now):
            raise Refused(f"{wish.subject} asks for nothing any more")
        if wish.from_at is not None and ruling.end_at is not None and wish.from_at >= ruling.end_at:
            end, zone = ruling.end_at, ZoneInfo(self._site.zone)
            raise Refused(f"it is over at {end.astimezone(zone):%H:%M}: choose an earlier time, or none to opt out now")
        return OptOut(wish.load_id, wish.from_at, wish.keep_kw, wish.reason or REASON)

    def _standing(self, wish: Wish, now: datetime) -> Standing:
        if wish.keep_kw is not None:
            raise Refused("keep_kw is of one thing that is asked: of everything, a load takes part or it does not")
        from_at = wish.from_at or now
        return Standing(from_at, midnight(from_at, ZoneInfo(self._site.zone)), wish.load_id, wish.reason or REASON)

    async def opt_in(self) -> None:
        self._schedule.opt_in()
        await self._settle([])

    async def _settle(self, acks: list[Ack]) -> None:
        self._board.look()
        await self._uplink.keep()
        self._uplink.say(acks)


def _asked(one: Asked, now: datetime) -> AskedView:
    ruling, limits = one.ruling, one.ruling.limits_at(now)
    if (panel_kw := ruling.panel_at(now)) is not None:
        what = f"All together at most {panel_kw:.2f} kW"
    else:
        what = "; ".join(f"{load_id} at most {kw:.2f} kW" for load_id, kw in limits.items())
    coming = [out for out in ruling.opt_outs if not out.has_begun(now)]
    return AskedView(one.subject, what, one.is_on, ruling.start_at, ruling.end_at, sorted(limits), coming)
