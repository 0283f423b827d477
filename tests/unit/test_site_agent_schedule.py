"""The local schedule: over a restart, and the owner's word against the grid's."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from tieline.ven.agent.schedule import Schedule, Standing
from tieline.wires.mqtt.messages import Ack, Answer, Command, Limit, Op, OptOut

NOW = datetime(2026, 7, 14, 18, tzinfo=UTC)
HOUR = timedelta(hours=1)
OUT = OptOut(reason="guests")


def event(event_id: str = "peak", number: int = 1, start_at: datetime = NOW) -> Command:
    return Command(
        f"{event_id}:{number}", Op.EVENT, NOW + timedelta(seconds=number), start_at + HOUR, event_id,
        start_at=start_at, end_at=start_at + HOUR, limits=[Limit("boiler", 0.5)],
    )  # fmt: skip


def schedule(path: Path) -> Schedule:
    made = Schedule(["boiler", "car"])
    made.recall(path)
    return made


async def test_an_event_goes_on_over_a_restart_and_ends_by_itself(tmp_path: Path) -> None:
    file = tmp_path / "schedule.json"
    before = schedule(file)
    assert before.answer(event(), NOW).answer is Answer.ACCEPTED
    await before.keep(file)
    after = schedule(file)
    assert after.limits(NOW + HOUR / 2) == {"boiler": 0.5}
    assert after.limits(NOW + HOUR) == {}
    assert after.answer(event(), NOW + HOUR) == Ack("peak:1", Answer.ACCEPTED, NOW)  # the very answer it got
    assert file.stat().st_mode & 0o077 == 0


async def test_what_cannot_be_read_is_set_aside_and_the_loads_are_free(tmp_path: Path) -> None:
    file = tmp_path / "schedule.json"
    file.write_bytes(b"{half")
    assert schedule(file).limits(NOW) == {}
    assert (tmp_path / "schedule.unreadable").exists()


async def test_an_owner_opts_out_of_an_event_and_of_what_comes_of_it(tmp_path: Path) -> None:
    one = schedule(tmp_path / "none")
    one.answer(event(), NOW)
    ack = one.opt_out("event:peak", OUT, NOW)
    assert ack == Ack("peak:1", Answer.OPTED_OUT, NOW, "guests")
    assert one.limits(NOW) == {}
    assert one.answer(event(), NOW) == ack  # the platform asks again and hears it again
    assert one.answer(event(number=2), NOW).answer is Answer.OPTED_OUT
    assert one.answer(event("other"), NOW).answer is Answer.ACCEPTED
    assert one.limits(NOW) == {"boiler": 0.5}


async def test_an_opt_out_is_remembered_over_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "schedule.json"
    one = schedule(file)
    one.answer(event(), NOW)
    one.opt_out("event:peak", OUT, NOW)
    await one.keep(file)
    after = schedule(file)
    assert after.answer(event(number=2), NOW).answer is Answer.OPTED_OUT
    assert after.limits(NOW) == {}


async def test_a_restore_of_what_was_opted_out_of_is_accepted(tmp_path: Path) -> None:
    one = schedule(tmp_path / "none")
    one.answer(event(), NOW)
    one.opt_out("event:peak", OUT, NOW)
    restore = Command("peak:restore", Op.RESTORE, NOW + HOUR / 4, NOW + HOUR, "peak")
    assert one.answer(restore, NOW).answer is Answer.ACCEPTED


async def test_an_owner_opts_out_of_everything_for_a_while(tmp_path: Path) -> None:
    file = tmp_path / "schedule.json"
    one = schedule(file)
    one.answer(event(), NOW)
    one.answer(event("tomorrow", start_at=NOW + 10 * HOUR), NOW)
    told = one.opt_out_of_all(Standing(NOW, NOW + 6 * HOUR), NOW)
    assert [ack.command_id for ack in told] == ["peak:1"]  # what begins later stays
    await one.keep(file)
    after = schedule(file)
    assert after.answer(event("other"), NOW).answer is Answer.OPTED_OUT
    assert after.answer(event("evening", start_at=NOW + 6 * HOUR), NOW).answer is Answer.ACCEPTED
    after.opt_in()
    assert after.answer(event("third"), NOW).answer is Answer.ACCEPTED


async def test_an_opt_out_of_what_is_over_tells_nothing(tmp_path: Path) -> None:
    one = schedule(tmp_path / "none")
    one.answer(event(), NOW)
    assert one.opt_out("event:peak", OUT, NOW + HOUR) is None
    assert one.opt_out("event:unheard-of", OUT, NOW) is None


def whole(start_at: datetime = NOW, number: int = 1) -> Command:
    """Of both loads."""
    asked = event(number=number, start_at=start_at)
    return msgspec.structs.replace(asked, limits=[Limit("boiler", 0.5), Limit("car", 0.0)])


async def test_a_load_opts_out_from_an_instant_on_and_the_other_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "schedule.json"
    one = schedule(file)
    one.answer(whole(), NOW)
    out = OptOut("car", NOW + HOUR / 2, reason="we leave early")
    assert one.opt_out("event:peak", out, NOW) == Ack("peak:1", Answer.ACCEPTED, NOW, opt_outs=[out])
    assert one.next_change(NOW) == NOW + HOUR / 2
    await one.keep(file)
    after = schedule(file)
    assert [set(after.limits(NOW + at)) for at in (HOUR / 4, HOUR / 2, HOUR)] == [{"boiler", "car"}, {"boiler"}, set()]
    again = after.answer(whole(number=2), NOW)
    assert (again.answer, again.opt_outs) == (Answer.ACCEPTED, [out])  # it stands for what comes of the event
    assert set(after.limits(NOW + HOUR / 2)) == {"boiler"}


async def test_a_load_that_gives_less_is_held_no_lower(tmp_path: Path) -> None:
    one = schedule(tmp_path / "none")
    one.answer(whole(), NOW)
    ack = one.opt_out("event:peak", OptOut("boiler", limit_kw=1.5), NOW)
    assert ack
    assert (ack.answer, one.limits(NOW)) == (Answer.ACCEPTED, {"boiler": 1.5, "car": 0.0})


async def test_who_opts_out_of_one_load_after_the_other_has_opted_out_of_all(tmp_path: Path) -> None:
    one = schedule(tmp_path / "none")
    one.answer(whole(), NOW)
    answers = [one.opt_out("event:peak", OptOut(load), NOW) for load in ("car", "boiler")]
    assert [ack and ack.answer for ack in answers] == [Answer.ACCEPTED, Answer.OPTED_OUT]
    assert one.asked(NOW) == []


async def test_what_stands_is_told_with_the_answer_and_from_when_it_does(tmp_path: Path) -> None:
    one = schedule(tmp_path / "none")
    one.opt_out_of_all(Standing(NOW + HOUR / 2, NOW + 3 * HOUR, reason="guests"), NOW)
    one.opt_out_of_all(Standing(NOW, NOW + 3 * HOUR, "car"), NOW)
    answer = one.answer(whole(), NOW)
    assert answer.opt_outs == [
        OptOut(None, NOW + HOUR / 2, reason="guests"), OptOut("car", reason="opted out by the owner"),
    ]  # fmt: skip
    assert [set(one.limits(NOW + at)) for at in (HOUR / 4, HOUR / 2)] == [{"boiler"}, set()]
    assert one.answer(whole(NOW + HOUR, 3), NOW).answer is Answer.OPTED_OUT  # begun only when he is out
    assert (one.free_s(NOW, "boiler"), one.free_s(NOW, "car")) == (1800.0, 0.0)


async def test_a_restore_of_everything_does_not_forget_an_opt_out(tmp_path: Path) -> None:
    one = schedule(tmp_path / "none")
    one.answer(whole(), NOW)
    one.opt_out("event:peak", OUT, NOW)
    one.answer(Command("all", Op.RESTORE, NOW + timedelta(seconds=1), NOW + HOUR), NOW)
    assert one.answer(whole(number=5), NOW).answer is Answer.OPTED_OUT
