"""Settings become ports, ports become parts, parts become a process: the only file that names adapters."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol, TypedDict

import msgspec
import structlog
from litestar import Litestar

from tieline import __version__, api, doors, metrics, process
from tieline.adapters.blobs import ObjectBlobs
from tieline.adapters.nats.callout import AuthCallout
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.mqtt import MqttPublisher
from tieline.adapters.nats.server import NatsServer
from tieline.adapters.series import DeltaSeries
from tieline.adapters.series import Limits as SeriesLimits
from tieline.adapters.sql.clock import SharedClock
from tieline.adapters.sql.outbox import Outbox
from tieline.adapters.sql.postgres import PostgresRows
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.access import Decide, Grant
from tieline.base.errors import Broken, Refused, Unready
from tieline.base.part import Part, Task
from tieline.base.time import RatedClock
from tieline.dispatch import mqtt as dispatch_mqtt
from tieline.dispatch import part as dispatch
from tieline.dispatch.model import Policy
from tieline.feeds import part as feeds
from tieline.identity import reads as identity
from tieline.ports import Blobs, Log, Rows, Series
from tieline.registry import part as registry
from tieline.settings import Settings
from tieline.settlement import part as settlement
from tieline.telemetry import intake
from tieline.telemetry import part as telemetry
from tieline.telemetry.fleet import Fleet
from tieline.telemetry.model import Limits
from tieline.telemetry.tail import Tail
from tieline.web import routes as web

log = structlog.get_logger(__name__)
PARTS = ("api", "telemetry", "dispatch", "settlement")
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  compared with, not listened on
LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})


# --- settings → ports -------------------------------------------------------------------------------------------------


class Store(msgspec.Struct):
    """The ports that need no broker: enough to load files and to migrate."""

    rows: SqliteRows | PostgresRows
    series: Series
    blobs: Blobs
    clock: RatedClock
    shared_clock: SharedClock


class Connection(Protocol):
    """The line to NATS. It comes back by itself for ever; when it is closed all the same, only a new start helps."""

    @property
    def is_closed(self) -> bool: ...


class Ports(msgspec.Struct):
    """Everything a part may be given."""

    log: Log
    rows: Rows
    series: Series
    blobs: Blobs
    clock: RatedClock
    shared_clock: SharedClock
    publisher: MqttPublisher
    outbox: Outbox
    mqtt_host: str
    mqtt_port: int
    connection: Connection
    broker_ready: Callable[[], None]


@contextlib.asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[Store]:
    """Rows (migrated), Series and Blobs as the settings say."""
    folder, clock = settings.folder, RatedClock()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Refused(f"data folder {folder}: {error.strerror}; set TIELINE_DATA to one that can be written") from None
    rows = PostgresRows(settings.rows_url, clock) if settings.rows_url else SqliteRows(folder / "rows.sqlite", clock)
    async with rows:
        await rows.migrate()
        shared = SharedClock(rows, clock)
        await shared.open(settings.clock_speed, settings.clock_start_at)
        series = _series(settings)
        try:
            yield Store(rows, series, _blobs(settings), clock, shared)
        finally:
            await series.close()


def _series(settings: Settings) -> DeltaSeries:
    limits = SeriesLimits(memory_mb=settings.series_memory_mb)
    if not settings.objects:
        return DeltaSeries.in_folder(settings.folder / "series", limits=limits)
    bucket, prefix = _bucket(settings)
    cache = settings.folder / "cache"
    return DeltaSeries.in_bucket(bucket, prefix=f"{prefix}series", cache=cache, limits=limits, **_s3(settings))


def _blobs(settings: Settings) -> ObjectBlobs:
    if not settings.objects:
        return ObjectBlobs.folder(settings.folder / "blobs")
    bucket, prefix = _bucket(settings)
    return ObjectBlobs.s3(bucket, prefix=f"{prefix}blobs", **_s3(settings))


class _S3(TypedDict):
    region: str
    endpoint: str | None
    key_id: str | None
    secret: str | None


def _s3(settings: Settings) -> _S3:
    return _S3(
        region=settings.s3_region,
        endpoint=settings.s3_endpoint or None,
        key_id=settings.s3_key_id or None,
        secret=settings.s3_secret or None,
    )


def _bucket(settings: Settings) -> tuple[str, str]:
    scheme, _, rest = settings.objects.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise Refused(f"objects {settings.objects!r} is not of the form s3://bucket/prefix")
    return bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""


class Broker(msgspec.Struct):
    """Where the NATS and MQTT doors are, and what opens them."""

    urls: list[str]
    user: str
    password: str
    issuer_seed: str
    mqtt_host: str
    mqtt_port: int
    ready: Callable[[], None]


@contextlib.asynccontextmanager
async def _broker(settings: Settings) -> AsyncIterator[Broker]:
    """The NATS servers that the settings name, or a child of our own, kept running."""
    if settings.nats_urls:
        urls = [url.strip() for url in settings.nats_urls.split(",")]
        yield Broker(
            urls,
            settings.nats_user,
            settings.nats_password,
            settings.nats_issuer_seed,
            settings.mqtt_host,
            settings.mqtt_port,
            lambda: None,
        )
        return
    server = NatsServer(
        settings.folder / "nats",
        binary=settings.nats_server or None,
        host=settings.mqtt_host,
        mqtt_port=None if settings.mqtt_port == 1883 else settings.mqtt_port,
        sync_interval=settings.log_sync,
        on_violation=lambda _: metrics.BROKER_VIOLATIONS.inc(),
    )
    await server.start()
    try:
        yield Broker(
            [server.url],
            server.user,
            server.password,
            server.issuer_seed,
            server.mqtt_host,
            server.mqtt_port,
            server.ready,
        )
    finally:
        await server.stop()


def _decide(rows: Rows) -> Decide:
    async def decide(user: str, password: str, client_id: str) -> Grant | None:
        grant = await identity.device(rows, user, password, client_id)
        if grant is None:
            metrics.CONNECT_DENIED.inc()
        return grant

    return decide


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Ports]:
    """Every port, open and usable; closed again in reverse order."""
    async with _broker(settings) as broker, opened_store(settings) as store:
        connection = await connect(broker.urls, user=broker.user, password=broker.password)
        publisher = MqttPublisher(broker.mqtt_host, broker.mqtt_port, user=broker.user, password=broker.password)

        # A line of its own: however busy the Log is, a device that connects is answered at once.
        asking = await connect(broker.urls, user=broker.user, password=broker.password, name="tieline-callout")
        callout = AuthCallout(asking, _decide(store.rows), issuer_seed=broker.issuer_seed)
        try:
            await publisher.start()
            events = await NatsLog.open(connection, replicas=settings.log_replicas)
            # The broker keeps a device's message only for groups that it knows of: they come before the devices.
            for subject in intake.SUBJECTS.values():
                await events.prepare(subject, group=intake.GROUP)
            await events.prepare(dispatch_mqtt.SUBJECT, group=dispatch_mqtt.GROUP)
            await callout.start()
            yield Ports(
                events,
                store.rows,
                store.series,
                store.blobs,
                store.clock,
                store.shared_clock,
                publisher,
                Outbox(store.rows, events),
                broker.mqtt_host,
                broker.mqtt_port,
                connection,
                broker.ready,
            )
        finally:
            await callout.stop()
            await publisher.stop()
            await asking.close()
            await connection.close()


# --- ports → parts ----------------------------------------------------------------------------------------------------


class Process(msgspec.Struct):
    """What a process runs: its tasks, its HTTP application, and the tail that it seals when it stops."""

    tasks: list[Task]
    http: Litestar
    tail: Tail


def assemble(settings: Settings, ports: Ports, names: Sequence[str]) -> Process:
    """The chosen parts. Raises `Refused` for a part that does not exist."""
    if unknown := sorted(set(names) - set(PARTS)):
        raise Refused(f"there is no part {', '.join(unknown)}: choose of {', '.join(PARTS)}")
    seals = "telemetry" in names
    tail = Tail(ports.log, ports.series, seals=seals, seal_seconds=settings.series_seal_seconds)
    fleet = Fleet(ports.rows, tail, ports.clock, settings.online_s)
    parts = _parts(settings, ports, tail, fleet)
    tasks = [
        Task("outbox", ports.outbox.run),
        Task("clock", ports.shared_clock.watch),
        *parts["values"].tasks,
        *[task for name in names if name in parts for task in parts[name].tasks],
    ]
    return Process(tasks, _http(settings, ports, fleet, list(parts.values())), tail)


class _WithBroker:
    """Ready when the Log is and the broker under it can write: on a full disk the Log alone would not know."""

    def __init__(self, log: Log, broker_ready: Callable[[], None]) -> None:
        self._log = log
        self._broker_ready = broker_ready

    async def ready(self) -> None:
        self._broker_ready()
        await self._log.ready()


def _http(settings: Settings, ports: Ports, fleet: Fleet, parts: Sequence[Part]) -> Litestar:
    checked: dict[str, api.Checked] = {
        "log": _WithBroker(ports.log, ports.broker_ready),
        "rows": ports.rows,
        "series": ports.series,
        "blobs": ports.blobs,
    }

    def index(called: str) -> api.Index:
        port, clock = ports.mqtt_port, ports.clock
        host = called if settings.mqtt_host in EVERY_ADDRESS else ports.mqtt_host
        return api.Index("Tieline", __version__, clock.now(), clock.anchor.speed, host, port, settings.zone)

    return api.application(
        [route for part in parts for route in part.routes],
        web.routes(),
        gate=doors.Gate(settings.api_token or None, LOCAL_NAMES),
        index=index,
        rate=ports.shared_clock.rate if settings.loopback else None,
        checked=checked,
        provided={**checked, "log": ports.log, "clock": ports.clock, "fleet": fleet},
    )


def _parts(settings: Settings, ports: Ports, tail: Tail, fleet: Fleet) -> dict[str, Part]:
    limits = Limits(
        settings.reading_ahead_s, settings.reading_future_s, settings.reading_late_s, settings.reading_stale_s
    )
    policy = Policy(
        lead_s=settings.lead_s,
        ack_s=settings.ack_s,
        resend_s=settings.resend_s,
        escalate_s=settings.escalate_s,
        online_s=settings.online_s,
        reserve=settings.reserve,
    )
    log_, rows, series, blobs, clock = ports.log, ports.rows, ports.series, ports.blobs, ports.clock
    parts = [
        registry.part(),
        telemetry.part(log_, rows, series, blobs, clock, limits),
        telemetry.reading(tail, fleet),
        feeds.part(),
        dispatch.part(log_, rows, series, blobs, clock, ports.publisher.publish, policy),
        settlement.part(rows, series, clock, delay_s=settings.settle_delay_s),
    ]
    return {part.name: part for part in parts}


# --- the process ------------------------------------------------------------------------------------------------------

Announce = Callable[[str, Ports], Awaitable[None] | None]


async def run(
    settings: Settings,
    names: Sequence[str] = PARTS,
    *,
    announce: Announce | None = None,
    beside: Callable[[str], Sequence[Task]] = lambda _: (),
    until: Callable[[], Awaitable[None]] = process.until_stopped,
) -> None:
    """Run the chosen parts until stopped; `announce` is told the address once they answer.

    `beside` gives tasks to keep going next to the parts, of the address that they may call.
    """
    serves = "api" in names
    port = process.free_port(settings.http_host, settings.http_port) if serves else 0
    async with opened(settings) as ports, contextlib.AsyncExitStack() as stack:
        assembled = assemble(settings, ports, names)
        if serves:
            await stack.enter_async_context(process.serving(assembled.http, settings.http_host, port))
        url = f"http://{settings.http_host}:{port}" if serves else ""
        if announce is not None and (told := announce(url, ports)) is not None:
            await told
        await process.run([*assembled.tasks, *beside(url)], lambda: _until_lost(ports.connection, until))
        if "telemetry" in names:
            with contextlib.suppress(Unready):
                await assembled.tail.seal()
        if ports.connection.is_closed:
            raise Broken("the connection to NATS was closed for good: start again, everything goes on where it was")
    log.info("stopped")


async def _until_lost(connection: Connection, until: Callable[[], Awaitable[None]]) -> None:
    stop = asyncio.ensure_future(until())
    while not stop.done() and not connection.is_closed:
        await asyncio.wait([stop], timeout=1)
    stop.cancel()
