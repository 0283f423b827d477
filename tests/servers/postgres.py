"""PostgreSQL for tests: a server of its own on a free loopback port, as safe as by default, stopped at the end."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.servers.nats import free_port
from tieline.adapters.sql.postgres import PostgresRows
from tieline.base.time import RatedClock

_PASSWORD = "kept-out-of-messages"


def _binary(name: str) -> str:
    """On Debian the server's binaries are not on the PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda p: int(p.parts[-3]), reverse=True)
    found = shutil.which(name) or next((str(path) for path in installed), None)
    if found is None:
        pytest.fail(f"{name} of PostgreSQL is not installed: the Rows contract needs it (apt install postgresql)")
    return found


def _user() -> str | None:
    """Whom to become: PostgreSQL refuses to run as root."""
    if os.getuid():
        return None
    return "postgres" if any(user.pw_name == "postgres" for user in pwd.getpwall()) else "nobody"


def _initialised(folder: Path) -> Path:
    secret, data = folder / "password", folder / "data"
    secret.write_text(_PASSWORD)
    if user := _user():
        for owned in (folder, secret):
            shutil.chown(owned, user)
    subprocess.run(
        [_binary("initdb"), "--pgdata", data, "--username=tieline", f"--pwfile={secret}", "--auth=scram-sha-256",
         "--encoding=UTF8", "--locale=C", "--no-sync"],
        user=_user(), cwd=folder, check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return data


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(1200):
        asked = [_binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        if subprocess.run(asked, check=False, timeout=60).returncode == 0:
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail(f"PostgreSQL did not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of the server's first database; its user may create others."""
    folder = Path(tempfile.mkdtemp(prefix="tieline-postgres-"))  # pytest's own folders are closed to other users
    data, port, log = _initialised(folder), free_port(), folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [_binary("postgres"), "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1",
             "-c", "unix_socket_directories="],
            user=_user(), cwd=folder, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        _await(process, port, log)
        yield f"postgresql://tieline:{_PASSWORD}@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
        process.wait(30)
        shutil.rmtree(folder)


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """The URL of an empty database of its own for each test."""
    with _database(postgres_url) as url:
        yield url


@pytest.fixture
def postgres_tables(postgres_url: str, _migrated: str) -> Iterator[str]:
    """The URL of a database of its own for each test, with the platform's tables: a copy costs less than migrating."""
    with _database(postgres_url, "--template", _migrated) as url:
        yield url


@pytest.fixture(scope="session")
def _migrated(postgres_url: str) -> Iterator[str]:
    """The name of a database with the platform's tables, which nobody is connected to."""
    with _database(postgres_url) as url:
        with ThreadPoolExecutor(1) as aside:  # whoever asks may have a loop running
            aside.submit(asyncio.run, _migrate(url)).result()
        yield str(sa.make_url(url).database)


async def _migrate(url: str) -> None:
    async with PostgresRows(url, RatedClock()) as rows:
        await rows.migrate()


@contextlib.contextmanager
def _database(server_url: str, *options: str) -> Iterator[str]:
    server = sa.make_url(server_url)
    name = f"tieline_{uuid.uuid4().hex}"
    _administer("createdb", server, *options, name)
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        _administer("dropdb", server, "--force", name)


def _administer(tool: str, server: sa.URL, *arguments: str) -> None:
    subprocess.run(
        [_binary(tool), "-h", server.host or "", "-p", str(server.port), "-U", server.username or "", *arguments],
        env={**os.environ, "PGPASSWORD": _PASSWORD}, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
