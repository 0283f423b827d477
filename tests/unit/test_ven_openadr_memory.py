"""What a VEN remembers: whole after any crash, its own only, private; and reports that wait to be sent."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.integration.ven_world import BASE, CREDENTIALS, START, SmallVtn, away
from tieline.base.errors import Refused, Unready
from tieline.ven import Memory, VtnClient
from tieline.ven.durable import write_durably
from tieline.ven.openadr import exchange
from tieline.ven.openadr.unsent import Unsent
from tieline.wires.openadr31.messages import ReportRequest, ReportResource


def memory(folder: Path, vtn: str = BASE, name: str = "ven") -> Memory:
    return Memory(folder, vtn, name)


async def test_what_was_saved_is_there_again(tmp_path: Path) -> None:
    with memory(tmp_path / "a/b") as first:
        first.state.opted_out = {"e-1"}
        first.state.told_at = START
        await first.save()
    with memory(tmp_path / "a/b") as again:
        assert msgspec.structs.asdict(again.state) == msgspec.structs.asdict(first.state)
        assert [again.state.draw(f"e-{n}") for n in range(9)] == [first.state.draw(f"e-{n}") for n in range(9)]
    with memory(tmp_path / "c") as other:
        assert other.state.draw("e-1") != first.state.draw("e-1")
        assert other.state.bearer != first.state.bearer


def test_draws_are_spread_evenly(tmp_path: Path) -> None:
    with memory(tmp_path) as one:
        draws = [one.state.draw(f"event {number}") for number in range(4000)]
    assert all(-1 <= draw <= 1 for draw in draws)
    assert abs(sum(draws) / len(draws)) < 0.05
    assert 0.3 < sum(draw * draw for draw in draws) / len(draws) < 0.37


async def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    with memory(tmp_path / "ven") as kept:
        await kept.save()
        await Unsent(kept.folder / "unsent", 10).put(report(1))
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "ven").rglob("*")}
    assert modes.pop("unsent") == 0o700
    assert modes.pop("lock") & 0o077 in (0o044, 0)  # empty
    assert set(modes.values()) == {0o600}


def test_a_crash_while_writing_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "state.json"
    write_durably(file, b"old")

    def crash(_: int) -> None:
        raise SystemExit

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(SystemExit):
        write_durably(file, b"new")
    assert file.read_bytes() == b"old"
    monkeypatch.undo()
    write_durably(file, b"newer")
    assert file.read_bytes() == b"newer"


def test_a_folder_is_one_agents_at_a_time(tmp_path: Path) -> None:
    with memory(tmp_path):
        with pytest.raises(Unready, match="in use by another agent"), memory(tmp_path):
            pass
        code = "from pathlib import Path; from tieline.ven import Memory; Memory(Path({!r}), 'v', 'n').__enter__()"
        other = subprocess.run(
            [sys.executable, "-c", code.format(str(tmp_path))], capture_output=True, text=True, check=False, timeout=60
        )
        assert "in use by another agent" in other.stderr
    with memory(tmp_path):
        pass


async def test_a_folder_is_one_vens_at_one_vtn(tmp_path: Path) -> None:
    with memory(tmp_path) as kept:
        await kept.save()
    for vtn, name in (("https://elsewhere.example", "ven"), (BASE, "another")):
        with pytest.raises(Refused, match=f"is of VEN 'ven' at {BASE}"), memory(tmp_path, vtn, name):
            pass


def test_what_cannot_be_read_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "state.json").write_bytes(b'{"vtn":')
    with memory(tmp_path) as kept:
        assert kept.state.told_at is None
    assert (tmp_path / "state.unreadable").read_bytes() == b'{"vtn":'
    assert "set aside" in caplog.text


def test_a_folder_that_cannot_be_had_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="choose a folder"), memory(tmp_path / "file"):
        pass


# --- reports that wait ------------------------------------------------------------------------------------------------


def report(number: int, event_id: str = "e-1") -> ReportRequest:
    resources = (ReportResource(resource_name="boiler", intervals=()),)
    return ReportRequest(event_id=event_id, client_name="ven", report_name=str(number), resources=resources)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> SmallVtn:
    monkeypatch.setattr(exchange, "FIRST_PAUSE_S", 0.0)
    world = SmallVtn(lambda: START)
    world.kept["events"]["e-1"] = {}
    return world


def arrived(world: SmallVtn) -> list[str]:
    return [one["reportName"] for one in world.kept["reports"].values()]


async def test_reports_are_sent_in_order_and_forgotten(tmp_path: Path, world: SmallVtn) -> None:
    unsent = Unsent(tmp_path / "unsent", 100)
    for number in range(12):
        await unsent.put(report(number))
    unsent = Unsent(tmp_path / "unsent", 100)  # a restart
    await unsent.put(report(12))
    async with world.client() as vtn:
        world.reach = away
        with pytest.raises(Unready):
            await unsent.send(vtn)
        assert len(unsent) == 13
        world.reach = lambda _: None
        await unsent.send(vtn)
    assert arrived(world) == [str(number) for number in range(13)]
    assert (len(unsent), list((tmp_path / "unsent").iterdir())) == (0, [])


@pytest.mark.parametrize("restart", [False, True])
async def test_a_report_whose_answer_was_lost_is_not_told_twice(tmp_path: Path, world: SmallVtn, restart: bool) -> None:
    unsent = Unsent(tmp_path / "unsent", 100)
    await unsent.put(report(1))
    await unsent.put(report(2))

    def lose(what: str) -> None:
        if what == "POST /reports":
            raise httpx.ReadError("reset")

    world.after = lose
    async with world.client() as vtn:
        with pytest.raises(Unready):
            await unsent.send(vtn)
        world.after = lambda _: None
        if restart:
            unsent = Unsent(tmp_path / "unsent", 100)
        await unsent.send(vtn)
    assert arrived(world) == ["1", "2"]
    assert world.asked["POST /reports"] == 2


async def test_what_the_vtn_will_not_have_holds_up_nothing(tmp_path: Path, world: SmallVtn) -> None:
    unsent = Unsent(tmp_path / "unsent", 100)
    for number, event_id in ((1, "gone"), (2, "e-1")):
        await unsent.put(report(number, event_id))
    (tmp_path / "unsent/00000000.json").write_bytes(b"{")
    unsent = Unsent(tmp_path / "unsent", 100)
    async with world.client() as vtn:
        await unsent.send(vtn)
    assert arrived(world) == ["2"]
    assert (unsent.refused, len(unsent)) == (2, 0)


async def test_beyond_its_bound_the_oldest_are_dropped(tmp_path: Path, world: SmallVtn) -> None:
    unsent = Unsent(tmp_path / "unsent", 5)
    for number in range(8):
        await unsent.put(report(number))
    assert (len(unsent), unsent.dropped) == (5, 3)
    going, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path.endswith("/reports"):
            going.set()
            await go_on.wait()
        return world.answer(request)

    async with VtnClient(BASE, CREDENTIALS, transport=httpx.MockTransport(slow)) as vtn:
        sending = asyncio.create_task(unsent.send(vtn))
        await going.wait()
        for number in range(8, 20):
            await unsent.put(report(number))
        go_on.set()
        await sending
    assert arrived(world) == ["3", "16", "17", "18", "19"]  # the one under way is not dropped
