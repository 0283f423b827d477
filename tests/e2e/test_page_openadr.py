"""OpenADR on the page and the command line, over the real platform: clients post, receivers fail, an operator looks."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.e2e.accessible import faults
from tests.e2e.browser import Watched, chromium, opened
from tests.e2e.openadr import OpenAdrClient, let_in
from tests.e2e.platform import Platform
from tests.e2e.scene import until
from tests.servers.receiver import Answer, Heard, Receiver, answering, receiving
from tieline.base.time import iso

SOON = 60_000  # ms: the machine may be busy
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = (1440, 768, 390, 320)
HOURLY = {"payloadType": "USAGE", "units": "KWH", "frequency": 1, "repeat": 1, "historical": True}


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield one


@pytest.fixture
def platform(platforms: Callable[..., Platform]) -> Platform:
    return platforms().start("up", "--development")


@pytest.fixture
async def desk(platform: Platform) -> AsyncIterator[OpenAdrClient]:
    async with let_in(platform, "desk", "bl") as client:
        yield client


def gateway(page: Page) -> Locator:
    return page.get_by_role("region", name="OpenADR")


def event(program_id: str, name: str, payload: str = "PRICE", **more: Any) -> dict[str, Any]:
    """One that holds from now on without end."""
    period = {"start": iso(datetime.now(UTC)), "duration": "P9999Y"}
    interval = {"id": 0, "payloads": [{"type": payload, "values": [1]}]}
    return {"programID": program_id, "eventName": name, "intervalPeriod": period, "intervals": [interval], **more}


async def test_the_audit_finds_what_is_wrong(browser: Browser) -> None:
    page = await browser.new_page()
    await page.set_content(
        '<h2>A</h2><h4>B</h4><button style="width: 9px"></button><i id="a"></i><i id="a"></i><img src="">'
        '<p style="color: #999">faint</p><table><tr><th>c</th></tr></table><div style="width: 9999px">wide</div>'
    )
    found = {fault.split()[0] for fault in await faults(page)}
    assert found == {"1.1.1", "1.3.1", "1.4.3", "1.4.10", "2.5.8", "4.1.2"}


async def test_a_gateway_without_clients_says_how_to_let_one_in(platform: Platform, browser: Browser) -> None:
    async with opened(browser, platform.url) as watched:
        await watched.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        panel = gateway(watched.page)
        await expect(panel.get_by_text("No client yet")).to_be_visible(timeout=SOON)
        await expect(panel.get_by_text(re.compile("tieline client add"))).to_be_visible()
        for version in ("3.1.0", "3.0.1"):
            await panel.get_by_role("button", name=f"Copy the base URL of OpenADR {version}").click()
            copied = await watched.page.evaluate("navigator.clipboard.readText()")
            assert copied == f"{platform.url}/openadr3/{version}"
        async with let_in(platform, "desk", "bl"):
            await expect(panel.get_by_text("No client yet")).to_be_hidden(timeout=SOON)
            await expect(panel.locator("dl.facts")).to_contain_text("Clients1")
        assert watched.wrong == []


async def test_an_event_of_an_openadr_client_appears_and_shows_its_reports(
    platform: Platform, browser: Browser, desk: OpenAdrClient
) -> None:
    async with opened(browser, platform.url) as watched:
        page = watched.page
        await expect(page.get_by_text("No event yet")).to_be_visible(timeout=SOON)
        program = (await desk.create("programs", {"programName": "Dynamic prices"}))["id"]
        named = {"objectType": "BL_VEN_REQUEST", "clientID": "cabin", "venName": "Cabin", "targets": ["north"]}
        ven_id = (await desk.create("vens", named))["id"]
        signal = await desk.create("events", event(program, "Prices of tonight", targets=["north", "south"]))

        card = page.get_by_role("listitem").filter(has_text="Prices of tonight")
        for said in ("active", "no end", "PRICE", "to north +1"):
            await expect(card).to_contain_text(said, timeout=SOON)
        await expect(card).not_to_contain_text("kW")
        detail = page.get_by_role("region", name=re.compile("Prices of tonight"))
        await expect(detail).to_contain_text("calls no load")
        await expect(detail).to_contain_text("It asks for no report")
        await expect(detail.get_by_role("button", name="Delivery ledger")).to_have_count(0)

        asking = event(program, "Use of the hour", reportDescriptors=[HOURLY])
        asking["intervalPeriod"]["duration"] = "PT1H"
        asking_id = (await desk.create("events", asking))["id"]
        await page.get_by_role("button", name=re.compile("Use of the hour")).click(timeout=SOON)
        detail = page.get_by_role("region", name=re.compile("Use of the hour"))
        row = detail.get_by_role("row", name=re.compile(ven_id))
        await expect(row).to_contain_text("USAGE", timeout=SOON)
        assert await _numbers(row) == ["–", "–", "–", "1"]
        async with let_in(platform, "cabin", "ven") as cabin:
            await cabin.create("reports", _used(asking_id))
        await expect(row.get_by_role("cell").nth(3)).to_have_text("1", timeout=SOON)
        assert await _numbers(row) == ["–", "–", "1", "–"]
        await row.get_by_role("button").click()
        await expect(page.get_by_role("dialog")).to_contain_text("received")
        assert [*await faults(page), *watched.wrong] == []

    listed = await asyncio.to_thread(platform.run, "event", "reports", asking_id)
    assert (listed.returncode, "received" in listed.stdout) == (0, True)
    assert platform.get(f"/v1/events/{signal['id']}")["target_kw"] == 0


async def _numbers(row: Locator) -> list[str]:
    """Of reports missing, late, received and expected."""
    return (await row.get_by_role("cell").all_inner_texts())[1:5]


def _used(event_id: str) -> dict[str, Any]:
    interval = {"id": 0, "payloads": [{"type": "USAGE", "values": [1.2]}]}
    resource = {"resourceName": "AGGREGATED_REPORT", "intervals": [interval]}
    return {"eventID": event_id, "clientName": "cabin", "resources": [resource]}


async def test_a_signal_is_taken_back(platform: Platform, browser: Browser, desk: OpenAdrClient) -> None:
    program = (await desk.create("programs", {"programName": "Alerts"}))["id"]
    await desk.create("events", event(program, "Be ready", "ALERT_OTHER"))
    async with opened(browser, platform.url) as watched:
        page = watched.page
        await page.get_by_role("button", name="Event", exact=True).click(timeout=SOON)  # the chart of it, without end
        await page.get_by_role("button", name=re.compile("(Stop|Cancel) event")).click(timeout=SOON)
        await expect(page.get_by_text("Take this event back?")).to_be_visible()
        await page.get_by_role("button", name=re.compile("^(Stop|Cancel) it$")).click()
        await expect(page.get_by_role("listitem").filter(has_text="Be ready")).to_contain_text(
            "cancelled", timeout=SOON
        )
        assert watched.wrong == []


async def test_what_a_receiver_refused_is_shown_and_tried_again(
    platform: Platform, browser: Browser, desk: OpenAdrClient
) -> None:
    async with receiving() as receiver, opened(browser, platform.url) as watched:
        panel = gateway(watched.page)
        program = await _failing(desk, receiver)
        await expect(panel.get_by_text("1 broken endpoint")).to_be_visible(timeout=SOON)
        broken = panel.get_by_role("row", name=receiver.url("/broken"))
        await expect(broken).to_contain_text("it answered 503")
        await expect(broken).not_to_contain_text("secret")
        dead = panel.get_by_role("row", name=receiver.url("/gone"))
        await expect(dead).to_have_count(1)
        await expect(dead).to_contain_text("it answered 410: it wants no more")
        await _look(watched)

        receiver.behave = _well
        await panel.get_by_role("button", name=re.compile("^Try again")).click()
        await expect(panel.get_by_text(re.compile("Trying delivery .* again"))).to_be_visible(timeout=SOON)
        await expect(dead).to_have_count(0, timeout=SOON)
        await until(lambda: told(receiver), "it was told")
        assert program in told(receiver)[0]
        assert watched.wrong == []


def told(receiver: Receiver) -> list[str]:
    """What /gone took; its challenge has no body."""
    return [body.decode() for body in receiver.bodies("/gone") if body]


async def _failing(desk: OpenAdrClient, receiver: Receiver) -> str:
    """One endpoint that breaks, another that wants no more, both subscribed; the id of a program neither is told of."""
    for path, kind in (("/broken", "EVENT"), ("/gone", "PROGRAM")):
        wish = {"objects": [kind], "operations": ["CREATE"], "callbackUrl": receiver.url(f"{path}?key=secret")}
        await desk.create("subscriptions", {"clientName": path, "objectOperations": [wish]})
    receiver.behave = _ill
    program: str = (await desk.create("programs", {"programName": "Peak"}))["id"]
    for n in range(8):
        await desk.create("events", event(program, f"Peak {n}"))
    return program


async def _ill(heard: Heard) -> Answer:
    return await answering(410 if heard.path == "/gone" else 503)(heard)


async def _well(_: Heard) -> Answer:
    return None


async def _look(watched: Watched) -> None:
    """At every width, light and dark."""
    page = watched.page
    for theme in THEMES:
        await page.emulate_media(color_scheme=theme)
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 900})
            assert [f"{theme} {width}: {fault}" for fault in await faults(page)] == []


async def test_the_command_line_tells_the_gateway_and_tries_again(platform: Platform, desk: OpenAdrClient) -> None:
    async with receiving() as receiver:
        wish = {"objects": ["PROGRAM"], "operations": ["CREATE"], "callbackUrl": receiver.url("/gone")}
        await desk.create("subscriptions", {"clientName": "gone", "objectOperations": [wish]})
        receiver.behave = answering(410)
        await desk.create("programs", {"programName": "Peak"})
        await until(lambda: platform.get("/v1/webhooks/dead")["items"], "it is dead")
        found = await _asked(platform, "webhooks", "dead")
        assert found["items"][0]["reason"] == "it answered 410: it wants no more"

        shown = await _asked(platform, "openadr")
        assert shown["urls"] == {v: f"{platform.url}/openadr3/{v}" for v in ("3.1.0", "3.0.1")}
        assert (shown["clients"], shown["counts"]["programs"], shown["counts"]["subscriptions"]) == (1, 1, 1)

        receiver.behave = _well
        dead = found["items"][0]["delivery_id"]
        assert await _asked(platform, "webhooks", "replay", dead) == {"delivery_id": dead, "state": "waiting"}
        await until(lambda: told(receiver), "it was told")

    none = await asyncio.to_thread(platform.run, "webhooks", "dead")
    assert none.stdout == "no dead deliveries\n"
    refused = await asyncio.to_thread(platform.run, "webhooks", "replay", dead)
    assert (refused.returncode, "there is no delivery" in refused.stderr) == (2, True)


async def _asked(platform: Platform, *command: str) -> dict[str, Any]:
    ran = await asyncio.to_thread(platform.run, *command, "--json")
    assert ran.returncode == 0, ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout)
    return told
