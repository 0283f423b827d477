"""An endpoint in the hands of a courier: what it was given of its lanes, and how many may be sent at once."""

from collections import deque
from datetime import datetime

from tieline.base.time import EPOCH
from tieline.vtn.webhooks.model import Due, HealthChange, Leased, Loaded, Policy, Want

_AHEAD = 4
"""Requests' worth of lanes that are loaded ahead, so that none waits for the next turn."""


class Held:
    """`until` is when the last request may begin: its answer must come before the lease ends."""

    def __init__(self, leased: Leased, until: datetime) -> None:
        self.endpoint_id = leased.endpoint_id
        self.health = self.stored = leased.health
        self.until = until
        self.in_hand: dict[str, int] = {}
        self.runners = 0
        self.starved = False
        self.failures_noted = 0
        self._address = leased.callback_url.partition("?")[0]  # a query may hold a secret
        self._fresh = True
        self._waiting: deque[Due] = deque()

    @property
    def bytes(self) -> int:
        return sum(self.in_hand.values())

    def over(self, now: datetime) -> bool:
        """Nothing more is to be begun."""
        return now >= self.until or self.health.resting(now)

    def done(self, now: datetime) -> bool:
        """There is no use in holding it on."""
        return not self.in_hand and (self.starved or self.over(now))

    def change(self) -> HealthChange:
        return HealthChange(self.endpoint_id, self._address, self.stored, self.health)

    # --- loading ------------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """There may be more than was loaded."""
        self._fresh = True

    def want(self, now: datetime, policy: Policy, endpoints: int) -> Want | None:
        """How much more to load, where so many endpoints share what a courier keeps in memory."""
        if self.over(now) or not self._fresh:
            return None
        ahead = _AHEAD * min(policy.per_endpoint, max(policy.in_flight // endpoints, 1))
        room = (1 if self.health.failures else ahead) - len(self.in_hand)
        return Want(self.endpoint_id, room, frozenset(self.in_hand)) if room > 0 else None

    def take(self, loaded: Loaded) -> None:
        self._waiting.extend(loaded.due)
        self.in_hand.update({one.lane_id: len(one.body) for one in loaded.due})
        self._fresh = loaded.more
        self.starved = not self.in_hand

    def settled(self, lane_id: str) -> None:
        """What became of the lane's first delivery is written; there may be another."""
        self.in_hand.pop(lane_id, None)
        self._fresh = True

    def abandon(self) -> None:
        """Begin nothing more, and forget what was begun."""
        self.until = EPOCH
        self.in_hand.clear()

    # --- sending ------------------------------------------------------------------------------------------------------

    def may_begin(self, now: datetime, policy: Policy, runners: int) -> bool:
        """Each endpoint may have one request; the rest of the first half of all goes to those that do well."""
        if not self._waiting or self.over(now):
            return False
        several = not self.health.failures and self.runners < policy.per_endpoint
        return not self.runners or (several and runners < policy.in_flight - policy.held)

    def next(self, now: datetime) -> Due | None:
        """For one of its runners: what to send; None ends the runner."""
        self.put_back_if_over(now)
        if not self._waiting or (self.health.failures and self.runners > 1):
            return None
        return self._waiting.popleft()

    def put_back_if_over(self, now: datetime) -> None:
        """What was loaded and is not to be sent now is as if it had not been loaded."""
        while self._waiting and self.over(now):
            self.in_hand.pop(self._waiting.pop().lane_id, None)
