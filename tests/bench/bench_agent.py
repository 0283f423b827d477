"""The agent on a small machine: how soon it serves and stores, and its memory, beside a Python with asyncio and ssl.

Run: python -m tests.bench.bench_agent
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from tests.e2e.test_site_agent_bare import LOAD, SITE
from tests.servers.bare import Bare
from tests.servers.nats import free_port

RUNS = 5
LIMIT_S, LIMIT_MIB = 2.0, 60.0
IDLE = "import asyncio, ssl; print(flush=True); asyncio.run(asyncio.sleep(60))"


def started(bare: Bare, folder: Path) -> tuple[float, float]:
    """Seconds until the page shows a reading of each load, and MiB some reports later."""
    port = free_port()
    loads = "".join(LOAD.format(number=number) for number in range(5))
    (folder / "site.toml").write_text(SITE.format(nobody=free_port(), page=port) + loads)
    (folder / "secret").write_text("secret")
    began = time.perf_counter()
    command = [bare.python, "-I", "-c", "from tieline.cli import main; main()", "ven", "agent", "site.toml"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
    try:
        while not _reads(port):
            time.sleep(0.005)
        seconds = time.perf_counter() - began
        time.sleep(4)
        return seconds, psutil.Process(process.pid).memory_info().rss / 2**20
    finally:
        process.kill()
        process.wait()


def _reads(port: int) -> bool:
    try:
        state = httpx.get(f"http://127.0.0.1:{port}/state", timeout=5, trust_env=False).json()
    except httpx.TransportError:
        return False
    return all(load["power_kw"] is not None for load in state["loads"])


def idle(bare: Bare) -> tuple[float, float]:
    """The same of a Python that does nothing."""
    began = time.perf_counter()
    process = subprocess.Popen([bare.python, "-I", "-c", IDLE], stdout=subprocess.PIPE)
    try:
        assert process.stdout
        process.stdout.readline()
        return time.perf_counter() - began, psutil.Process(process.pid).memory_info().rss / 2**20
    finally:
        process.kill()
        process.wait()


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        bare = Bare(Path(name))
        installed = bare.bytes() / 2**20
        runs = []
        for run in range(RUNS + 1):
            folder = Path(name) / f"site-{run}"
            folder.mkdir()
            runs.append(started(bare, folder))
        beside = [idle(bare) for _ in range(RUNS)]
    start_s, memory = (statistics.median(values) for values in zip(*runs[1:], strict=True))  # the first compiles
    idle_s, idle_memory = (statistics.median(values) for values in zip(*beside, strict=True))
    print(f"installed, without pip      {installed:7.1f} MiB")
    print(f"first start, compiling      {runs[0][0]:7.2f} s")
    print(f"start, five loads           {start_s:7.2f} s     limit {LIMIT_S:.0f}; Python, asyncio, ssl {idle_s:.2f}")
    print(
        f"memory, five loads          {memory:7.1f} MiB   limit {LIMIT_MIB:.0f}; Python, asyncio, ssl {idle_memory:.1f}"
    )
    return int(start_s > LIMIT_S or memory > LIMIT_MIB)


if __name__ == "__main__":
    sys.exit(main())
