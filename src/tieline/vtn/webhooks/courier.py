"""The courier: takes endpoints that have something due, sends what their lanes begin with, settles what became of it.

    look ──▶ claim ──▶ load ──▶ waiting ──▶ runners, each one request at a time ──▶ results ──┐
      ▲        ▲                                                                              │
      └────────┴───────────────── a turn: one transaction, one read ◀─────────────────────────┘

Several processes may run one: an endpoint is leased to one of them at a time. One that dies loses nothing: its lease
runs out, and what it had not settled is sent again. No request begins that the lease would not outlast.
"""

import asyncio
import random
import uuid
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import structlog

from tieline import metrics
from tieline.base.errors import Refused, Unready
from tieline.base.time import EPOCH, Clock
from tieline.ports import Reader, Rows
from tieline.vtn.webhooks import reads, signing
from tieline.vtn.webhooks.holding import Held
from tieline.vtn.webhooks.model import Due, Loaded, Policy, Result, Verdict, judge, pause_s, retry_after_s
from tieline.vtn.webhooks.reads import Bearers
from tieline.vtn.webhooks.sender import Sender
from tieline.vtn.webhooks.settling import Settled, Settlement, settle

log = structlog.get_logger(__name__)

_GATHER_S = 0.01
"""Results that come within so long of one another share a turn."""
_MARGIN_S = 2.0
_MOST_BYTES = 64 << 20
"""Of bodies in memory, but for a last one; one that several deliveries share counts for each."""


