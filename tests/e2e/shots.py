"""Pictures of the running page, light and dark, taken from the real thing: `make shots`."""

import asyncio
import tempfile
from pathlib import Path
from typing import Literal

from tests.e2e.browser import chromium, opened
from tests.e2e.platform import Platform
from tieline.base.time import iso
from tieline.sim import beside

IMAGES = Path(__file__).parents[2] / "docs" / "images"
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SIZES = {"dashboard": (1440, 1240), "dashboard-phone": (390, 844)}


async def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tieline-shots-") as folder:
        start_at = iso(beside.start_at())
        platform = Platform(Path(folder), speed=60, zone=beside.ZONE, clock_start_at=start_at)
        try:
            platform.start("up", "--fleet", "200")
            await asyncio.to_thread(
                platform.eventually, lambda: platform.get("/v1/statements")["items"], "the statement", 120
            )
            await asyncio.sleep(8)
            async with chromium() as browser:
                await _pictures(browser, platform)
        finally:
            platform.close()


async def _pictures(browser: object, platform: Platform) -> None:
    for name, (width, height) in SIZES.items():
        for theme in THEMES:
            async with opened(browser, platform.url, theme=theme, width=width, height=height) as watched:  # type: ignore[arg-type]
                await asyncio.sleep(2.5)
                file = IMAGES / f"{name}-{theme}.png"
                await watched.page.screenshot(path=file)
                print(file.name, *watched.wrong)


if __name__ == "__main__":
    asyncio.run(main())
