"""A data folder that cannot be written, a disk that fills up: a clear error, no corruption, nothing confirmed lost."""

import asyncio
import contextlib
import os
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.home import Home, assert_nothing_lost_nothing_twice
from tests.e2e.platform import Platform

SMALL = "200m"
FILLER = """( while kill -0 $$; do
  if [ -e {full} ] && [ ! -e {data}/filler ]; then cat /dev/zero > {data}/filler; touch {full}.done; fi
  if [ ! -e {full} ]; then rm -f {data}/filler; fi
  sleep 0.1
done ) 2> /dev/null"""
"""Beside the platform, as long as it lives: fills the disk while the file `full` exists, frees it when it goes."""


def _spawn(platform: Platform, script: str) -> "subprocess.Popen[bytes]":
    """A shell script in a mount namespace of its own, where it may mount without being root."""
    with (platform.folder / "platform.log").open("ab") as log:
        command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script]
        return subprocess.Popen(command, env=platform.environment, stdout=log, stderr=log)


class SmallDisk(Platform):
    """A platform whose data folder is a small file system of its own, in a mount namespace: no root is needed."""

    @property
    def full(self) -> Path:
        return self.folder / "full"

    def start(self, *arguments: str) -> "SmallDisk":
        """Whoever makes `full` fills the disk; whoever removes it frees it."""
        data, full = shlex.quote(str(self.folder / "data")), shlex.quote(str(self.full))
        (self.folder / "data").mkdir(exist_ok=True)
        script = FILLER.format(data=data, full=full) + f" & exec {shlex.quote(sys.executable)} -m tieline.cli up"
        self.process = _spawn(self, f"mount -t tmpfs -o size={SMALL} tmpfs {data}; {script}")
        self.wait_ready()
        return self

    def inside(self, path: str) -> Path:
        """A file of the data folder, seen through the namespace of the process that has it mounted."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/root{self.folder}/data/{path}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    platform = SmallDisk(tmp_path, lead_s=1, series_seal_seconds=1)
    yield platform.start()
    platform.full.unlink(missing_ok=True)
    platform.close()


async def test_a_full_disk_is_said_and_what_was_confirmed_is_there_afterwards(small_disk: SmallDisk) -> None:
    home = Home(small_disk, "home-1", small_disk.register("home-1"))
    living = asyncio.create_task(home.live(0.1))
    try:
        await _until(lambda: len(home.confirmed) >= 10)
        small_disk.full.touch()
        await _until(small_disk.full.with_suffix(".done").exists)
        await asyncio.sleep(3)
        answer = await asyncio.to_thread(
            small_disk.answer, "POST", "/v1/sites", json={"site_id": "s", "name": "s" * 120, "zone": "UTC"}
        )
        ready = await asyncio.to_thread(small_disk.answer, "GET", "/health/ready")
        small_disk.full.unlink()
        if answer.status_code != 201:  # a page that was already allotted may still take it
            assert answer.status_code == 503
            assert "full" in answer.text or "space" in answer.text
        assert ready.status_code in (200, 503)
        await _until(lambda: not small_disk.inside("filler").exists())
        await asyncio.to_thread(small_disk.wait_ready)
        await assert_nothing_lost_nothing_twice(small_disk, [home])
    finally:
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)
    for file in ("rows.sqlite", "rows.sqlite-wal"):
        (small_disk.folder / file).write_bytes(small_disk.inside(file).read_bytes())
    with contextlib.closing(sqlite3.connect(small_disk.folder / "rows.sqlite")) as rows:
        assert rows.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def _until(found: Callable[[], object], within_s: float = 120) -> None:
    deadline = time.monotonic() + within_s
    while not await asyncio.to_thread(found):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)


def test_a_data_folder_that_cannot_be_written_is_refused_with_its_name(platforms: Callable[..., Platform]) -> None:
    platform = platforms()
    read_only = platform.folder / "data"
    read_only.mkdir()
    mount = f"mount -t tmpfs -o ro tmpfs {shlex.quote(str(read_only))}"
    process = _spawn(platform, f"{mount}; exec {shlex.quote(sys.executable)} -m tieline.cli up")
    assert process.wait(timeout=120) in (2, 75)
    said = platform.log()
    assert str(read_only) in said
    assert "read-only" in said.lower()
    assert "Traceback" not in said


def test_a_data_folder_under_a_file_is_refused(platforms: Callable[..., Platform], tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    platform = platforms()
    done = subprocess.run(
        [sys.executable, "-m", "tieline.cli", "up"],
        check=False,
        env=platform.environment | {"TIELINE_DATA": str(file / "data")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert str(file) in done.stderr
    assert os.linesep not in done.stderr.strip()