class Courier:
    """Delivers what is enqueued in `rows`; `wake` it once a transaction that enqueued has committed.

    `clock` is the wall's, even where the platform's is simulated: receivers and networks know no other.
    """

    def __init__(self, rows: Rows, sender: Sender, clock: Clock, bearers: Bearers, policy: Policy) -> None:
        self._rows = rows
        self._sender = sender
        self._clock = clock
        self._bearers = bearers
        self._policy = policy
        self._worker = uuid.uuid4().hex
        self._held: dict[str, Held] = {}
        self._found: list[str] = []
        self._look_at = EPOCH
        self._unseen = True
        self._results: list[tuple[Held, Result]] = []
        self._runners: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Look at once. To be called in the courier's event loop."""
        self._look_at = EPOCH
        self._news.set()

    async def run(self) -> None:
        """For ever; what is in hand when it is cancelled is given back to other couriers."""
        try:
            while True:
                self._news.clear()
                try:
                    await self.turn()
                except Unready as error:
                    log.warning("webhooks wait", reason=str(error))
                    await self._clock.sleep(self._policy.poll_s)
                else:
                    await self._nudge()
        finally:
            await self._stop()

    async def turn(self) -> None:
        """Settle what came back, take over what was found, load and send, look for more."""
        now = self._clock.now()
        await self._settle(now)
        self._look(now)
        room = self._policy.held - len(self._held) if self._unseen else 0
        wants = [want for held in self._held.values() if (want := held.want(now, self._policy, len(self._held)))]
        left = _MOST_BYTES - sum(held.bytes for held in self._held.values())

        def read(reader: Reader) -> tuple[list[Loaded], list[str]]:
            found = reads.due_endpoints(reader, now, room) if room else []
            return reads.load(reader, wants, now, self._bearers, left), found

        loaded, self._found = await self._rows.read(read)
        self._unseen = self._unseen and len(self._found) == room
        self._send(loaded)
        if self._found or any(held.done(now) for held in self._held.values()):
            self._news.set()

    async def _nudge(self) -> None:
        """Until something came back or was enqueued here, or it is time to see what others enqueued."""
        waits = [
            asyncio.ensure_future(self._news.wait()),
            asyncio.ensure_future(self._clock.sleep(self._policy.poll_s)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
        if self._runners:
            await asyncio.sleep(_GATHER_S)

    async def _stop(self) -> None:
        for runner in self._runners:
            runner.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)
        for held in self._held.values():
            held.abandon()
        self._found = []
        with suppress(Unready):
            await self._settle(self._clock.now())

    # --- a turn -------------------------------------------------------------------------------------------------------

    def _look(self, now: datetime) -> None:
        if now >= self._look_at:
            self._look_at = now + timedelta(seconds=self._policy.poll_s)
            self._unseen = True
            for held in self._held.values():
                held.refresh()

    async def _settle(self, now: datetime) -> None:
        results = list(self._results)
        asked = self._settlement(results, now)
        if not asked:
            return
        done = await self._rows.transaction(partial(settle, asked=asked))
        del self._results[: len(results)]
        for held, result in results:
            held.settled(result.due.lane_id)
        self._keep(asked, done)

    def _settlement(self, results: list[tuple[Held, Result]], now: datetime) -> Settlement:
        """A lease outlasts every request that begins while the endpoint is held."""
        ended = {result.due.lane_id for _, result in results}
        for held in self._held.values():
            held.put_back_if_over(now)
        idle = [held for held in self._held.values() if held.in_hand.keys() <= ended]
        return Settlement(
            worker=self._worker,
            now=now,
            results=[result for _, result in results],
            health=[held.change() for held in self._held.values() if held.health != held.stored],
            idle=[held.endpoint_id for held in idle],
            let_go=[held.endpoint_id for held in idle if held.starved or held.over(now)],
            claims=self._found,
            lease_until=now + timedelta(seconds=self._policy.hold_s + self._sender.timeout_s + _MARGIN_S),
        )

    def _keep(self, asked: Settlement, done: Settled) -> None:
        for change in asked.health:
            self._held[change.endpoint_id].stored = change.health
        for id_ in {*asked.let_go, *done.drained}:
            del self._held[id_]
            self._unseen = True
        until = asked.now + timedelta(seconds=self._policy.hold_s)
        for one in done.leased:
            self._held[one.endpoint_id] = Held(one, until)
        self._found = []

    # --- sending ------------------------------------------------------------------------------------------------------

    def _send(self, loaded: list[Loaded]) -> None:
        now = self._clock.now()
        for one in loaded:
            self._held[one.endpoint_id].take(one)
        for held in self._held.values():
            while held.may_begin(now, self._policy, len(self._runners)):
                held.runners += 1
                runner = asyncio.create_task(self._serve(held))
                self._runners.add(runner)
                runner.add_done_callback(self._runners.discard)

    async def _serve(self, held: Held) -> None:
        try:
            while (due := held.next(self._clock.now())) is not None:
                result = await self._attempt(held, due)
                metrics.WEBHOOKS.labels(result.verdict).inc()
                self._results.append((held, result))
                self._news.set()
        finally:
            held.runners -= 1

    async def _attempt(self, held: Held, due: Due) -> Result:
        if not due.subscribed:
            return Result(due, Verdict.DEAD, "its subscription is gone")
        noted = held.failures_noted
        try:
            headers = signing.headers(due.delivery_id, due.body, due.bearer, self._clock.now())
            answer = await self._sender.post(due.callback_url, due.body, headers)
        except Refused as error:
            return Result(due, Verdict.DEAD, str(error))
        except Unready as error:
            self._note_failure(held, noted, str(error), 0.0)
            return self._again(due, str(error), 0.0)
        except Exception as error:  # whatever is wrong with one delivery, the others go on
            log.error("webhook fails", delivery_id=due.delivery_id, exc_info=error)
            return self._again(due, f"it could not be sent: {type(error).__name__}", 0.0)
        verdict, reason = judge(answer)
        rest_s = min(retry_after_s(answer, self._clock.now()), self._policy.longest_retry_s)
        if verdict is not Verdict.AGAIN:
            held.health = held.health.answered(0.0, self._clock.now())
            return Result(due, verdict, reason)
        if answer.status == 429:
            rest_s = max(rest_s, self._policy.first_retry_s)
            held.health = held.health.answered(rest_s, self._clock.now())
        else:
            self._note_failure(held, noted, reason, rest_s)
        return self._again(due, reason, rest_s)

    def _note_failure(self, held: Held, noted: int, reason: str, rest_s: float) -> None:
        """Those that were in flight together fail together: that counts once."""
        if noted == held.failures_noted:
            held.failures_noted += 1
            held.health = held.health.failed(reason, rest_s, self._clock.now(), _chance(), self._policy)

    def _again(self, due: Due, reason: str, rest_s: float) -> Result:
        now, attempts = self._clock.now(), due.attempts + 1
        if attempts >= self._policy.attempts:
            return Result(due, Verdict.DEAD, f"given up after {attempts} attempts: {reason}")
        wait_s = max(rest_s, pause_s(attempts, _chance(), self._policy))
        return Result(due, Verdict.AGAIN, reason, now + timedelta(seconds=wait_s))


def _chance() -> float:
    return random.random()  # noqa: S311  jitter, not a secret
