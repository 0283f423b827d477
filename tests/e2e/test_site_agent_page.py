"""The agent's page in a real browser, light and dark, wide and narrow: a screen reader's needs, and the buttons."""

from pathlib import Path
from typing import Literal

import pytest

from tests.e2e import accessible
from tests.e2e.browser import chromium, opened
from tests.integration.site_world import Site, SmallPlatform, until
from tieline.adapters.nats.server import NatsServer


@pytest.mark.parametrize(("theme", "width"), [("light", 1200), ("dark", 360)])
async def test_it_can_be_read_and_pressed(
    tmp_path: Path, nats_server: NatsServer, theme: Literal["light", "dark"], width: int
) -> None:
    platform = SmallPlatform(nats_server)
    site = Site(tmp_path, platform.port)
    async with platform.open(), site.agent(), chromium() as browser:
        command = await platform.ask()
        await until(lambda: platform.acks)
        async with opened(browser, site.url, theme=theme, width=width) as watched:
            page = watched.page
            assert await accessible.faults(page) == []
            await page.get_by_role("button", name="Opt out of this").click()
            await page.get_by_text("Nothing now, nothing planned.").wait_for()
            await page.get_by_text("One load, from a time on").focus()  # and on by keyboard alone
            await page.keyboard.press("Enter")
            await page.get_by_label("Load").press("c")
            await page.get_by_label("Why").focus()
            assert await accessible.faults(page) == []
            await page.keyboard.type("we need the car")
            await page.keyboard.press("Enter")
            await page.get_by_text("With car until").wait_for()
            await page.get_by_role("button", name="Take part again").wait_for()
            assert await accessible.faults(page) == []
            assert watched.wrong == []
        await until(lambda: (command.command_id, "opted_out") in platform.acks)
