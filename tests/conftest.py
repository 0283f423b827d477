"""Fixtures every ring of tests may use: real servers, each on a free loopback port, started once a session."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

pytest_plugins = [
    "tests.servers.nats",
    "tests.servers.postgres",
    "tests.servers.rows",
    "tests.servers.s3",
    "tests.servers.standing",
    "tests.conformance.record",
    "tests.contract.mqtt_world",
]

MEMORY, ENOUGH_BYTES = Path("/dev/shm"), 4 << 30

# What tests write lies in memory where there is enough of it: they kill processes, never the power, and a disk takes
# milliseconds for each of the many syncs by which the platform would survive that.
if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: whoever begins one last has the others wait for it."""
    items.sort(key=_lasts_s, reverse=True)


def _lasts_s(item: pytest.Item) -> float:
    declared = item.get_closest_marker("lasts")
    return float(declared.args[0]) if declared else 0.0
