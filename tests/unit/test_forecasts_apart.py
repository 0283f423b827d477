"""The process that learns is gone when who started it was killed: it would keep its memory for ever."""

import asyncio
import os
import signal
import sys
from pathlib import Path

LEARNS = """
import asyncio
from tieline.forecasts.apart import apart

async def learn():
    async with apart() as compute:
        try:
            await compute(None)  # what is no task fails, and the process waits for another
        except AttributeError:
            print("learns", flush=True)
        await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(learn())
"""


def children(pid: int) -> list[Path]:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [Path(f"/proc/{one}/cmdline") for task in threads for one in (task / "children").read_text().split()]


def lives(process: Path) -> bool:
    """Neither gone nor a zombie, whose command line is empty."""
    try:
        return bool(process.read_bytes())
    except OSError:
        return False


async def test_a_platform_that_is_killed_leaves_nothing_that_learns(tmp_path: Path) -> None:
    script = tmp_path / "learns.py"
    script.write_text(LEARNS)
    platform = await asyncio.create_subprocess_exec(sys.executable, str(script), stdout=asyncio.subprocess.PIPE)
    assert platform.stdout
    async with asyncio.timeout(60):
        assert await platform.stdout.readline() == b"learns\n"
        learner = [one for one in children(platform.pid) if b"spawn_main" in one.read_bytes()]
        assert len(learner) == 1
        os.kill(platform.pid, signal.SIGKILL)
        await platform.wait()
        while lives(learner[0]):
            await asyncio.sleep(0.05)
