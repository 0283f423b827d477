"""Rows in PostgreSQL: serialisable transactions, run again when they collide."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tieline.adapters.sql import migrations
from tieline.adapters.sql.errors import Collision, translated
from tieline.adapters.sql.transaction import read, transact
from tieline.base.errors import Refused, Unready
from tieline.base.time import Clock
from tieline.ports import Reader, Transaction

T = TypeVar("T")

_MIGRATION_LOCK = 0x7469656C696E65  # "tieline": one number for all our processes
_MIGRATION_S = 600.0
_LONGEST_PAUSE_S = 0.5


class PostgresRows:
    """Use as `async with PostgresRows(url, clock) as rows`, with a URL like postgresql://user:secret@host:5432/name.

    A transaction that collides with others runs again for up to `retry_s` seconds. A statement may take `statement_s`.
    When the connection is lost while committing nobody can know whether it happened: `Unready` says so.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        connections: int = 10,
        connect_s: float = 5.0,
        statement_s: float = 30.0,
        retry_s: float = 10.0,
    ) -> None:
        self.said = asyncio.Event()
        self._clock = clock
        self._retry_s = retry_s
        address = _address(url)
        self._where = f"PostgreSQL database {address.host}:{address.port or 5432}/{address.database}"
        self._engine = _engine(address, connect_s, statement_s, connections)
        self._migrations = _engine(address, connect_s, _MIGRATION_S, 1)
        self._serialisable = self._engine.execution_options(isolation_level="SERIALIZABLE")
        # a snapshot that can neither collide nor make others collide
        self._snapshot = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    async def __aenter__(self) -> Self:
        """Raises `Unready` where the server cannot be reached."""
        try:
            await self.ready()
        except Unready:
            await self._engine.dispose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._engine.dispose()

    async def transaction(self, work: Callable[[Transaction], T]) -> T:
        until = asyncio.get_running_loop().time() + self._retry_s
        pause_s = 0.005
        while True:
            try:
                result, said = await self._committed(work)
            except Collision:
                if asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(random.uniform(0, pause_s))  # noqa: S311  jitter, not a secret
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            else:
                if said:
                    self.said.set()
                return result

    async def read(self, work: Callable[[Reader], T]) -> T:
        async with self._connected(self._snapshot) as connection:
            return await connection.run_sync(lambda sync: read(work, sync, self._where))

    async def ready(self) -> None:
        """Raises `Unready` when the server cannot be reached or takes no writes."""
        read_only = await self.read(lambda reader: reader.execute(sa.text("SELECT pg_is_in_recovery()")).scalar_one())
        if read_only:
            raise Unready(f"{self._where}: this server is a standby: connect to the primary")

    async def migrate(self) -> None:
        """Bring the tables up to date; several processes may do so at once."""
        # not serialisable: what is read after the wait for the lock must be what the lock's last holder wrote
        try:
            async with self._connected(
                self._migrations.execution_options(isolation_level="READ COMMITTED")
            ) as connection:
                await connection.run_sync(_upgrade_alone)
                await connection.commit()
        finally:
            await self._migrations.dispose()

    async def _committed(self, work: Callable[[Transaction], T]) -> tuple[T, bool]:
        async with self._connected(self._serialisable) as connection:
            done = await connection.run_sync(lambda sync: transact(work, sync, self._where, self._clock))
            await connection.commit()
            return done

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        try:
            async with engine.connect() as connection:
                yield connection
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise translated(error, self._where) from error


def _address(url: str) -> sa.URL:
    """libpq's URL as SQLAlchemy and asyncpg write it. Raises `Refused` for any other."""
    try:
        address = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        address = sa.URL.create("none")
    if address.drivername not in ("postgresql", "postgres"):
        raise Refused("the database's URL is not like postgresql://user:secret@host:5432/name")  # unquoted: a secret
    query: dict[str, Any] = dict(address.query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    return address.set(drivername="postgresql+asyncpg", query=query)


def _engine(address: sa.URL, connect_s: float, statement_s: float, connections: int) -> AsyncEngine:
    return create_async_engine(
        address,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=statement_s,
        connect_args={
            "timeout": connect_s,
            "command_timeout": statement_s + 5.0,  # for a server that no longer answers at all
            "server_settings": {
                "application_name": "tieline",
                "statement_timeout": f"{statement_s * 1000:.0f}",
                "idle_in_transaction_session_timeout": f"{statement_s * 1000:.0f}",
            },
        },
    )


def _upgrade_alone(connection: sa.Connection) -> None:
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    migrations.upgrade(connection)
