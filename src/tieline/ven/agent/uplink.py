"""The platform, as the agent reaches it: commands in, answers and readings out, for as long as either lives.

    command ─▶ answered ─▶ obeyed ─▶ the schedule is on disk ─▶ ack
    store ─▶ the oldest, several a message ─▶ PUBACK ─▶ forgotten

Nothing here keeps the loads from being held or freed: who cannot be reached is tried again, and the agent goes on.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx

from tieline.base.errors import Refused, TielineError
from tieline.ven.agent.configuration import Platform
from tieline.ven.agent.folder import ENROLLED, SCHEDULE
from tieline.ven.agent.schedule import FLEETING, Schedule
from tieline.ven.agent.secrets import read_secret
from tieline.ven.agent.store import Batch, Store
from tieline.ven.agent.timekeeping import GuidedClock
from tieline.ven.client import Client
from tieline.ven.client import Platform as About
from tieline.ven.door import EnrolledDoor, MqttDoor
from tieline.ven.session import Beat, Session
from tieline.ven.twin import DeviceTwin, State
from tieline.wires.mqtt.messages import ACK, LOADS, METER, Ack, Command, TwinReport

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
TIME_S = 600.0
"""So often the platform is asked what time it is."""
TIME_PATIENCE_S = 3.0
BETWEEN_BATCHES_S = 1.0
"""After days off-line there is much to tell: a platform limits how often a device may speak."""


class Uplink:
    """`run` it in a task. `on_news` is called when what is held may have changed; `apply` is the twin's.

    Raises `Refused` for what can never be, such as a secret that is not there.
    """

    def __init__(
        self, platform: Platform, folder: Path, schedule: Schedule, store: Store, clock: GuidedClock,
        *, on_news: Callable[[], None], apply: Callable[[State], State],
    ) -> None:  # fmt: skip
        self.session: Session | None = None
        self.twin = DeviceTwin(self._send_twin, apply)
        self._platform, self._data, self._clock = platform, folder / platform.data, clock
        self._schedule, self._store, self._on_news = schedule, store, on_news
        self._beat = Beat(now=clock.now)
        self._is_enrolled = bool(platform.claim_file) and (self._data / ENROLLED).exists()
        named = platform.secret_file or platform.claim_file
        self._secret = "" if self._is_enrolled else read_secret(folder, named)  # a claim that is used up may be gone
        self._transport = _transport(folder / platform.ca_file) if platform.ca_file else None
        self._trouble = "not yet connected"
        self._commands: asyncio.Queue[Command] = asyncio.Queue()
        self._untold: list[Ack] = []

    @property
    def trouble(self) -> str:
        """Why the platform is not heard; "" while it is."""
        return self.session.trouble if self.session else self._trouble

    async def run(self) -> None:
        """Until cancelled."""
        platform = Client(self._platform.url, transport=self._transport)
        async with platform as client, asyncio.TaskGroup() as tasks:
            session = await self._met(client, tasks)
            session.on_desired, session.on_connected = self.twin.on_desired, self.twin.on_connected
            self.session = session
            self.say(self._untold)
            for run in (session.run, self._answer, self._forward):
                tasks.create_task(run())
            tasks.create_task(self._keep_time(client))

    def say(self, acks: list[Ack]) -> None:
        """Tell the platform, now or as soon as it is met."""
        if self.session is None:
            self._untold += acks
            return
        for ack in acks:
            self.session.send(ACK, ack)

    async def keep(self) -> None:
        """The schedule is on disk when this returns; a disk that takes nothing is no reason not to act."""
        try:
            await self._schedule.keep(self._data / SCHEDULE)
        except TielineError as error:
            log.error("a restart would forget what was accepted: %s", error)

    # --- meeting it ---------------------------------------------------------------------------------------------------

    async def _met(self, client: Client, tasks: asyncio.TaskGroup) -> Session:
        """A session with it, once it can be asked where its MQTT door is, or was asked before."""
        meet = self._by_certificate if self._platform.claim_file else self._by_secret
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await meet(client, tasks)
            except TielineError as error:
                if str(error) != self._trouble:
                    log.warning("the platform is not there yet: %s", error)
                self._trouble = str(error)
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _by_secret(self, client: Client, _: asyncio.TaskGroup) -> Session:
        door = MqttDoor(client, await self._index(client))
        return door.session(self._platform.ven_id, self._secret, self._hear, self._beat)

    async def _by_certificate(self, client: Client, tasks: asyncio.TaskGroup) -> Session:
        """Which the claim is exchanged for, once; without a connection too from then on."""
        from tieline.ven.certificates import Certificates  # noqa: PLC0415  its library costs memory

        certificates = Certificates((self._data / ENROLLED).parent, self._clock)
        if not self._is_enrolled:
            await certificates.enrol(client, self._platform.ven_id, self._secret)
            self._is_enrolled = True
        with contextlib.suppress(TielineError, TimeoutError):
            async with asyncio.timeout(TIME_PATIENCE_S):
                await self._index(client)
        session = EnrolledDoor(certificates).session(self._hear, self._beat)
        tasks.create_task(certificates.keep_renewed(client))
        return session

    async def _index(self, client: Client) -> About:
        """Which tells its time as well."""
        asked_at = self._clock.asking()
        told = await client.index()
        self._clock.answered(told.now_at, asked_at)
        return told

    async def _keep_time(self, client: Client) -> None:
        while True:
            await self._clock.sleep(TIME_S)
            with contextlib.suppress(TielineError):  # commands tell the time too
                await self._index(client)

    def _hear(self, command: Command) -> None:
        self._clock.heard(command.issued_at)
        self._commands.put_nowait(command)

    # --- talking to it ------------------------------------------------------------------------------------------------

    async def _answer(self) -> None:
        while True:
            command = await self._commands.get()
            ack = self._schedule.answer(command, self._clock.now())
            self._on_news()
            if command.op not in FLEETING:
                await self.keep()
            self.say([ack])

    async def _forward(self) -> None:
        """All that is stored, in its order, and forgotten once the broker has it."""
        assert self.session is not None
        while True:
            await self._store.some.wait()
            await self.session.connected.wait()
            try:
                while batch := await self._store.oldest():
                    await self._deliver(self.session, batch)
                    await self._store.forget(batch)
                    await self._clock.sleep(BETWEEN_BATCHES_S)
            except TielineError as error:
                log.error("readings wait: %s", error)
                await self._clock.sleep(LONGEST_PAUSE_S)

    async def _deliver(self, session: Session, batch: Batch) -> None:
        if batch.meter:
            session.send(METER, batch.meter)
        for loads in batch.loads:
            session.send(LOADS, loads)
        await session.drained()

    def _send_twin(self, kind: str, report: TwinReport) -> None:
        if self.session:
            self.session.send(kind, report)


def _transport(ca_file: Path) -> httpx.AsyncHTTPTransport:
    """Which trusts one authority more."""
    trusted = httpx.create_ssl_context()
    try:
        trusted.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Refused(f"{ca_file}: {error}: it must hold certificates, as PEM") from None
    return httpx.AsyncHTTPTransport(verify=trusted)
