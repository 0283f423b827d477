"""What commands hold: in any order, however often, and never longer than they said."""

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tieline.ven import control
from tieline.ven.control import Control
from tieline.wires.mqtt.messages import Answer, Command, Limit, Op

START = datetime(2026, 7, 14, 17, tzinfo=UTC)
LOADS = ("hvac", "ev", "dryer")


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def event(
    command_id: str = "c-1", event_id: str = "e-1", *, issued: float = -10, start: float = 0, end: float = 60,
    expires: float = 60, **limits: float,
) -> Command:  # fmt: skip
    return Command(
        command_id=command_id, op=Op.EVENT, event_id=event_id, issued_at=at(issued), expires_at=at(expires),
        start_at=at(start), end_at=at(end),
        limits=[Limit(resource_id=r, limit_kw=kw) for r, kw in (limits or {"hvac": 0.5}).items()],
    )  # fmt: skip


def restore(command_id: str = "c-2", event_id: str = "e-1", *, issued: float = 10) -> Command:
    return Command(
        command_id=command_id, op=Op.RESTORE, event_id=event_id, issued_at=at(issued), expires_at=at(issued + 60)
    )


def test_an_event_holds_from_its_start_until_its_end() -> None:
    held = Control(LOADS)
    assert held.take(event(), at(-5)).answer == Answer.ACCEPTED
    assert [held.limits(at(m)) for m in (-0.01, 0, 59.99, 60)] == [{}, {"hvac": 0.5}, {"hvac": 0.5}, {}]
    assert held.next_change(at(-5)) == at(0)
    assert held.next_change(at(0)) == at(60)
    assert held.next_change(at(60)) is None


def test_a_restore_gives_back_at_once() -> None:
    held = Control(LOADS)
    held.take(event(), at(-5))
    assert held.take(restore(), at(10)).answer == Answer.ACCEPTED
    assert held.limits(at(10)) == {}


def test_of_overlapping_events_the_lowest_limit_holds() -> None:
    held = Control(LOADS)
    held.take(event("c-1", "e-1", start=0, end=30, hvac=2.0), at(-5))
    held.take(event("c-2", "e-2", start=10, end=60, hvac=0.5, ev=0.0), at(-5))
    assert [held.limits(at(m)).get("hvac") for m in (5, 20, 40)] == [2.0, 0.5, 0.5]
    assert held.limits(at(20))["ev"] == 0.0


def test_a_later_command_of_an_event_takes_the_place_of_the_earlier() -> None:
    held = Control(LOADS)
    held.take(event("c-1", issued=-10, hvac=0.0, ev=0.0), at(-5))
    held.take(event("c-2", issued=-4, hvac=1.0), at(-4))
    assert held.limits(at(1)) == {"hvac": 1.0}
    late = held.take(event("c-0", issued=-11, hvac=3.0), at(1))
    assert (late.answer, "c-2" in late.reason) == (Answer.REFUSED, True)
    assert held.limits(at(1)) == {"hvac": 1.0}


def test_what_cannot_be_done_is_refused_with_the_reason() -> None:
    held = Control(LOADS)
    unknown = held.take(event("c-1", hvac=0.5, refrigerator=0.0), at(-5))
    assert (unknown.answer, "refrigerator" in unknown.reason) == (Answer.REFUSED, True)
    backwards = held.take(event("c-2", start=10, end=5), at(-5))
    assert (backwards.answer, "not after" in backwards.reason) == (Answer.REFUSED, True)
    endless = held.take(msgspec.structs.replace(event("c-3"), end_at=None), at(-5))
    assert (endless.answer, "end_at" in endless.reason) == (Answer.REFUSED, True)
    idle = held.take(msgspec.structs.replace(event("c-4"), limits=[]), at(-5))
    assert (idle.answer, "limit" in idle.reason) == (Answer.REFUSED, True)
    assert held.limits(at(5)) == {}


