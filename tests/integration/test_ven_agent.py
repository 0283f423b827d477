"""The VEN agent over hours of virtual time: what it hears, remembers, plays and reports, its VTN there or away."""

import errno
import os
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tests.integration.ven_world import START, Home, away
from tieline.base.errors import Conflict, Unauthenticated, Unready
from tieline.base.time import iso
from tieline.ven import Credentials
from tieline.ven.openadr import exchange

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "FIRST_PAUSE_S", 0.0)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def at(hours: float) -> str:
    return iso(START + hours * HOUR)


# --- enrolment --------------------------------------------------------------------------------------------------------


async def test_it_makes_its_ven_and_resources_once(home: Home) -> None:
    for _ in range(2):
        async with home.agent(resources=("boiler", "ev")):
            home.told.clear()
    [ven] = home.vtn.kept["vens"].values()
    names = {one["resourceName"]: one["venID"] for one in home.vtn.kept["resources"].values()}
    assert (ven["venName"], names) == ("home", {"boiler": ven["id"], "ev": ven["id"]})


async def test_it_takes_the_ven_that_business_logic_made(home: Home) -> None:
    ven = home.vtn.add("vens", {"venName": "home", "targets": ["group-1"]})
    home.vtn.add("resources", {"resourceName": "boiler", "venID": ven})
    async with home.agent(resources=("boiler",)):
        assert (len(home.vtn.kept["vens"]), len(home.vtn.kept["resources"])) == (1, 1)


async def test_a_name_that_is_anothers_is_refused(home: Home) -> None:
    home.vtn.reach = lambda what: httpx.Response(409, json={"title": "taken"}) if what == "POST /vens" else None
    with pytest.raises(Conflict, match="taken"):
        async with home.agent():
            pass


async def test_wrong_credentials_are_refused_at_once(home: Home) -> None:
    with pytest.raises(Unauthenticated):
        async with home.agent(Credentials(client_id="ven-client", secret="wrong")):
            pass


async def test_a_vtn_never_heard_of_is_unready(home: Home) -> None:
    home.vtn.reach = away
    with pytest.raises(Unready, match="cannot be reached"):
        async with home.agent():
            pass


async def test_who_has_heard_its_vtn_goes_on_whatever_it_says(home: Home) -> None:
    home.vtn.event(home.vtn.program("evening"), start=at(0), duration="PT9H")
    async with home.agent():
        home.told.clear()
    async with home.agent(Credentials(client_id="ven-client", secret="revoked")) as agent:
        assert home.last == (1.0, None)
        await home.pass_(minutes=5)
        assert "no token for client" in agent.trouble


async def test_public_information_needs_no_enrolment(home: Home) -> None:
    home.vtn.tokens.add("")  # who shows none is welcome
    home.vtn.event(home.vtn.program("tariff"), start=at(0), value=3)
    async with home.agent(None):
        assert home.last == (3, None)
    assert not [one for one in home.vtn.asked if "vens" in one or "auth" in one]


# --- what holds -------------------------------------------------------------------------------------------------------


async def test_events_hold_from_their_start_to_their_end(home: Home) -> None:
    program = home.vtn.program("evening")
    home.vtn.event(program, start=at(1), value=1)
    home.vtn.event(program, start=at(2), value=2)
    async with home.agent(programs=("evening",)):
        await home.pass_(hours=4)
    assert home.told == [
        (START, None, 1),
        (START + HOUR, 1, 2),
        (START + 2 * HOUR, 2, None),
        (START + 3 * HOUR, None, None),
    ]


async def test_news_are_heard_by_polling(home: Home) -> None:
    program = home.vtn.program("evening")
    async with home.agent():
        assert home.last == (None, None)
        event = home.vtn.event(program, start=at(0), duration="PT9H", value=1)
        await home.polled()
        assert home.last == (1, None)
        changed = {"intervals": [{"id": 0, "payloads": [{"type": "SIMPLE", "values": [2]}]}]}
        home.vtn.change("events", event, **changed)
        await home.polled()
        assert home.last == (2, None)
        home.vtn.change("events", event, intervalPeriod={"start": "0001-01-01", "duration": "PT0S"})
        await home.polled()
        assert home.last == (None, None)
        home.vtn.event(program, start=at(0), duration="PT9H", value=3)
        await home.polled()
        assert home.last == (3, None)


async def test_what_is_deleted_is_given_up(home: Home) -> None:
    program = home.vtn.program("evening")
    event = home.vtn.event(program, start=at(0), duration="PT5H", value=1, priority=1)
    other = home.vtn.event(home.vtn.program("night"), start=at(0), duration="PT9H", value=2)
    async with home.agent():
        assert home.last == (1, 2)
        del home.vtn.kept["events"][event]
        await home.polled()
        assert home.last == (2, None)
        del home.vtn.kept["programs"][home.vtn.kept["events"].pop(other)["programID"]]
        await home.polled()
        assert home.last == (None, None)


async def test_what_a_list_skips_is_asked_for_before_it_is_given_up(home: Home) -> None:
    """A list that changes while it is paged through may leave out what is there."""
    event = home.vtn.event(home.vtn.program("evening"), start=at(0), duration="PT9H")
    async with home.agent():
        home.vtn.reach = lambda what: httpx.Response(200, json=[]) if what in ("GET /events", "GET /programs") else None
        await home.polled()
        assert home.last == (1.0, None)
        assert home.vtn.asked[f"GET /events/{event}"] > 0


