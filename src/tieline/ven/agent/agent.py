"""The agent at a site's loads: everything together, for as long as it runs.

    devices ─ readings ─▶ switchboard ─ limits ─▶ devices     at each reading, command, opt-out, turn of the clock
       │                     ▲
       │        commands ─▶ schedule, on disk                 with or without the platform
       ▼
    store, on disk ─▶ uplink ─▶ the platform

At its start, and when it ends, every load is set free that nothing holds: what crashed comes back in a safe state.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tieline.base.errors import TielineError
from tieline.base.time import EPOCH, Clock, RatedClock, iso
from tieline.ven.agent import folder as folders
from tieline.ven.agent import resource, showing
from tieline.ven.agent.configuration import Site
from tieline.ven.agent.drivers.driver import Wiring
from tieline.ven.agent.home import HomeBroker
from tieline.ven.agent.household import Household
from tieline.ven.agent.page import LARGEST_FORM, MOST_CALLS, Owner, Page
from tieline.ven.agent.schedule import Schedule
from tieline.ven.agent.secrets import read_secret
from tieline.ven.agent.store import PREMISES, Energy, Store
from tieline.ven.agent.switchboard import Switchboard
from tieline.ven.agent.timekeeping import GuidedClock, going_on
from tieline.ven.agent.uplink import Uplink
from tieline.ven.serving import Server
from tieline.ven.session import AGENT
from tieline.ven.twin import State as TwinState
from tieline.wires.mqtt.messages import Load, Scalar

log = logging.getLogger(__name__)

LONGEST_TICK_S = 5.0
SETTINGS_S = {"read_s": (0.1, 60.0), "report_s": (1.0, 3600.0)}
"""What the platform may set, from and to."""


async def run(site: Site, folder: Path, clock: Clock | None = None) -> None:
    """Until cancelled; then every load is free. `folder` is where the configuration stands.

    Raises `Refused` for what can never run, `Unready` when the data folder or the page's port is another's.
    """
    guided = GuidedClock(clock or RatedClock(wall=going_on()))
    async with contextlib.AsyncExitStack() as open_:
        data = open_.enter_context(folders.held(folder / site.platform.data))
        store = Store(data / folders.READINGS, days=site.store.days, mib=site.store.mib)
        open_.callback(store.close)
        wiring = Wiring(guided, folder, _home(site, folder, guided))
        open_.push_async_callback(wiring.close)
        agent = Agent(site, folder, store, wiring, guided, await store.energies())
        await open_.enter_async_context(agent.serving())
        await agent.run()


def _home(site: Site, folder: Path, clock: Clock) -> HomeBroker | None:
    if (home := site.home) is None:
        return None
    password = read_secret(folder, home.password_file) if home.password_file else ""
    return HomeBroker(home, password, site.platform.ven_id, clock)


class Agent:
    """Of one site, with its store and its wiring open."""

    def __init__(
        self,
        site: Site,
        folder: Path,
        store: Store,
        wiring: Wiring,
        clock: GuidedClock,
        energies: Mapping[str, Energy],
    ) -> None:
        self._site, self._store, self._wiring, self._clock = site, store, wiring, clock
        settings = {"read_s": site.read_s, "report_s": site.report_s}
        held = [load.id for load in site.load if load.sheddable]
        self._schedule = Schedule(held, settings, state=self._state, objection=_objection)
        self._schedule.recall(folder / site.platform.data / folders.SCHEDULE)
        self._board = Switchboard(site, wiring, self._schedule, energies)
        self._uplink = Uplink(
            site.platform, folder, self._schedule, store, clock, on_news=self._board.look, apply=self._apply
        )
        self._household = Household(site, self._board, self._schedule, self._uplink, store, clock)

    def serving(self) -> contextlib.AbstractAsyncContextManager[None]:
        """The page, where there is one. Raises `Unready` when its port is taken."""
        if (page := self._site.page) is None:
            return contextlib.nullcontext()
        household = self._household
        owner = Owner(household.opt_out, household.opt_in)
        answer = Page(household.view, owner, ZoneInfo(self._site.zone), page.names).answer
        return Server(answer, "the page", largest_body=LARGEST_FORM, most_calls=MOST_CALLS).listening(
            page.host, page.port
        )

    async def run(self) -> None:
        await self._tell_what_was_left()
        self._board.look()
        async with self._at_home():
            try:
                async with asyncio.TaskGroup() as tasks:
                    for device in self._board.devices:
                        tasks.create_task(device.run())
                    for work in (self._tick, self._report, self._uplink.run):
                        tasks.create_task(work())
            finally:
                await asyncio.gather(*(device.free() for device in self._board.devices))

    @contextlib.asynccontextmanager
    async def _at_home(self) -> AsyncIterator[None]:
        """With the broker at home, where there is one: it must outlive the devices, which are set free by it."""
        home = self._wiring.home
        tasks = [asyncio.create_task(work) for work in (home.run(), self._show(home))] if home else []
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- by the clock -------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        """What begins or ends by itself, what was read on its way to the disk, and the twin."""
        while True:
            self._board.look()
            await self._note()
            if self._uplink.session:
                self._uplink.twin.report(self._twin())
            now = self._clock.now()
            next_at = self._schedule.next_change(now)
            until_s = (next_at - now).total_seconds() if next_at else LONGEST_TICK_S
            await self._clock.sleep(min(until_s, self._seconds("read_s"), LONGEST_TICK_S))

    async def _report(self) -> None:
        """At whole minutes, or whatever the platform wants them to be."""
        while True:
            now, report_s = self._clock.now(), self._seconds("report_s")
            at = EPOCH + timedelta(seconds=((now - EPOCH).total_seconds() // report_s + 1) * report_s)
            await self._clock.sleep((at - now).total_seconds())
            await self._note()
            await self._stored(self._store.report(at, self._loads))

    async def _tell_what_was_left(self) -> None:
        """What was read before a crash and not told is of its own time, not of ours."""
        if at := await self._store.last_read_at():
            await self._stored(self._store.report(at, resource.left_over))

    async def _show(self, home: HomeBroker) -> None:
        """At the broker at home."""
        found = showing.discovery(home, self._site.load)
        while True:
            await home.show({**found, **showing.states(home, self._household.loads())})
            await self._clock.sleep(self._seconds("read_s"))

    async def _note(self) -> None:
        await self._stored(self._store.note(self._board.take_noted(), self._board.energies))

    async def _stored(self, work: Coroutine[Any, Any, None]) -> None:
        """A disk that takes nothing is no reason not to act."""
        try:
            await work
        except TielineError as error:
            log.error("what was read is lost: %s", error)

    # --- what is told -------------------------------------------------------------------------------------------------

    def _loads(self, means_kw: Mapping[str, float]) -> list[Load]:
        now = self._clock.now()
        powers = [(self._board.resources[name], kw) for name, kw in means_kw.items() if name != PREMISES]
        free_s = self._schedule.free_s
        return [told for one, kw in powers if (told := one.told(now, kw, free_s(now, one.load.id)))]

    def _state(self) -> dict[str, Scalar]:
        """What a get tells besides settings and limits."""
        told: dict[str, Scalar] = {"agent": AGENT, "power_kw": self._board.power_kw, "opted_out_until": self._out()}
        told["clock_off_s"] = self._clock.off_s
        for load_id, one in self._board.resources.items():
            told |= {f"{load_id}.power_kw": one.power_kw, f"{load_id}.trouble": one.device.trouble}
        return told

    def _out(self) -> str | None:
        """Until when its owner takes no part in anything."""
        now = self._clock.now()
        return max((iso(one.until_at) for one in self._schedule.standing if one.covers(now)), default=None)

    # --- the twin -----------------------------------------------------------------------------------------------------

    def _twin(self) -> TwinState:
        resources = self._board.resources.items()
        loads = {
            load_id: {"online": not one.device.trouble, "trouble": one.device.trouble} for load_id, one in resources
        }
        out = {"opted_out_until": until} if (until := self._out()) else {}
        off = {"clock_off_s": self._clock.off_s} if self._clock.off_s else {}
        return {"agent": AGENT, "loads": loads, **self._schedule.settings, **out, **off}

    def _apply(self, desired: TwinState) -> TwinState:
        """Settings that may be so; of the rest nothing changes, which the platform sees."""
        for name in SETTINGS_S.keys() & desired.keys():
            if wrong := _objection(name, desired[name]):
                log.warning("the twin desires what cannot be: %s", wrong)
            else:
                self._schedule.settings[name] = float(desired[name])
        return self._twin()

    def _seconds(self, setting: str) -> float:
        return float(self._schedule.settings[setting] or LONGEST_TICK_S)


def _objection(name: str, value: Scalar) -> str:
    least, most = SETTINGS_S[name]
    is_within = isinstance(value, int | float) and least <= value <= most
    return "" if is_within else f"{name} is from {least:g} to {most:g} seconds"