def test_what_is_over_is_not_begun() -> None:
    held = Control(LOADS)
    assert held.take(event("c-1", expires=5), at(5)).answer == Answer.EXPIRED
    assert held.take(event("c-2", end=20, expires=60), at(20)).answer == Answer.EXPIRED
    assert held.limits(at(6)) == {}


def test_an_unwilling_owner_opts_out_of_an_event_but_not_of_its_end() -> None:
    held = Control(LOADS)
    assert held.take(event(), at(-5), willing=False).answer == Answer.OPTED_OUT
    assert held.limits(at(5)) == {}
    assert held.take(restore(), at(10), willing=False).answer == Answer.ACCEPTED


def test_memory_is_bounded_and_never_forgets_what_holds() -> None:
    held = Control(LOADS)
    held.take(event("kept", "kept", end=10_000, expires=10_000), at(0))
    for i in range(3 * control.MAX_ACKS):
        held.take(event(f"c-{i}", f"e-{i}", start=i, end=i + 1, expires=10_000), at(i))
        assert held.limits(at(i)) == {"hvac": 0.5}
    assert len(held._acks) <= control.MAX_ACKS
    assert len(held._rulings) <= control.MAX_EVENTS


def test_too_many_events_at_once_are_refused() -> None:
    held = Control(LOADS)
    answers = [held.take(event(f"c-{i}", f"e-{i}"), at(-5)).answer for i in range(control.MAX_EVENTS + 1)]
    assert answers.count(Answer.ACCEPTED) == control.MAX_EVENTS
    assert answers[-1] == Answer.REFUSED


COMMANDS = st.lists(
    st.one_of(
        st.builds(
            lambda n, e, issued, start, length, load, kw: event(
                f"event-{n}", f"e-{e}", issued=issued, start=start, end=start + length, expires=500, **{load: kw}
            ),
            st.integers(0, 99), st.integers(0, 3), st.integers(-50, 0), st.integers(0, 90), st.integers(1, 60),
            st.sampled_from(LOADS), st.floats(0, 5),
        ),
        st.builds(lambda n, e, issued: restore(f"restore-{n}", f"e-{e}", issued=issued),
            st.integers(0, 99), st.integers(0, 3), st.integers(-20, 0)),
    ),
    max_size=12, unique_by=lambda command: command.command_id,
)  # fmt: skip


@given(COMMANDS, st.randoms(use_true_random=False))
def test_order_and_repetition_make_no_difference(commands: list[Command], random: object) -> None:
    one, other = Control(LOADS), Control(LOADS)
    mixed = commands * 2
    random.shuffle(mixed)  # type: ignore[attr-defined]
    for command in commands:
        one.take(command, at(0))
    for command in mixed:
        other.take(command, at(0))
    for minute in range(0, 160, 5):
        assert one.limits(at(minute)) == other.limits(at(minute))


@given(COMMANDS)
def test_a_repeated_command_gets_the_very_same_answer(commands: list[Command]) -> None:
    held = Control(LOADS)
    first = [held.take(command, at(0)) for command in commands]
    before = [held.limits(at(m)) for m in range(0, 160, 5)]
    assert [held.take(command, at(3), willing=False) for command in commands] == first
    assert [held.limits(at(m)) for m in range(0, 160, 5)] == before


@given(COMMANDS)
def test_after_the_last_end_everything_is_restored(commands: list[Command]) -> None:
    held = Control(LOADS)
    for command in commands:
        held.take(command, at(0))
    assert held.limits(at(151)) == {}
    assert held.next_change(at(151)) is None
    edge, seen = held.next_change(at(-100)), 0
    while edge is not None:  # between two edges nothing changes
        following = held.next_change(edge)
        if following is not None:
            assert held.limits(edge) == held.limits(following - timedelta(microseconds=1))
        edge, seen = following, seen + 1
    assert seen <= 2 * len(commands)