async def test_only_the_programs_it_was_given_are_followed(home: Home) -> None:
    async with home.agent(programs=("evening", "later")):
        home.vtn.event(home.vtn.program("another"), start=at(0), duration="PT9H", value=7)
        evening = home.vtn.program("evening")
        home.vtn.event(evening, start=at(0), duration="PT9H", value=1)
        await home.polled()
        assert home.last == (1, None)
        home.vtn.event(home.vtn.program("later"), start=at(0), duration="PT5H", value=2, priority=1)
        await home.polled()
        assert home.last == (2, 1)


async def test_polls_cost_little_while_nothing_changes(home: Home) -> None:
    home.vtn.event(home.vtn.program("evening"), start=at(0), duration="PT99H")
    async with home.agent(poll_s=300):
        home.vtn.asked.clear()
        home.vtn.unchanged = 0
        await home.pass_(hours=2)
    polls = home.vtn.asked["GET /events"]
    assert 20 <= polls <= 28
    assert home.vtn.unchanged == home.vtn.asked.total() == 2 * polls


async def test_targets_are_asked_for_one_by_one_where_a_vtn_wants_that(home: Home) -> None:
    program = home.vtn.program("evening")
    asked: list[list[str]] = []
    home.vtn.event(program, start=at(0), duration="PT9H")
    answer = home.vtn.answer

    def note(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params.get_list("targets"))
        return answer(request)

    home.vtn.answer = note  # type: ignore[method-assign]
    async with home.agent(targets=("a", "b")):
        pass
    assert [one for one in asked if one] == [["a"], ["b"]] * 2


async def test_an_unreadable_event_does_not_hide_the_others(home: Home) -> None:
    program = home.vtn.program("evening")
    home.vtn.event(program, start=at(0), duration="PT9H")
    bad = home.vtn.event(program, start=at(0))
    home.vtn.change("events", bad, intervals="none")
    async with home.agent():
        assert home.last == (1.0, None)
    assert "intervals" in home.unread[0]


# --- randomizeStart ---------------------------------------------------------------------------------------------------


async def test_a_random_start_is_drawn_once(home: Home) -> None:
    period = {"start": at(2), "duration": "PT1H", "randomizeStart": "PT1H"}
    event = home.vtn.event(home.vtn.program("evening"), start=at(2))
    home.vtn.change("events", event, intervalPeriod=period)
    starts = []
    for _ in range(3):
        async with home.agent() as agent:
            held = agent.now_and_next()["SIMPLE"].next
            assert held is not None
            starts.append(held.start)
            home.vtn.change("events", event, eventName="another name, the same event")
            await home.polled()
            home.told.clear()
    assert len(set(starts)) == 1
    assert abs(starts[0] - START - 2 * HOUR) <= HOUR
    assert starts[0] != START + 2 * HOUR


# --- cut off ----------------------------------------------------------------------------------------------------------


async def test_cut_off_it_goes_on_by_what_it_remembers(home: Home) -> None:
    program = home.vtn.program("evening")
    event = home.vtn.event(program, start=at(1), value=1)
    home.vtn.event(program, start=at(5), value=5)
    async with home.agent() as agent:
        home.vtn.reach = away
        await home.pass_(hours=1.5)
        assert home.last == (1, 5)
        assert "cannot be reached" in agent.trouble
    home.told.clear()
    async with home.agent() as agent:  # a restart, still cut off
        assert home.last == (1, 5)
        await home.pass_(hours=0.6)
        assert home.last == (None, 5)
        del home.vtn.kept["events"][event]
        home.vtn.event(program, start=at(2), duration="PT5H", value=2, priority=0)
        home.vtn.reach = lambda _: None
        await home.pass_(minutes=10)
        assert (home.last, agent.trouble) == ((2, None), "")


async def test_a_vtn_that_breaks_for_a_while_changes_nothing(home: Home) -> None:
    home.vtn.event(home.vtn.program("evening"), start=at(0), duration="PT9H")
    faults: list[httpx.Response] = [
        httpx.Response(500), httpx.Response(200, content=b"<html>"), httpx.Response(401), httpx.Response(403),
        httpx.Response(302), httpx.Response(404), httpx.Response(200, json=[{"id": "x"}]),
    ]  # fmt: skip
    async with home.agent():
        for fault in faults:
            home.vtn.reach = lambda _, fault=fault: fault  # type: ignore[misc]
            await home.pass_(minutes=5)
            assert home.last == (1.0, None), fault
        home.vtn.reach = lambda _: None
        await home.pass_(minutes=10)
        assert home.last == (1.0, None)


async def test_a_full_disk_stops_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    program = home.vtn.program("evening")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with home.agent() as agent:
        monkeypatch.setattr(os, "fsync", full)
        home.vtn.event(program, start=at(0), duration="PT9H", value=1)
        await home.polled()
        assert (home.last, "No space left" in agent.trouble) == ((1, None), True)
        with pytest.raises(Unready, match="No space left"):
            await agent.opt_out(agent.events[0], "guests")
        monkeypatch.undo()
        await home.pass_(minutes=10)
        assert agent.trouble == ""
    home.told.clear()
    home.vtn.reach = away
    async with home.agent():
        assert home.last == (1, None)


async def test_what_was_over_long_ago_is_not_kept(home: Home) -> None:
    program = home.vtn.program("evening")
    old = [home.vtn.event(program, start=at(-hours)) for hours in (100, 50, 24.75)]
    home.vtn.knows_active = False
    async with home.agent() as agent:
        assert [one.id for one in agent.events] == old[2:]
        await home.pass_(hours=0.5)
        assert agent.events == []


async def test_it_asks_less_often_while_it_is_in_vain(home: Home) -> None:
    async with home.agent(poll_s=60):
        home.vtn.reach = away
        home.vtn.asked.clear()
        await home.pass_(hours=2)
        assert 10 < home.vtn.asked.total() / exchange.TRIES < 60
