"""What an event says to a VEN: all that it asks, under a number of its own, the same for the same number."""

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tieline.dispatch.calling import Asked, as_command, next_call
from tieline.dispatch.model import WANTED, Event, EventState, RowState, VenCall
from tieline.wires.mqtt.messages import Answer, Op
from tieline.wires.openadr31.messages import EventRequest

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)
EVENT = Event(
    "hot", "peak", NOW, NOW + timedelta(hours=1), 10.0, EventState.ACTIVE, NOW, NOW, EventRequest(program_id="peak")
)
AGAIN = timedelta(seconds=30)
states = st.lists(st.sampled_from(RowState), max_size=5)


def rows(found: list[RowState]) -> list[Asked]:
    return [Asked(f"load-{n}", state, 0.0) for n, state in enumerate(found)]


def say(last: VenCall | None, found: list[RowState], now: datetime) -> VenCall | None:
    return next_call(EVENT, "home", last, rows(found), now, now - AGAIN)


@given(states, states, st.sampled_from([None, *Answer]), st.integers(0, 60))
def test_what_is_said_is_all_that_is_asked_and_a_number_never_changes_its_meaning(
    first: list[RowState], then: list[RowState], answer: Answer | None, seconds: int
) -> None:
    last = say(None, first, NOW)
    wanted = {f"load-{n}" for n, state in enumerate(first) if state in WANTED}
    assert (last.loads if last else set()) == wanted
    if last is None:
        return
    heard = msgspec.structs.replace(last, answer=answer)
    said = say(heard, then, NOW + timedelta(seconds=seconds))
    if said is None:
        return
    if said.n == last.n:
        assert as_command(said) == as_command(last)
    else:
        assert (said.n, said.issued_at > last.issued_at) == (last.n + 1, True)
        assert said.loads == {f"load-{n}" for n, state in enumerate(then) if state in WANTED}
        assert said.op is (Op.EVENT if said.loads else Op.RESTORE)


def test_loads_that_return_are_given_back_by_a_command_without_them() -> None:
    last = say(None, [RowState.PLANNED, RowState.PLANNED], NOW)
    assert last is not None
    some = say(last, [RowState.ACTING, RowState.RESTORING], NOW)
    assert some is not None
    assert (some.n, some.op, set(some.loads)) == (2, Op.EVENT, {"load-0"})
    every = say(some, [RowState.RESTORING, RowState.RESTORING], NOW)
    assert every is not None
    assert (every.n, every.op, every.limits) == (3, Op.RESTORE, [])
    assert as_command(every).expires_at - every.issued_at >= timedelta(days=7)


def test_what_was_refused_is_said_anew_after_a_while() -> None:
    last = say(None, [RowState.PLANNED], NOW)
    assert last is not None
    back = say(last, [RowState.RESTORING], NOW)
    assert back is not None
    refused = msgspec.structs.replace(back, answer=Answer.REFUSED)
    assert say(refused, [RowState.RESTORING], NOW) is None
    anew = say(refused, [RowState.RESTORING], NOW + AGAIN)
    assert anew is not None
    assert (anew.n, anew.op) == (3, Op.RESTORE)
