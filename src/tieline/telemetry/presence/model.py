"""Whether a VEN is there, by when it was heard last: one lost beat is not an absence. Pure.

    never ─heard─▶ online ─silent for 1.5 beats─▶ late ─silent for 3─▶ offline
                    ▲  ▲──────────heard────────────┘                      │
                    └──────────────────────heard──────────────────────────┘
    a last will: offline after `gone_s`, unless the VEN is heard meanwhile

Messages are ordered by when the broker took them (`said_at`), whichever of our processes handles which, and when. How
long a VEN has been silent is counted on the platform's clock, from when its message reached us; and only while we
listened: our own absence is nobody's silence.
"""

import enum
from datetime import datetime, timedelta

import msgspec


class State(enum.StrEnum):
    NEVER = "never"
    ONLINE = "online"
    LATE = "late"
    OFFLINE = "offline"


class Cause(enum.StrEnum):
    """Why a VEN is in its state."""

    HEARD = "heard"
    SILENCE = "silence"
    WILL = "last will"


class Policy(msgspec.Struct, frozen=True):
    """When a silent VEN is late and when it is gone; `gone_s` is how long it may take to come back after its last
    will. More than `flaps` changes in `flap_s` are flapping."""

    gone_s: float = 30
    late_beats: float = 1.5
    offline_beats: float = 3
    least_beat_s: float = 15  # beats shorter than this are judged as if they were as long
    flaps: int = 6
    flap_s: float = 600


USUAL = Policy()
NOTICED_OFF_S = 10.0
"""A clock that is off by less is right: readings so far ahead are flagged."""


class Heard(msgspec.Struct, frozen=True):
    """A message of a VEN: taken by the broker at `said_at` of the wall, by us at `at` of the clock. A reading says
    nothing of `beat_s`, `agent` and `clock_off_s`."""

    ven_id: str
    said_at: datetime
    at: datetime
    online: bool = True
    beat_s: float | None = None
    agent: str | None = None
    clock_off_s: float | None = None


class Standing(msgspec.Struct, frozen=True):
    """A VEN that says when it is there: its state and since when; `gone_at` is when a last will came that still may
    prove wrong; `changed_at` its changes of the last `flap_s`; `clock_off_s` how far its clock is ahead of ours, or
    behind where negative; None: near enough, or it does not tell."""

    ven_id: str
    state: State
    cause: Cause
    since_at: datetime
    heard_at: datetime
    said_at: datetime
    beat_s: float
    agent: str
    gone_at: datetime | None = None
    changed_at: tuple[datetime, ...] = ()
    clock_off_s: float | None = None


def off_s(stamp: datetime, at: datetime) -> float | None:
    """How far a stamp of now is ahead of our clock; None: near enough."""
    seconds = round((stamp - at).total_seconds(), 1)
    return seconds if abs(seconds) >= NOTICED_OFF_S else None


def first(message: Heard) -> Standing:
    """Of a VEN that never said so before."""
    at, beat_s = message.at, message.beat_s or 0.0
    return Standing(
        message.ven_id, State.ONLINE, Cause.HEARD, at, at, message.said_at, beat_s, message.agent or "", None, (at,),
        message.clock_off_s,
    )  # fmt: skip


def hear(standing: Standing, message: Heard, policy: Policy) -> Standing:
    """Of what the broker took before, or of the same again, nothing comes."""
    if message.said_at <= standing.said_at:
        return standing
    if not message.online:
        going = standing.state is not State.OFFLINE and standing.gone_at is None
        gone_at = message.at if going else standing.gone_at
        return msgspec.structs.replace(standing, said_at=message.said_at, gone_at=gone_at)
    heard = msgspec.structs.replace(
        standing,
        said_at=message.said_at,
        heard_at=max(standing.heard_at, message.at),
        beat_s=standing.beat_s if message.beat_s is None else message.beat_s,
        agent=standing.agent if message.agent is None else message.agent,
        clock_off_s=standing.clock_off_s if message.beat_s is None else message.clock_off_s,
        gone_at=None,
    )
    return heard if heard.state is State.ONLINE else _moved(heard, State.ONLINE, Cause.HEARD, message.at, policy)


def judge(standing: Standing, now: datetime, listening_at: datetime, policy: Policy) -> Standing:
    """As it stands now, if nothing more was heard. Silence only makes it worse, and counts since `listening_at`."""
    if standing.state is State.OFFLINE:
        return standing
    if standing.gone_at is not None and _seconds(now, standing.gone_at, listening_at) >= policy.gone_s:
        return _moved(standing, State.OFFLINE, Cause.WILL, now, policy)
    beats = _seconds(now, standing.heard_at, listening_at) / max(standing.beat_s, policy.least_beat_s)
    if beats > policy.offline_beats:
        return _moved(standing, State.OFFLINE, Cause.SILENCE, now, policy)
    if beats > policy.late_beats and standing.state is State.ONLINE:
        return _moved(standing, State.LATE, Cause.SILENCE, now, policy)
    return standing


def due_at(standing: Standing, policy: Policy) -> datetime | None:
    """From when on silence, or a last will, may have changed its state; None: only a message will."""
    if standing.state is State.OFFLINE:
        return None
    beats = policy.late_beats if standing.state is State.ONLINE else policy.offline_beats
    silent = standing.heard_at + timedelta(seconds=beats * max(standing.beat_s, policy.least_beat_s))
    gone = standing.gone_at + timedelta(seconds=policy.gone_s) if standing.gone_at is not None else silent
    return min(silent, gone)


def flapping(standing: Standing, now: datetime, policy: Policy) -> bool:
    since = now - timedelta(seconds=policy.flap_s)
    return sum(1 for at in standing.changed_at if at > since) > policy.flaps


def _moved(standing: Standing, state: State, cause: Cause, at: datetime, policy: Policy) -> Standing:
    since = at - timedelta(seconds=policy.flap_s)
    lately = [one for one in standing.changed_at if one > since][-policy.flaps :]
    changed_at = (*lately, at)
    return msgspec.structs.replace(standing, state=state, cause=cause, since_at=at, gone_at=None, changed_at=changed_at)


def _seconds(now: datetime, since: datetime, listening_at: datetime) -> float:
    return (now - max(since, listening_at)).total_seconds()
