"""Whether a VEN is there: one lost beat is not an absence, a last will is not one at once, order is the broker's."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tieline.telemetry.presence.model import (
    Cause,
    Heard,
    Policy,
    Standing,
    State,
    due_at,
    first,
    flapping,
    hear,
    judge,
)

START = datetime(2026, 7, 15, 12, tzinfo=UTC)
EARLY = START - timedelta(days=1)
POLICY = Policy()
BEAT_S = 60.0


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def beat(seconds: float, *, beat_s: float = BEAT_S) -> Heard:
    return Heard("home-1", at(seconds), at(seconds), beat_s=beat_s, agent="a")


def reading(seconds: float) -> Heard:
    return Heard("home-1", at(seconds), at(seconds))


def will(seconds: float) -> Heard:
    return Heard("home-1", at(seconds), at(seconds), online=False, beat_s=60.0, agent="")


def judged(one: Standing, seconds: float, listening_at: datetime = EARLY) -> Standing:
    return judge(one, at(seconds), listening_at, POLICY)


def test_one_lost_beat_is_late_and_the_next_brings_it_back() -> None:
    one = first(beat(0))
    assert judged(one, 90).state is State.ONLINE
    late = judged(one, 91)
    assert (late.state, late.cause, late.since_at) == (State.LATE, Cause.SILENCE, at(91))
    back = hear(late, beat(120), POLICY)
    assert (back.state, back.cause, back.since_at) == (State.ONLINE, Cause.HEARD, at(120))


def test_three_beats_of_silence_are_an_absence() -> None:
    one = judged(first(beat(0)), 100)
    assert judged(one, 180).state is State.LATE
    gone = judged(one, 181)
    assert (gone.state, gone.cause) == (State.OFFLINE, Cause.SILENCE)
    assert judged(gone, 10_000) == gone


def test_a_reading_is_as_good_as_a_beat() -> None:
    one = hear(first(beat(0)), reading(80), POLICY)
    assert judged(one, 165).state is State.ONLINE
    assert (one.beat_s, one.agent) == (60.0, "a")


def test_a_last_will_has_its_grace_and_any_later_message_takes_it_back() -> None:
    gone = hear(first(beat(0)), will(10), POLICY)
    assert (gone.state, gone.gone_at) == (State.ONLINE, at(10))
    assert judged(gone, 39).state is State.ONLINE
    offline = judged(gone, 40)
    assert (offline.state, offline.cause) == (State.OFFLINE, Cause.WILL)
    back = hear(gone, beat(20), POLICY)
    assert judged(back, 70).state is State.ONLINE


def test_what_the_broker_took_first_counts_first_in_whatever_order_it_comes() -> None:
    """A connection that is taken over: its will and the new one's beat may reach two of our processes."""
    alive = hear(first(beat(0)), beat(20), POLICY)
    assert hear(alive, will(10), POLICY) == alive
    gone = hear(first(beat(0)), will(20), POLICY)
    assert hear(gone, reading(10), POLICY) == gone


def test_our_own_absence_is_nobodys_silence() -> None:
    one = first(beat(0))
    assert judged(one, 3600, listening_at=at(3590)).state is State.ONLINE
    assert judged(one, 3600, listening_at=at(3500)).state is State.LATE
    gone = hear(one, will(10), POLICY)
    assert judged(gone, 3600, listening_at=at(3590)).state is State.ONLINE
    assert judged(gone, 3600, listening_at=at(3560)).state is State.OFFLINE


def test_beats_shorter_than_the_least_are_held_to_it() -> None:
    one = first(beat(0, beat_s=1))
    assert judged(one, 20).state is State.ONLINE
    assert judged(one, 23).state is State.LATE


def test_many_changes_are_flapping_until_they_are_long_ago() -> None:
    one = first(beat(0))
    for n in range(1, 5):
        one = judged(hear(one, will(n * 70 - 35), POLICY), n * 70)
        assert one.state is State.OFFLINE
        one = hear(one, beat(n * 70 + 1), POLICY)
    assert flapping(one, at(300), POLICY)
    assert not flapping(one, at(1000), POLICY)


messages = st.lists(st.tuples(st.floats(0, 2000), st.sampled_from([beat, reading, will])), min_size=1, max_size=30).map(
    lambda found: [make(seconds) for seconds, make in sorted(found, key=lambda one: one[0])]
)


@given(messages, st.randoms())
def test_repeated_and_overtaken_messages_change_nothing(said: list[Heard], random: object) -> None:
    """What counts of the broker's order is its last message, however late the others come."""
    one = first(beat(-1))
    for message in said:
        one = hear(one, message, POLICY)
    for message in said:
        assert hear(one, message, POLICY) == one


@given(messages, st.floats(0, 5000))
def test_no_state_changes_by_silence_before_it_is_due(said: list[Heard], seconds: float) -> None:
    one = first(beat(-1))
    for message in said:
        one = hear(one, message, POLICY)
    now = said[-1].at + timedelta(seconds=seconds)
    due = due_at(one, POLICY)
    after = judge(one, now, EARLY, POLICY)
    if due is None or now < due:
        assert after == one
    elif now > due:
        assert after.state is not State.ONLINE


@given(messages, st.floats(0, 1000), st.floats(0, 1000))
def test_looking_twice_finds_no_more_than_looking_once(said: list[Heard], once: float, more: float) -> None:
    one = first(beat(-1))
    for message in said:
        one = hear(one, message, POLICY)
    end = said[-1].at + timedelta(seconds=once + more)
    between = judge(one, said[-1].at + timedelta(seconds=once), EARLY, POLICY)
    assert judge(between, end, EARLY, POLICY).state is judge(one, end, EARLY, POLICY).state
