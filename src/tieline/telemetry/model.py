"""What a device's message becomes: readings in columns, each flagged where it is odd, or a refusal with its reason."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from tieline.base.errors import Refused
from tieline.base.names import hold_series, power_series, sheddable_series, withheld_series
from tieline.base.series import Declaration, Flag
from tieline.base.time import iso, micros
from tieline.wires.mqtt.codec import decode
from tieline.wires.mqtt.messages import LOADS, MAX_BYTES, METER, Loads, LoadState, Meter


class Limits(msgspec.Struct, frozen=True):
    """What is believed of a stamp, in seconds of the platform's clock."""

    ahead_s: float = 10  # a stamp further ahead of our clock is flagged
    future_s: float = 120  # further still: refused, a clock is wrong
    late_s: float = 900  # a reading that arrives later than this is flagged
    stale_s: float = 45 * 86400  # older: refused; no baseline looks back further


class Known(msgspec.Struct, frozen=True):
    """What the registry says of a VEN, as far as its readings are concerned."""

    ven_id: str
    limit_kw: float
    rated_kw: dict[str, float]
    fixed: frozenset[str] = frozenset()
    """Loads that cannot be shed: of these only the power is a series."""


class Dead(msgspec.Struct, frozen=True):
    """A refusal: `reason` is one of a few words to count by, `detail` says what, where and what would be right."""

    reason: str
    detail: str


UNKNOWN_LOAD = "unknown load"
MOST_KW = 1e9
LONGEST_HOLD_S = 3600.0
"""A load that could stay down for longer is taken to stay as long as it is asked to: nobody need know how long."""


class Batch(msgspec.Struct):
    """Readings gathered one by one; `at` in µs since 1970 UTC. On the Log, its first version: see `telemetry.batch`.

    `series` says for each reading which of `names` it belongs to: a name is carried once, however many its readings.
    """

    known_at: datetime
    names: list[str] = []
    series: list[int] = []
    at: list[int] = []
    value: list[float] = []
    flags: list[int] = []
    seq: list[int] = []

    def add(self, index: int, at: datetime, value: float, flags: Flag, seq: int) -> None:
        self.series.append(index)
        self.at.append(micros(at))
        self.value.append(value)
        self.flags.append(int(flags))
        self.seq.append(seq)

    def named(self, series_id: str) -> int:
        """The index of a name that this message brings; messages of one VEN in a batch are few."""
        self.names.append(series_id)
        return len(self.names) - 1

    def __len__(self) -> int:
        return len(self.at)


def take(batch: Batch, kind: str, ven: Known, data: bytes, seq: int, limits: Limits) -> list[Dead]:
    """Put a message's readings into the batch; what cannot be believed is returned with its reason instead."""
    if len(data) > MAX_BYTES:
        return [Dead("too large", f"{len(data)} bytes; a message carries at most {MAX_BYTES}: send several")]
    try:
        return _TAKERS[kind](batch, ven, data, seq, limits)
    except Refused as error:
        return [Dead("malformed", f"no {kind} message: {error}")]


def _take_meter(batch: Batch, ven: Known, data: bytes, seq: int, limits: Limits) -> list[Dead]:
    """Of two samples of one instant the last counts: nothing else would tell them apart."""
    index, dead = batch.named(power_series(ven.ven_id)), []
    for sample in {sample.at: sample for sample in decode(data, Meter).samples}.values():
        if reason := unbelievable(sample.at, sample.power_kw, batch.known_at, limits):
            dead.append(reason)
        else:
            flags = stamp_flags(sample.at, batch.known_at, limits) | rating(sample.power_kw, ven.limit_kw)
            batch.add(index, sample.at, sample.power_kw, flags, seq)
    return dead


