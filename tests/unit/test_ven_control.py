"""What commands hold: in any order, however often, and never longer than they said."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.ven import control
from tieline.ven.control import HOLDING, Control, Snapshot
from tieline.wires.mqtt.messages import Answer, Command, Limit, Op, OptOut

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
    assert len(held.rulings) <= control.MAX_RULINGS


def test_too_many_events_at_once_are_refused() -> None:
    held = Control(LOADS)
    answers = [held.take(event(f"c-{i}", f"e-{i}"), at(-5)).answer for i in range(control.MAX_RULINGS + 1)]
    assert answers.count(Answer.ACCEPTED) == control.MAX_RULINGS
    assert answers[-1] == Answer.REFUSED


def direct(op: Op, command_id: str = "c-1", *, issued: float = -10, end: float | None = 60, **more: Any) -> Command:
    more |= {"end_at": at(end)} if op in HOLDING and end is not None else {}
    return Command(command_id=command_id, op=op, issued_at=at(issued), expires_at=at(500), **more)


def test_a_shed_load_and_a_shed_panel_hold_until_their_end() -> None:
    held = Control(LOADS)
    assert held.take(direct(Op.SHED_LOAD, resource_id="ev"), at(-5)).answer == Answer.ACCEPTED
    assert held.take(direct(Op.SHED_PANEL, "c-2", end=30, limit_kw=4.0), at(-5)).answer == Answer.ACCEPTED
    assert (held.limits(at(-5)), held.panel_limit(at(-5))) == ({"ev": 0.0}, 4.0)
    assert held.next_change(at(-5)) == at(30)
    assert (held.limits(at(30)), held.panel_limit(at(30))) == ({"ev": 0.0}, None)
    assert held.limits(at(60)) == {}


def test_a_set_load_without_an_end_holds_until_it_is_given_back() -> None:
    held = Control(LOADS)
    held.take(direct(Op.SET_LOAD, end=None, resource_id="ev", limit_kw=1.5), at(-5))
    assert held.limits(at(100_000)) == {"ev": 1.5}
    assert held.next_change(at(-5)) is None
    assert held.take(direct(Op.RESTORE, "c-2", issued=5, resource_id="ev"), at(6)).answer == Answer.ACCEPTED
    assert held.limits(at(6)) == {}


def test_what_was_set_on_a_load_and_what_an_event_asks_of_it_are_given_back_apart() -> None:
    held = Control(LOADS)
    held.take(event("c-1", hvac=2.0), at(-5))
    held.take(direct(Op.SHED_LOAD, "c-2", resource_id="hvac"), at(-5))
    assert held.limits(at(1)) == {"hvac": 0.0}
    held.take(direct(Op.RESTORE, "c-3", issued=2, resource_id="hvac"), at(2))
    assert held.limits(at(2)) == {"hvac": 2.0}
    held.take(restore("c-4", issued=3), at(3))
    assert held.limits(at(3)) == {}


def test_a_restore_of_everything_gives_back_what_was_issued_before_even_if_it_comes_after() -> None:
    held = Control(LOADS)
    held.take(event("c-1"), at(-5))
    held.take(direct(Op.SHED_PANEL, "c-2", limit_kw=1.0), at(-5))
    held.take(direct(Op.SET_LOAD, "c-3", issued=8, end=None, resource_id="ev", limit_kw=1.0), at(8))
    told = held.take(direct(Op.RESTORE, "c-4", issued=5), at(9))
    assert (told.answer, "c-3" in told.reason) == (Answer.REFUSED, True)  # something still holds: its sender must know
    assert (held.limits(at(9)), held.panel_limit(at(9))) == ({"ev": 1.0}, None)
    late = held.take(direct(Op.SHED_LOAD, "c-5", issued=4, resource_id="dryer"), at(9))
    assert (late.answer, "c-4" in late.reason) == (Answer.REFUSED, True)


def test_a_restore_of_everything_is_accepted_where_nothing_issued_later_holds_any_more() -> None:
    held = Control(LOADS)
    held.take(direct(Op.SHED_PANEL, "c-1", issued=8, end=20, limit_kw=1.0), at(8))
    assert held.take(direct(Op.RESTORE, "c-2", issued=5), at(9)).answer == Answer.REFUSED
    assert held.take(direct(Op.RESTORE, "c-3", issued=5), at(20)).answer == Answer.ACCEPTED


def test_an_older_restore_is_accepted_where_nothing_is_held_any_more() -> None:
    """Its sender waits for the answer: what matters is that nothing is held."""
    held = Control(LOADS)
    held.take(event(), at(-5))
    held.take(direct(Op.RESTORE, "c-9", issued=9), at(9))
    assert held.take(restore("c-8", issued=8), at(10)).answer == Answer.ACCEPTED
    held.take(event("c-3", issued=20), at(20))
    assert held.take(restore("c-7", issued=15), at(21)).answer == Answer.REFUSED


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (direct(Op.SHED_LOAD), "needs resource_id"),
        (direct(Op.SHED_LOAD, end=None, resource_id="ev"), "needs end_at"),
        (direct(Op.SHED_LOAD, resource_id="oven"), "oven"),
        (direct(Op.SET_LOAD, resource_id="ev"), "needs limit_kw"),
        (direct(Op.SHED_PANEL), "needs limit_kw"),
        (direct(Op.RESTORE, resource_id="oven"), "oven"),
        (direct(Op.RESTORE, resource_id="ev", event_id="e-1"), "one of them"),
        (direct(Op.SET, values={"colour": "red"}), "colour"),
        (direct(Op.SET, values={"beat_s": "often"}), "cannot become"),
        (direct(Op.SET, values={"beat_s": True}), "cannot become"),
        (direct(Op.SET, values={"beat_s": 0}), "too often"),
        (direct(Op.GET, names=["colour"]), "colour"),
    ],
)
def test_a_direct_command_that_cannot_be_done_is_refused_with_the_reason(command: Command, said: str) -> None:
    held = Control(LOADS, {"beat_s": 60.0, "name": "cabin"}, objection=lambda _, value: "" if value else "too often")
    ack = held.take(command, at(0))
    assert (ack.answer, said in ack.reason) == (Answer.REFUSED, True), ack.reason
    assert (held.limits(at(1)), held.settings) == ({}, {"beat_s": 60.0, "name": "cabin"})


def test_settings_are_set_and_told_with_the_state() -> None:
    held = Control(LOADS, {"beat_s": 60.0}, state=lambda: {"meter_kw": 3.2})
    assert held.take(direct(Op.SET, values={"beat_s": 30}), at(0)).answer == Answer.ACCEPTED
    held.take(direct(Op.SHED_LOAD, "c-2", resource_id="ev"), at(0))
    told = held.take(direct(Op.GET, "c-3"), at(0)).values
    free = {"hvac.limit_kw": None, "dryer.limit_kw": None, "panel.limit_kw": None}
    assert told == {"beat_s": 30, "meter_kw": 3.2, "ev.limit_kw": 0.0, **free}
    some = held.take(direct(Op.GET, "c-4", names=["meter_kw"]), at(0))
    assert some.values == {"meter_kw": 3.2}
    assert held.take(direct(Op.PING, "c-5"), at(0)).answer == Answer.ACCEPTED


def test_of_two_settings_of_one_name_the_one_issued_last_stays() -> None:
    held = Control(LOADS, {"beat_s": 60.0})
    held.take(direct(Op.SET, "c-2", issued=-1, values={"beat_s": 10.0}), at(0))
    assert held.take(direct(Op.SET, "c-1", issued=-2, values={"beat_s": 20.0}), at(0)).answer == Answer.REFUSED
    assert held.settings == {"beat_s": 10.0}


@pytest.mark.parametrize("op", list(Op))
def test_nothing_is_begun_once_it_has_expired(op: Op) -> None:
    held = Control(LOADS, {"beat_s": 60.0})
    more: dict[str, Any] = {"resource_id": "ev", "limit_kw": 0.0, "start_at": at(0), "values": {"beat_s": 1.0}}
    assert held.take(direct(op, **more), at(501)).answer == Answer.EXPIRED
    assert (held.limits(at(1)), held.settings) == ({}, {"beat_s": 60.0})


def test_a_clock_that_jumps_holds_what_it_says_then_and_nothing_more() -> None:
    held = Control(LOADS)
    held.take(event(), at(-5))
    down = {"hvac": 0.5}
    assert [held.limits(at(m)) for m in (10, 90, 20, -30, 30, 61)] == [down, {}, down, {}, down, {}]
    held.take(restore(issued=40), at(100_000))  # of a clock that is wrong: expired
    assert held.limits(at(41)) == {"hvac": 0.5}
    held.take(restore("c-3", issued=40), at(41))
    assert held.limits(at(42)) == held.limits(at(10)) == {}


def test_what_was_accepted_goes_on_after_a_restart_and_ends_by_its_own_clock() -> None:
    before = Control(LOADS, {"beat_s": 60.0, "old": 1})
    answer = before.take(event(), at(-5))
    before.take(direct(Op.SHED_PANEL, "c-2", limit_kw=4.0), at(-5))
    before.take(direct(Op.SET, "c-3", values={"beat_s": 5.0}), at(-5))
    before.take(direct(Op.RESTORE, "c-4", issued=-20), at(-5))
    kept = msgspec.json.decode(msgspec.json.encode(before.snapshot()), type=Snapshot)
    after = Control(["hvac"], {"beat_s": 60.0, "new": 2}).restored(kept)
    assert (after.limits(at(1)), after.panel_limit(at(1)), after.limits(at(60))) == ({"hvac": 0.5}, 4.0, {})
    assert after.settings == {"beat_s": 5.0, "new": 2}
    assert after.take(event(), at(2), willing=False) == answer
    assert after.take(direct(Op.SHED_LOAD, "c-5", issued=-21, resource_id="hvac"), at(2)).answer == Answer.REFUSED


# --- laws -------------------------------------------------------------------------------------------------------------

LOAD, KW = st.sampled_from(LOADS), st.floats(0, 5)
ISSUED, END = st.integers(-50, 0), st.integers(1, 150)
ENDING = st.one_of(
    st.builds(
        lambda n, e, issued, start, length, load, kw: event(
            f"event-{n}", f"e-{e}", issued=issued, start=start, end=start + length, expires=500, **{load: kw}
        ),
        st.integers(0, 99), st.integers(0, 3), ISSUED, st.integers(0, 90), st.integers(1, 60), LOAD, KW,
    ),
    st.builds(lambda n, issued, end, load: direct(Op.SHED_LOAD, f"shed-{n}", issued=issued, end=end, resource_id=load),
        st.integers(0, 99), ISSUED, END, LOAD),
    st.builds(lambda n, issued, end, kw: direct(Op.SHED_PANEL, f"panel-{n}", issued=issued, end=end, limit_kw=kw),
        st.integers(0, 99), ISSUED, END, KW),
    st.builds(lambda n, e, issued: restore(f"restore-{n}", f"e-{e}", issued=issued),
        st.integers(0, 99), st.integers(0, 3), st.integers(-20, 0)),
    st.builds(lambda n, issued, load: direct(Op.RESTORE, f"back-{n}", issued=issued, resource_id=load),
        st.integers(0, 99), ISSUED, LOAD | st.none()),
)  # fmt: skip
LASTING = st.builds(
    lambda n, issued, load, kw: direct(Op.SET_LOAD, f"set-{n}", issued=issued, end=None, resource_id=load, limit_kw=kw),
    st.integers(0, 99), ISSUED, LOAD, KW,
)  # fmt: skip


def several(one: st.SearchStrategy[Command]) -> st.SearchStrategy[list[Command]]:
    return st.lists(one, max_size=12, unique_by=lambda command: command.command_id)


def holdings(held: Control) -> list[object]:
    return [(held.limits(at(minute)), held.panel_limit(at(minute))) for minute in range(0, 160, 5)]


@given(several(ENDING | LASTING), st.randoms(use_true_random=False))
def test_order_and_repetition_make_no_difference(commands: list[Command], random: object) -> None:
    one, other = Control(LOADS), Control(LOADS)
    mixed = commands * 2
    random.shuffle(mixed)  # type: ignore[attr-defined]
    for command in commands:
        one.take(command, at(0))
    for command in mixed:
        other.take(command, at(0))
    assert holdings(one) == holdings(other)


@given(several(ENDING | LASTING))
def test_a_repeated_command_gets_the_very_same_answer(commands: list[Command]) -> None:
    held = Control(LOADS)
    first = [held.take(command, at(0)) for command in commands]
    before = holdings(held)
    assert [held.take(command, at(3), willing=False) for command in commands] == first
    assert holdings(held) == before


@given(several(ENDING | LASTING), st.integers(0, 12))
def test_a_restart_makes_no_difference(commands: list[Command], when: int) -> None:
    steady, restarted = Control(LOADS), Control(LOADS)
    for number, command in enumerate(commands):
        if number == when:
            kept = msgspec.json.decode(msgspec.json.encode(restarted.snapshot()), type=Snapshot)
            restarted = Control(LOADS).restored(kept)
        assert restarted.take(command, at(0)) == steady.take(command, at(0))
    assert holdings(restarted) == holdings(steady)


OPT_OUT = st.builds(
    lambda load, minute, kw: OptOut(load, None if minute is None else at(minute), kw),
    LOAD | st.none(), st.integers(0, 120) | st.none(), KW | st.none(),
)  # fmt: skip


@given(several(ENDING | LASTING), several(ENDING | LASTING), st.lists(OPT_OUT, max_size=6))
def test_an_opt_out_only_ever_frees_and_stands(
    commands: list[Command], later: list[Command], opt_outs: list[OptOut]
) -> None:
    held, free = Control(LOADS), Control(LOADS)
    for command in commands:
        held.take(command, at(0))
        free.take(command, at(0))
    for out in opt_outs:
        for subject in list(free.rulings):
            free.opt_out(subject, out, at(0))
    events = [command for command in later if command.op is Op.EVENT]
    for command in events:
        held.take(command, at(0))
        free.take(command, at(0))
    for minute in range(0, 160, 5):
        asked, left = held.limits(at(minute)), free.limits(at(minute))
        assert left.keys() <= asked.keys()
        assert all(left[load] >= asked[load] for load in left)


@given(st.lists(OPT_OUT, max_size=6), st.randoms(use_true_random=False))
def test_in_whatever_order_opt_outs_are_said_they_come_to_the_same(opt_outs: list[OptOut], random: object) -> None:
    mixed = opt_outs * 2
    random.shuffle(mixed)  # type: ignore[attr-defined]
    found = []
    for said in (opt_outs, mixed):
        control = Control(LOADS)
        control.take(event(hvac=0.5, ev=1.0, dryer=0.0, end=150, expires=150), at(0))
        for out in said:
            control.opt_out("event:e-1", out, at(0))
        found.append(holdings(control))
    assert found[0] == found[1]


@given(several(ENDING | LASTING))
def test_a_last_restore_leaves_nothing_held(commands: list[Command]) -> None:
    held = Control(LOADS)
    for command in [direct(Op.RESTORE, "last", issued=1), *commands]:
        held.take(command, at(1))
    assert (held.limits(at(2)), held.panel_limit(at(2)), held.next_change(at(1))) == ({}, None, None)


@given(several(ENDING))
def test_after_the_last_end_everything_is_restored(commands: list[Command]) -> None:
    held = Control(LOADS)
    for command in commands:
        held.take(command, at(0))
    assert (held.limits(at(151)), held.panel_limit(at(151)), held.next_change(at(151))) == ({}, None, None)
    edge, seen = held.next_change(at(-100)), 0
    while edge is not None:  # between two edges nothing changes
        following = held.next_change(edge)
        if following is not None:
            before = following - timedelta(microseconds=1)
            assert (held.limits(edge), held.panel_limit(edge)) == (held.limits(before), held.panel_limit(before))
        edge, seen = following, seen + 1
    assert seen <= 2 * len(commands)
