"""What is to be delivered, what an answer means, and when an endpoint is left in peace; pure."""

import hashlib
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

import msgspec

LONGEST_REASON = 300


class Policy(msgspec.Struct, frozen=True):
    """How hard deliveries are tried. Seconds are the wall's: receivers and networks know no simulated clock."""

    in_flight: int = 256
    per_endpoint: int = 16
    attempts: int = 20
    keep_s: float = 86_400.0
    """A delivery older than this is dead, and tried no more."""
    keep_dead_s: float = 30 * 86_400.0
    first_retry_s: float = 2.0
    longest_retry_s: float = 3600.0
    break_after: int = 6
    """Failures in a row after which an endpoint is broken."""
    probe_s: float = 60.0
    """A broken endpoint is tried about so often."""
    hold_s: float = 15.0
    """A courier begins requests to an endpoint for so long, then lets others have their turn."""
    poll_s: float = 1.0

    @property
    def held(self) -> int:
        """Endpoints of one worker at a time: half its requests, so that each may always have one in flight."""
        return max(self.in_flight // 2, 1)


class NewDelivery(msgspec.Struct, frozen=True):
    """One change for one subscription's callback URL. The same one twice is one delivery while it is queued."""

    change_id: str
    subscription_id: str
    callback_url: str
    object_id: str
    body: bytes

    @property
    def delivery_id(self) -> str:
        return _digest(self.change_id, self.subscription_id, self.callback_url)

    @property
    def endpoint_id(self) -> str:
        return endpoint_id(self.callback_url)

    @property
    def lane_id(self) -> str:
        return lane_id(self.callback_url, self.object_id)


def endpoint_id(callback_url: str) -> str:
    return _digest(callback_url)


def lane_id(callback_url: str, object_id: str) -> str:
    return _digest(callback_url, object_id)


def _digest(*parts: str) -> str:
    """32 hexadecimal characters; the separator is in no id and in no URL."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]


class Want(msgspec.Struct, frozen=True):
    """How many more lanes an endpoint can take, beside those that its worker has in hand."""

    endpoint_id: str
    lanes: int
    in_hand: frozenset[str]


class Loaded(msgspec.Struct, frozen=True):
    """What an endpoint was given; `more` when there was more than it wanted, or than there was memory for."""

    endpoint_id: str
    due: list["Due"]
    more: bool


class Verdict(StrEnum):
    DELIVERED = "delivered"
    AGAIN = "again"
    DEAD = "dead"


class Due(msgspec.Struct, frozen=True):
    """A delivery at the head of its lane, with what is needed to send it. `bearer` is the subscription's, if any."""

    seq: int
    delivery_id: str
    lane_id: str
    endpoint_id: str
    callback_url: str
    attempts: int
    enqueued_at: datetime
    digest: str
    body: bytes
    subscribed: bool
    bearer: str | None


class Result(msgspec.Struct, frozen=True):
    """What became of one attempt; `retry_at` where it is to be made again."""

    due: Due
    verdict: Verdict
    reason: str = ""
    retry_at: datetime | None = None


class Answer(msgspec.Struct, frozen=True):
    """A receiver's status, and its Retry-After header as it was sent."""

    status: int
    retry_after: str = ""


def judge(answer: Answer) -> tuple[Verdict, str]:
    """What an answer means, and the reason to show where it is not delivered. A redirect is never followed."""
    status = answer.status
    if 200 <= status < 300:
        return Verdict.DELIVERED, ""
    if status in (408, 429) or status >= 500:
        return Verdict.AGAIN, f"it answered {status}"
    if status == 410:
        return Verdict.DEAD, "it answered 410: it wants no more"
    if 300 <= status < 400:
        return Verdict.DEAD, f"it answered {status}: redirects are not followed, name the final URL"
    return Verdict.DEAD, f"it answered {status}"


def retry_after_s(answer: Answer, now: datetime) -> float:
    """The seconds that a receiver asks for (RFC 9110 section 10.2.3); 0 where it asks for none that can be read."""
    text = answer.retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max((at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds(), 0.0)


def pause_s(failures: int, chance: float, policy: Policy) -> float:
    """Before the next try: doubling, and by chance (0 to 1) up to a half shorter, so that many do not come at once."""
    doubled = policy.first_retry_s * 2.0 ** min(failures - 1, 60)
    return min(doubled, policy.longest_retry_s) * (1 - chance / 2)


class Health(msgspec.Struct, frozen=True):
    """How an endpoint does. Broken means: it failed many times in a row, and is only probed."""

    failures: int = 0
    broken_at: datetime | None = None
    rest_until_at: datetime | None = None
    reason: str | None = None

    def answered(self, rest_s: float, now: datetime) -> "Health":
        """It lives, whatever it said; a rest that it asks for, or asked for before, it gets."""
        asked = now + timedelta(seconds=rest_s) if rest_s else None
        return Health(rest_until_at=asked or (None if self.failures else self.rest_until_at))

    def failed(self, reason: str, rest_s: float, now: datetime, chance: float, policy: Policy) -> "Health":
        """The first failure may be one object's own; from the second in a row on the endpoint is left in peace."""
        failures = self.failures + 1
        if failures > 1:
            rest_s = max(rest_s, min(pause_s(failures - 1, chance, policy), policy.probe_s))
        return Health(
            failures,
            self.broken_at or (now if failures >= policy.break_after else None),
            now + timedelta(seconds=rest_s),
            reason[:LONGEST_REASON],
        )

    def resting(self, now: datetime) -> bool:
        return self.rest_until_at is not None and self.rest_until_at > now


class Leased(msgspec.Struct, frozen=True):
    """An endpoint as a courier takes it over."""

    endpoint_id: str
    callback_url: str
    health: Health


class HealthChange(msgspec.Struct, frozen=True):
    """How an endpoint did when it was taken over, or last written, and how it does now; `address` has no query."""

    endpoint_id: str
    address: str
    before: Health
    health: Health

    @property
    def news(self) -> str:
        """`broken` or `mended`, where it became so."""
        was, is_ = self.before.broken_at is not None, self.health.broken_at is not None
        return "" if was == is_ else "broken" if is_ else "mended"
