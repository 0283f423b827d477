"""What the OpenADR gateway offers the process: its doors, its view kept current, and telling those who subscribed."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Litestar

from tieline import doors
from tieline.base.errors import Refused
from tieline.base.part import Part, Task
from tieline.base.time import Clock, RatedClock
from tieline.identity.part import Identity
from tieline.ports import Blobs, Log, Rows
from tieline.telemetry.model import Limits
from tieline.vtn import auth, notifiers, routes, subscriptions, v1
from tieline.vtn.access import Doorkeeper
from tieline.vtn.actions import Desk
from tieline.vtn.answers import Answers
from tieline.vtn.dialect import Dialect
from tieline.vtn.intake import Intake
from tieline.vtn.mqtt import Publish, Topics
from tieline.vtn.notifier import Notifier, Readings, Webhooks, writes
from tieline.vtn.notifiers import Broker, NotifierDoors, TopicReaders
from tieline.vtn.openadr31 import OPENADR_31
from tieline.vtn.openadr301 import OPENADR_301
from tieline.vtn.overdue import Overdue
from tieline.vtn.problems import PROBLEMS
from tieline.vtn.routes import Doors
from tieline.vtn.view import View
from tieline.vtn.webhooks.courier import Courier
from tieline.vtn.webhooks.model import Policy
from tieline.vtn.webhooks.sender import Sender
from tieline.vtn.webhooks.sweeping import Sweeper
from tieline.wires.openadr31.messages import SubscriptionRequest

if TYPE_CHECKING:
    from tieline.vtn.announce import Announced

DIALECTS: Sequence[Dialect] = (OPENADR_31, OPENADR_301)
PREFIXES = ("/openadr3/", "/.well-known/")
MOST_CALLBACKS = 20
CHALLENGE_S = 15
CHALLENGES = 16
"""Subscriptions whose callback URLs are being challenged at once."""
LARGEST_BODY = 400_000
"""Bytes of a request; its Change, which may hold the object as it was too, must fit into a message of the Log."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings say of the gateway; their meaning stands with them. `zone` is where a VEN stands that nobody
    gave a site."""

    zone: str
    public_url: str
    development: bool
    anonymous: bool
    limits: Limits
    announced: "Announced | None" = None


class Gateway:
    """Everything of one process, put together."""

    def __init__(
        self, log: Log, rows: Rows, blobs: Blobs, clock: Clock, identity: Identity, publish: Publish, options: Options
    ) -> None:
        wall = RatedClock()  # receivers and networks know no simulated time
        self._log, self._rows, self._clock = log, rows, clock
        self._identity = identity
        self._options = options
        self._sender = Sender(development=options.development)
        self._challenging = asyncio.Semaphore(CHALLENGES)
        self.courier = Courier(rows, self._sender, wall, subscriptions.bearers, Policy())
        self._sweeper = Sweeper(rows, wall, Policy())
        self.view = View(log, rows)
        calls = Webhooks(log, rows, wall, self.courier.wake, writes(self.view))
        self.wall = wall
        self._notifier = Notifier(rows, calls, Topics(log, rows, wall, publish))
        self._intake = Intake(log, rows, blobs, clock, options.limits)
        self._overdue = Overdue(self.view, rows, clock)

    def tasks(self) -> list[Task]:
        told = self._options.announced
        announcing = [_announcing(told, self.view)] if told else []
        return [
            *announcing,
            Task("vtn.view", self.view.run),
            Task("vtn.notifier", self._notifier.run),
            Task("vtn.webhooks", self._deliver),
            Task("vtn.sweeper", self._sweeper.run),
            Task("vtn.reports", self._intake.run),
            Task("vtn.overdue", self._overdue.run),
        ]

    def doors(self, broker: Broker | None) -> Any:
        """An application of its own: its failures read otherwise than those of /v1, and polls pass nothing else."""
        options, view = self._options, self.view
        keeper = Doorkeeper(self._identity.verifier, view, anonymous=options.anonymous)
        desk = Desk(self._rows, view, self._clock, options.zone, self._challenge)
        notice = Readings(self._log, view, self._clock)
        opened = Doors(keeper, view, Answers(view, self._clock), desk, self._rows, notice)
        issuer = self._identity.issuer or self._identity.outside
        assert issuer is not None
        handlers = [one for dialect in DIALECTS for one in routes.routes(dialect, opened)]
        handlers += [one for dialect in DIALECTS for one in auth.routes(dialect.prefix, issuer, options.public_url)]
        handlers += auth.well_known(self._identity.issuer) if self._identity.issuer else []
        handlers += notifiers.routes(OPENADR_31.prefix, NotifierDoors(keeper, view, TopicReaders(self._rows), broker))
        return Litestar(
            route_handlers=handlers,
            before_request=doors.tell_methods,
            after_request=doors.finish,
            exception_handlers={**PROBLEMS},
            openapi_config=None,
            request_max_body_size=LARGEST_BODY,
        )

    async def _deliver(self) -> None:
        async with self._sender:
            await self.courier.run()

    async def _challenge(self, request: SubscriptionRequest) -> None:
        """Raises `Refused` unless every callback URL may be called and answers the challenge, all in good time."""
        asked = {(one.callback_url, one.bearer_token) for one in request.object_operations}
        if len(asked) > MOST_CALLBACKS:
            raise Refused(f"{len(asked)} different callback URLs in one subscription: at most {MOST_CALLBACKS}")
        try:
            async with asyncio.timeout(CHALLENGE_S), self._challenging, self._asker() as sender:
                await asyncio.gather(*[sender.challenge(url, bearer) for url, bearer in asked])
        except TimeoutError:
            raise Refused(f"the callback URLs did not answer the challenge within {CHALLENGE_S} s") from None

    def _asker(self) -> Sender:
        development = self._options.development
        return Sender(development=development, lenient=development, connections=MOST_CALLBACKS)


def _announcing(told: "Announced", view: View) -> Task:
    from tieline.vtn import announce  # noqa: PLC0415  mDNS costs 15 MB, and is seldom wanted

    return announce.task(told, lambda: view.programs)


def part(
    log: Log,
    rows: Rows,
    blobs: Blobs,
    clock: Clock,
    identity: Identity,
    publish: Publish,
    broker: Broker | None,
    options: Options,
) -> Part:
    gateway = Gateway(log, rows, blobs, clock, identity, publish, options)
    operating = v1.routes(
        {dialect.version: dialect.prefix for dialect in DIALECTS},
        gateway.wall.now,
        gateway.courier.wake,
        public_url=options.public_url,
        development=options.development,
        embedded=identity.issuer is not None,
    )
    mounts = dict.fromkeys(PREFIXES, gateway.doors(broker))
    return Part("vtn", tasks=gateway.tasks(), routes=operating, mounts=mounts)
