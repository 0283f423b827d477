"""The whole agent at a site, with a broker and without: it tells, obeys, guards, remembers; its owner has a say."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.integration.site_world import AN_HOUR_S, NOW, Site, SmallPlatform, Wall, until
from tests.servers.nats import free_port
from tieline.adapters.nats.server import NatsServer
from tieline.base.errors import Refused, Unready
from tieline.base.time import iso
from tieline.cli import main
from tieline.ven.agent.agent import run
from tieline.ven.agent.configuration import read
from tieline.wires.mqtt.messages import ACK, LOADS, METER, PRESENCE, Limit, LoadState, Op, OptOut, TwinDelta

NOBODY = f'{{ url = "http://127.0.0.1:{free_port()}/" }}'
FREE_KW = 3.0
GONE = f'{{ type = "http", hold = {NOBODY}, free = {NOBODY} }}'


@pytest.fixture
async def platform(nats_server: NatsServer) -> AsyncIterator[SmallPlatform]:
    async with SmallPlatform(nats_server).open() as made:
        yield made


@pytest.fixture
def site(tmp_path: Path, platform: SmallPlatform) -> Site:
    return Site(tmp_path, platform.port)


async def test_it_tells_what_is_drawn_and_that_it_is_there(site: Site, platform: SmallPlatform) -> None:
    async with site.agent():
        await until(lambda: platform.samples and platform.samples[-1].power_kw == pytest.approx(7.0))
        await until(lambda: platform.twin()["loads"].get("car") == {"online": True, "trouble": ""})
        await until(lambda: (load := platform.load("boiler")) and load.state is LoadState.ON)
        boiler = platform.load("boiler")
        assert boiler is not None
        assert (boiler.power_kw, boiler.sheddable_kw) == (3.0, 3.0)
        assert platform.heard[PRESENCE][-1].online
    await until(lambda: not platform.heard[PRESENCE][-1].online)


async def test_an_event_is_obeyed_answered_and_ends_by_its_own_clock(site: Site, platform: SmallPlatform) -> None:
    async with site.agent(platform.wall.clock):
        command = await platform.ask()
        await until(lambda: (command.command_id, "accepted") in platform.acks)
        await site.draws(0.5)
        await until(lambda: (load := platform.load("boiler")) and load.state is LoadState.SHED)
        await until(lambda: (load := platform.load("boiler")) and load.withheld_kw == pytest.approx(2.5))
        platform.wall.ahead_s = AN_HOUR_S
        await site.draws(FREE_KW)


async def test_an_accepted_event_goes_on_without_the_platform_and_over_a_restart(
    tmp_path: Path, nats_server: NatsServer
) -> None:
    small = SmallPlatform(nats_server)
    site = Site(tmp_path, small.port)
    async with small.open(), site.agent():
        await small.ask()
        await until(lambda: small.acks)
    async with site.agent(small.wall.clock, alone=True):  # nobody answers at the platform's address any more
        assert (await site.state())["trouble"] != ""
        await site.draws(0.5)
        small.wall.ahead_s = AN_HOUR_S
        await site.draws(FREE_KW)


async def test_what_was_measured_without_the_platform_is_told_in_order(tmp_path: Path, nats_server: NatsServer) -> None:
    small = SmallPlatform(nats_server)
    site = Site(tmp_path, small.port)
    async with site.agent(alone=True):
        await until(lambda: waits(site, 8))
        async with small.open():
            await until(lambda: len(small.heard[LOADS]) >= 5)
    ats = [sample.at for sample in small.samples]
    assert ats == sorted(set(ats))
    assert len(small.heard[METER][0].samples) >= 4
    assert [loads.at for loads in small.heard[LOADS]] == ats[: len(small.heard[LOADS])]


async def waits(site: Site, count: int) -> bool:
    return bool((await site.state())["waiting"] >= count)


async def test_a_load_that_fails_is_unknown_and_the_others_go_on(tmp_path: Path, platform: SmallPlatform) -> None:
    site = Site(tmp_path, platform.port, boiler=GONE)
    async with site.agent():
        await platform.ask(Op.SHED_LOAD, resource_id="car", end_at=NOW().replace(year=2100))
        await until(lambda: (load := platform.load("car")) and load.state is LoadState.SHED)
        assert await site.powers() == {"boiler": None, "car": 1.4}
        assert platform.load("boiler") is None
        await until(lambda: platform.twin()["loads"].get("boiler"))
        boiler = platform.twin()["loads"]["boiler"]
        assert not boiler["online"]
        assert "cannot" in boiler["trouble"] or "connection" in boiler["trouble"].lower()
    assert platform.samples == []  # of what nobody knows nothing is made up


async def test_the_panel_is_kept_below_its_fuse_and_below_what_is_asked(
    tmp_path: Path, platform: SmallPlatform
) -> None:
    site = Site(tmp_path, platform.port, limit_kw=6.5)
    async with site.agent():
        await site.draws(2.5, 4.0)  # the boiler gives way: its priority is lower
        await platform.ask(Op.SHED_PANEL, limit_kw=2.0, end_at=NOW().replace(year=2100))
        await site.draws(0.0, 2.0)
        await platform.ask(Op.RESTORE)
        await site.draws(0.95 * 6.5 - 4.0, 4.0)  # what was held comes back but for a margin


async def test_settings_are_told_and_set_by_command_and_by_the_twin(site: Site, platform: SmallPlatform) -> None:
    async with site.agent():
        await platform.ask(Op.PING)
        await platform.ask(Op.GET, names=["report_s", "boiler.power_kw", "agent"])
        await platform.ask(Op.SET, values={"report_s": 2.0})
        await platform.ask(Op.SET, values={"read_s": 1e9})
        await until(lambda: len(platform.acks) == 4)
        assert [answer for _, answer in platform.acks] == ["accepted", "accepted", "accepted", "refused"]
        values = platform.heard[ACK][1].values
        assert (values["report_s"], values["boiler.power_kw"]) == (1.0, 3.0)
        assert platform.heard[ACK][3].reason == "read_s is from 0.1 to 60 seconds"
        await platform.desire(TwinDelta("classic", 1, NOW(), {"report_s": 1.5, "read_s": -1}))
        await until(lambda: platform.twin().get("report_s") == 1.5)
        assert platform.twin()["read_s"] == 0.1


async def test_settings_survive_a_restart(site: Site, platform: SmallPlatform) -> None:
    async with site.agent():
        await platform.ask(Op.SET, values={"report_s": 2.0})
        await until(lambda: platform.acks)
    async with site.agent():
        await platform.ask(Op.GET, names=["report_s"])
        await until(lambda: len(platform.heard[ACK]) > 1 and platform.heard[ACK][-1].values)
        assert platform.heard[ACK][-1].values == {"report_s": 2.0}


# --- the owner --------------------------------------------------------------------------------------------------------


async def test_an_owner_opts_out_of_an_event_and_is_free_at_once(site: Site, platform: SmallPlatform) -> None:
    async with site.agent():
        command = await platform.ask()
        await until(lambda: platform.acks)
        state = await site.state()
        assert [one["what"] for one in state["asked"]] == ["boiler at most 0.50 kW"]
        assert await site.press("/opt-out", subject=state["asked"][0]["subject"]) == 303
        assert (await site.state())["asked"] == []
        await site.draws(FREE_KW)
        await until(lambda: (command.command_id, "opted_out") in platform.acks)
        await platform.send(command)
        await until(lambda: platform.acks[-2:] == [(command.command_id, "opted_out")] * 2)


async def test_an_owner_opts_out_of_everything_until_tomorrow_and_in_again(site: Site, platform: SmallPlatform) -> None:
    async with site.agent():
        assert await site.press("/opt-out-of-all") == 303
        assert (await site.state())["standing"]
        await platform.ask()
        await until(lambda: platform.acks)
        assert platform.acks[-1][1] == "opted_out"
        await until(lambda: (load := platform.load("boiler")) and load.sheddable_kw == 0)
        assert await site.press("/opt-in") == 303
        await platform.ask()
        await until(lambda: len(platform.acks) > 1)
        assert platform.acks[-1][1] == "accepted"


async def test_an_owner_opts_out_of_one_load_from_a_time_on_by_the_command_line(
    site: Site, platform: SmallPlatform
) -> None:
    async with site.agent(platform.wall.clock):
        command = await platform.ask(limits=[Limit("boiler", 0.5), Limit("car", 0.0)])
        await until(lambda: platform.acks)
        from_at = command.issued_at + timedelta(minutes=30)
        said = ["--event", command.event_id, "--load", "boiler", "--from", iso(from_at), "--reason", "guests"]
        await told(site, "opt-out", *said)
        await until(lambda: len(platform.heard[ACK]) > 1)
        ack = platform.heard[ACK][-1]
        assert (ack.command_id, ack.answer) == (command.command_id, "accepted")
        assert ack.opt_outs == [OptOut("boiler", from_at, reason="guests")]
        await site.draws(0.5)
        platform.wall.ahead_s = 0.5 * AN_HOUR_S
        await site.draws(FREE_KW)
        state = await site.state()
        assert state["asked"][0]["loads"] == ["car"]
        assert await told(site, "opt-out", "--event", "none") == 2
        await told(site, "opt-in")


async def told(site: Site, *words: str) -> int:
    """What the command line ends with."""
    command, *options = words
    said = ["ven", command, str(site.file), *options]
    return await asyncio.to_thread(lambda: CliRunner().invoke(main, said).exit_code)


# --- a clock that is off ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [3, -3])
async def test_a_clock_that_is_hours_off_is_set_right_by_the_platforms(
    site: Site, platform: SmallPlatform, hours: int
) -> None:
    wall = Wall(hours * 3600.0)
    async with site.agent(wall.clock):
        command = await platform.ask()
        await until(lambda: platform.acks)
        assert platform.acks == [(command.command_id, "accepted")]
        await site.draws(0.5)
        await until(lambda: platform.samples and abs(platform.samples[-1].at - NOW()) < timedelta(minutes=30))
        assert abs(platform.heard[PRESENCE][-1].at - NOW()) < timedelta(minutes=30)
        await until(lambda: abs(platform.twin().get("clock_off_s", 0) - hours * 3600) < 1800)
        wall.ahead_s += AN_HOUR_S
        platform.wall.ahead_s += AN_HOUR_S
        await site.draws(FREE_KW)


# --- the home's broker ------------------------------------------------------------------------------------------------

ZIGBEE = '{ type = "mqtt", limit_topic = "zigbee2mqtt/boiler/set", hold = "OFF", free = "ON" }'


async def test_a_load_at_the_homes_broker_is_held_shown_and_left_free(
    tmp_path: Path, platform: SmallPlatform, nats_server: NatsServer
) -> None:
    site = Site(tmp_path, platform.port, boiler=ZIGBEE)
    (tmp_path / "home").write_text(nats_server.password)
    where = f'host = "{nats_server.mqtt_host}"\nport = {nats_server.mqtt_port}\nuser = "{nats_server.user}"'
    site.add(f'[home]\n{where}\npassword_file = "home"\n')
    await platform.overhear("zigbee2mqtt/#", "homeassistant/#", "tieline/#")
    seen = platform.other
    async with site.agent():
        await platform.ask()
        await until(lambda: seen.get("zigbee2mqtt/boiler/set", [b""])[-1] == b"OFF")
        await until(lambda: any(b'"held":true' in payload for payload in seen.get("tieline/cabin/boiler", [])))
        await until(lambda: len([name for name in seen if name.startswith("homeassistant/")]) == 6)
    await until(lambda: seen["zigbee2mqtt/boiler/set"][-1] == b"ON")


# --- what can never run -----------------------------------------------------------------------------------------------


async def test_two_agents_do_not_share_a_folder(site: Site, platform: SmallPlatform) -> None:
    async with site.agent():
        with pytest.raises(Unready, match="in use by another agent"):
            await run(read(site.file), site.folder)


async def test_a_secret_that_is_not_there_is_told_at_once(site: Site) -> None:
    (site.folder / "secret").unlink()
    with pytest.raises(Refused, match="secret: No such file"):
        await run(read(site.file), site.folder)


async def test_a_port_that_is_taken_is_told_at_once(site: Site) -> None:
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", site.page_port)
    async with server:
        with pytest.raises(Unready, match=f"cannot listen on 127.0.0.1:{site.page_port}"):
            await run(read(site.file), site.folder)