def _take_loads(batch: Batch, ven: Known, data: bytes, seq: int, limits: Limits) -> list[Dead]:
    snapshot = decode(data, Loads)
    if unknown := [one.resource_id for one in snapshot.loads if one.resource_id not in ven.rated_kw]:
        return [Dead(UNKNOWN_LOAD, f"VEN {ven.ven_id} has no load {', '.join(unknown)}: register it first")]
    powers = [power for one in snapshot.loads for power in (one.power_kw, one.sheddable_kw, one.withheld_kw or 0.0)]
    for power in powers:
        if reason := unbelievable(snapshot.at, power, batch.known_at, limits):
            return [reason]
    odd = stamp_flags(snapshot.at, batch.known_at, limits)
    for one in snapshot.loads:
        flags = odd | rating(one.power_kw, ven.rated_kw[one.resource_id] * 1.1)
        flags |= Flag.SHED if one.state is LoadState.SHED else Flag.GOOD
        power = batch.named(power_series(ven.ven_id, one.resource_id))
        batch.add(power, snapshot.at, one.power_kw, flags, seq)
        if one.resource_id in ven.fixed:
            continue
        spare = batch.named(sheddable_series(ven.ven_id, one.resource_id))
        batch.add(spare, snapshot.at, one.sheddable_kw, odd, seq)
        if flags & Flag.SHED and one.withheld_kw is not None:
            withheld = batch.named(withheld_series(ven.ven_id, one.resource_id))
            batch.add(withheld, snapshot.at, one.withheld_kw, odd, seq)
        if one.hold_s is not None and one.hold_s <= LONGEST_HOLD_S:
            hold = batch.named(hold_series(ven.ven_id, one.resource_id))
            batch.add(hold, snapshot.at, one.hold_s, odd, seq)
    return []


_TAKERS: dict[str, Callable[[Batch, Known, bytes, int, Limits], list[Dead]]] = {METER: _take_meter, LOADS: _take_loads}
KINDS: Sequence[str] = tuple(_TAKERS)


def unbelievable(at: datetime, power_kw: float, now: datetime, limits: Limits) -> Dead | None:
    stamp = at.isoformat()  # as it came: the year 1 east of Greenwich is no instant of UTC
    if at - now > timedelta(seconds=limits.future_s):
        return Dead("future stamp", f"{stamp} is ahead of the platform's clock ({iso(now)}): set the device's clock")
    if now - at > timedelta(seconds=limits.stale_s):
        return Dead("stale stamp", f"{stamp} is more than {limits.stale_s / 86400:g} days old")
    if not abs(power_kw) < MOST_KW:
        return Dead("not a power", f"{power_kw} kW at {stamp}: send a finite number of kilowatts")
    return None


def stamp_flags(at: datetime, now: datetime, limits: Limits) -> Flag:
    if at - now > timedelta(seconds=limits.ahead_s):
        return Flag.AHEAD
    return Flag.LATE if now - at > timedelta(seconds=limits.late_s) else Flag.GOOD


def rating(power_kw: float, limit_kw: float) -> Flag:
    return Flag.BEYOND_RATING if abs(power_kw) > limit_kw > 0 else Flag.GOOD


MOST_AHEAD = timedelta(days=366)
"""As far ahead as a forecast is taken."""


class Reported(msgspec.Struct, frozen=True):
    """A reading that a report gives. `limit_kw` is the most that the meter or load can draw, 0 where nobody knows;
    None where the series is none of power, and may be a forecast."""

    series: Declaration
    at: datetime
    value: float
    flags: Flag = Flag.GOOD
    limit_kw: float | None = None


def believed(readings: Iterable[Reported], now: datetime, limits: Limits) -> tuple[list[Reported], list[Dead]]:
    """As with a device's message: what can be believed, flagged where it is odd, and why the rest cannot."""
    taken, dead = list[Reported](), list[Dead]()
    for one in readings:
        power = one.limit_kw is not None
        ahead = limits if power else msgspec.structs.replace(limits, future_s=MOST_AHEAD.total_seconds())
        if reason := unbelievable(one.at, one.value if power else 0.0, now, ahead):
            dead.append(reason)
            continue
        late = stamp_flags(one.at, now, limits) & (Flag.LATE | (Flag.AHEAD if power else Flag.GOOD))
        flags = one.flags | late | (rating(one.value, one.limit_kw) if one.limit_kw is not None else Flag.GOOD)
        taken.append(msgspec.structs.replace(one, flags=flags))
    return taken, dead


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that was refused: why, and where its bytes are kept (Blobs, by digest). `entry_position` is where the
    message itself stood; None of one that an earlier version refused."""

    subject: str
    reason: str
    detail: str
    said_at: datetime
    digest: str
    size: int
    excerpt: str
    ven_id: str | None = None
    entry_position: int | None = None


TAKEN, REFUSED = "taken", "refused"
"""What became of a dead letter that was replayed."""


def detail_of(dead: Dead) -> str:
    """As it can be kept: PostgreSQL takes no NUL in text."""
    return dead.detail[:1000].replace("\x00", "\ufffd")


def excerpt(data: bytes) -> str:
    """The first of it, as far as it can be read."""
    return data[:200].decode("utf-8", "replace").replace("\x00", "\ufffd")
