"""A headless Chromium that reports what a page did wrong: errors on its console, requests that leave its origin."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from typing import Literal

from playwright.async_api import Browser, Page, Request, async_playwright, expect

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SOON = 60_000  # ms: the machine may be busy
expect.set_options(timeout=SOON)


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium, or whatever this machine has by that name. A missing one is a failure."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "no Chromium: `make test` installs it, or install the package chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


class Watched:
    """A page and what it did wrong."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.wrong: list[str] = []
        self._origin = origin
        page.on("console", lambda message: self.wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", self._leaves)

    def _leaves(self, request: Request) -> None:
        if not request.url.startswith((self._origin, "data:", "blob:")):
            self.wrong.append(f"a request left the origin: {request.url}")


@contextlib.asynccontextmanager
async def opened(
    browser: Browser, url: str, *, theme: Literal["light", "dark"] = "light", width: int = 1440, height: int = 1000
) -> AsyncIterator[Watched]:
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, locale="en-GB", device_scale_factor=1
    )
    context.set_default_timeout(SOON)
    try:
        watched = Watched(await context.new_page(), url)
        await watched.page.goto(url)
        yield watched
    finally:
        await context.close()
