"""The page in a real browser over a real platform and fleet: what a newcomer sees, and what they can do about it."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta

import pytest
from playwright.async_api import Browser, expect

from tests.e2e.accessible import faults
from tests.e2e.browser import SOON, Watched, chromium, opened
from tests.e2e.platform import Platform
from tieline.base.time import iso
from tieline.sim import beside

SPEED, HASTE = 60, 600


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield one


@pytest.fixture
def late(platforms: Callable[..., Platform]) -> Platform:
    """With a fleet of its own and its story, as `make up` runs it, but late in the day."""
    late = beside.start_at() + timedelta(hours=5.5)
    one = platforms(speed=SPEED, zone=beside.ZONE, clock_start_at=iso(late))
    return one.start("up", "--fleet", "30")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """As `make up` runs it, for all operators here."""
    folder = tmp_path_factory.mktemp("operated")
    one = Platform(folder, speed=SPEED, zone=beside.ZONE, clock_start_at=iso(beside.start_at()))
    try:
        yield one.start("up", "--fleet", "30")
    finally:
        one.close()


@pytest.mark.lasts(70)
@pytest.mark.timeout(600)
async def test_a_newcomer_sees_the_fleet_an_event_and_what_it_was_worth(late: Platform, browser: Browser) -> None:
    async with opened(browser, late.url) as watched:
        page = watched.page
        await asyncio.gather(  # looked for together: the event lasts a quarter of a minute
            expect(page).to_have_title(re.compile("Tieline")),
            expect(page.get_by_text("of 30", exact=True)).to_be_visible(timeout=SOON),
            expect(page.get_by_text("Simulated ×60")).to_be_visible(),
            expect(page.locator(".uplot canvas").first).to_be_visible(),
            *(
                expect(page.get_by_text(word).first).to_be_visible(timeout=3 * SOON)
                for word in ("active", "shedding", "metered", "of the target delivered", "restored")
            ),
        )
        await expect(page.get_by_text("Forecast without events")).to_be_visible(timeout=3 * SOON)
        await asyncio.to_thread(late.answer, "PUT", "/v1/clock", json={"speed": HASTE})  # until its day is over
        settled = await asyncio.to_thread(_settled, late)
        await asyncio.to_thread(late.answer, "PUT", "/v1/clock", json={"speed": SPEED})
        await _settles(watched, settled)
        assert watched.wrong == []


def _settled(platform: Platform) -> str:
    """A participant of the run that the story makes when the event's day is over."""
    found = platform.eventually(lambda: platform.get("/v1/settlements")["items"], "the day is settled", 300)
    accounts = platform.get(f"/v1/settlements/{found[0]['run_id']}/accounts")["items"]
    settled: str = next(one["ven_id"] for one in accounts if one["deliveries"] and not one["deliveries"][0]["note"])
    return settled


async def _settles(watched: Watched, ven_id: str) -> None:
    """Down from the account to the readings; then it is approved, by keyboard."""
    page = watched.page
    await page.reload()
    await page.get_by_role("region", name="Accounts of the run").get_by_role("button", name=ven_id).click(timeout=SOON)
    account = page.get_by_role("dialog")
    await expect(account.locator("canvas")).to_be_visible(timeout=SOON)
    await account.get_by_role("button", name="energy").click()
    await account.get_by_role("region", name="Intervals of").locator("td button").first.click()
    await expect(account.get_by_text("Days behind the baseline").first).to_be_visible()
    await expect(
        account.get_by_role("region", name="Readings of the interval").get_by_text("good").first
    ).to_be_visible()
    await account.get_by_role("button", name="Approve the account").press("Enter")
    await account.get_by_label("Your name").fill("Ana")
    await account.get_by_label("Your name").press("Enter")
    await expect(account.get_by_text("by Ana")).to_be_visible(timeout=SOON)
    assert await faults(page) == []
    async with page.expect_download(timeout=SOON) as saved:
        await account.get_by_role("button", name="PDF").click()
    assert (await saved.value).suggested_filename.endswith(f"{ven_id}.pdf")


async def test_an_operator_sees_how_a_target_is_held_and_why_each_load_was_called(
    platform: Platform, browser: Browser
) -> None:
    async with opened(browser, platform.url) as watched:
        page = watched.page
        await expect(page.get_by_text("of the target delivered")).to_be_visible(timeout=3 * SOON)
        await page.get_by_role("button", name="Plan and actual").click()
        await expect(page.get_by_text("Could still be called")).to_be_visible(timeout=SOON)
        await page.get_by_role("button", name="Who and why").click()
        why = page.get_by_role("region", name="Why each load was called or not")
        await expect(why.get_by_text("called", exact=True).first).to_be_visible(timeout=SOON)
        assert watched.wrong == []


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_an_operator_calls_an_event_and_stops_it(platform: Platform, browser: Browser, theme: str) -> None:
    async with opened(browser, platform.url, theme="dark" if theme == "dark" else "light") as watched:
        page = watched.page
        await asyncio.to_thread(
            platform.eventually, lambda: platform.get("/v1/statements")["items"], "its event is over"
        )
        before = _newest(platform)
        await page.get_by_role("button", name="Call an event").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_be_visible()
        await dialog.get_by_role("button", name=re.compile("Call", re.IGNORECASE)).click()
        await expect(dialog).to_be_hidden(timeout=SOON)
        assert _newest(platform) != before
        await _stop(watched)
        platform.eventually(lambda: platform.get(f"/v1/events/{_newest(platform)}")["state"] == "cancelled", "it stops")
        assert watched.wrong == []


def _newest(platform: Platform) -> str:
    events = sorted(platform.get("/v1/events")["items"], key=lambda event: event["created_at"])
    newest: str = events[-1]["event_id"]
    return newest


async def _stop(watched: Watched) -> None:
    """Asked once, plainly, before it is done."""
    page = watched.page
    await page.get_by_role("button", name=re.compile("(Stop|Cancel) event")).first.click()
    await page.get_by_role("button", name=re.compile("^(Stop|Cancel) it$")).click()


async def test_an_operator_commands_a_home_and_desires_something_of_its_twin(
    platform: Platform, browser: Browser
) -> None:
    async with opened(browser, platform.url) as watched:
        page = watched.page
        await page.get_by_role("button", name="home-0001").click(timeout=2 * SOON)
        home = page.get_by_role("dialog")
        await home.get_by_role("button", name="Send").click()
        await expect(home.get_by_text("accepted")).to_be_visible(timeout=SOON)
        await home.get_by_label("Field", exact=True).fill("setpoint_c")
        await home.get_by_label("Value, as JSON").fill("21.5")
        await home.get_by_role("button", name="Write").click()
        await expect(home.get_by_text("not yet reported")).to_be_visible(timeout=SOON)
        assert platform.get("/v1/vens/home-0001/twins/classic")["delta"] == {"setpoint_c": 21.5}
        assert watched.wrong == []


async def test_the_page_fits_a_phone(platform: Platform, browser: Browser) -> None:
    async with opened(browser, platform.url, width=390, height=844) as watched:
        await expect(watched.page.get_by_text("Fleet power").first).to_be_visible()
        width = await watched.page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390
        assert watched.wrong == []
