"""`pip install tieline` on a small machine: how much lies there, how much memory the agent takes, what it imports."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.house.tree import PACKAGE
from tests.servers.bare import Bare
from tests.servers.nats import free_port

MIB = 1024 * 1024
MOST_INSTALLED = 80 * MIB
MOST_MEMORY = 60 * MIB
SLICES = {"settlement", "vtn", "dispatch", "telemetry", "feeds", "registry", "identity", "adapters", "app", "ports"}

SITE = """
read_s = 1
report_s = 1
[platform]
url = "http://127.0.0.1:{nobody}"
ven_id = "cabin"
secret_file = "secret"
[panel]
limit_kw = 20
[page]
port = {page}
"""
LOAD = """
[[load]]
id = "load-{number}"
kind = "water_heater"
rated_kw = 3
priority = {number}
min_off_s = 60
driver = {{ type = "simulated", on_s = 5, off_s = 5, temperature_c = 50 }}
comfort = {{ min_c = 40 }}
"""
IMPORTED = """
import json, sys
from tieline.cli import main
try:
    main(["ven", "agent", sys.argv[1], "--check"])
except SystemExit:
    pass
import tieline.ven.agent.agent
print(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Bare:
    return Bare(tmp_path_factory.mktemp("bare"))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Five simulated loads, and a platform that is not there."""
    file = tmp_path / "site.toml"
    loads = "".join(LOAD.format(number=number) for number in range(5))
    file.write_text(SITE.format(nobody=free_port(), page=free_port()) + loads)
    (tmp_path / "secret").write_text("secret")
    return file


@pytest.fixture
def agent(bare: Bare, site: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [bare.python, "-I", "-c", "from tieline.cli import main; main()", "ven", "agent", str(site)]
    process = subprocess.Popen(command, cwd=site.parent, stderr=subprocess.DEVNULL)
    yield process
    process.kill()
    process.wait()


def test_it_is_small_enough_for_a_small_machine(bare: Bare) -> None:
    assert bare.bytes() < MOST_INSTALLED
    assert not bare.distributions & {"litestar", "sqlalchemy", "numpy", "duckdb", "pyarrow", "granian", "nats-py"}


def test_it_imports_no_slice_and_nothing_of_the_platform(bare: Bare, site: Path) -> None:
    command = [bare.python, "-I", "-c", IMPORTED, str(site)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    modules = json.loads(done.stdout.splitlines()[-1])
    ours = {name.split(".")[1] for name in modules if name.startswith("tieline.")}
    assert {"ven", "wires", "base"} <= ours
    assert not ours & SLICES
    assert {path.name for path in PACKAGE.iterdir()} >= SLICES - {"ports"}
    assert not {name.split(".")[0] for name in modules} & {
        "cryptography",
        "gpiozero",
        "pymodbus",
        "zeroconf",
        "litestar",
    }


def test_it_runs_in_little_memory(agent: subprocess.Popen[bytes], site: Path) -> None:
    page = f"http://127.0.0.1:{site.read_text().partition('port = ')[2].split()[0]}/state"
    deadline, waiting = time.monotonic() + 120, 0
    while waiting < 6:  # three reports were written, so all that there is has been at work
        assert agent.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
        try:
            waiting = httpx.get(page, timeout=60, trust_env=False).json()["waiting"]
        except httpx.TransportError:
            continue
    assert psutil.Process(agent.pid).memory_info().rss < MOST_MEMORY
