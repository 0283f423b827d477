"""What a piece of work is given: a connection that reads, writes and says, and speaks only of our three families."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from tieline.adapters.sql.errors import Collision, translated
from tieline.adapters.sql.outbox import LARGEST_MESSAGE, OUTBOX
from tieline.base.errors import Broken, Refused, TielineError
from tieline.base.time import Clock
from tieline.ports import Reader, Transaction

T = TypeVar("T")


class SqlReader:
    """Statements on one connection. The first that fails dooms the whole work, as PostgreSQL has it, on both dialects:
    catching its error does not save it."""

    writes = False

    def __init__(self, connection: sa.Connection, where: str) -> None:
        self.connection = connection
        self.failed: TielineError | None = None
        self.where = where

    def execute(
        self, statement: sa.Executable, parameters: Sequence[Mapping[str, Any]] | None = None
    ) -> sa.CursorResult[Any]:
        """Raises `Conflict` for a broken unique or foreign key, `Refused` for a value that does not fit its column."""
        if self.failed:
            raise self.failed
        if getattr(statement, "is_dml", False) and not self.writes:
            raise Broken("a read may not write: use transaction()")
        if parameters is not None and not parameters:
            raise Broken("execute was given an empty list of rows, which SQL would take for one row of defaults")
        try:
            return self.connection.execute(statement, parameters)
        except (sa.exc.SQLAlchemyError, OverflowError, UnicodeError, OSError) as error:
            self.failed = translated(error, self.where)
            raise self.failed from error


class SqlTransaction(SqlReader):
    """A reader that also writes; what it says waits in `said` until the work is done."""

    writes = True

    def __init__(self, connection: sa.Connection, where: str, clock: Clock) -> None:
        super().__init__(connection, where)
        self.said: list[dict[str, Any]] = []
        self._clock = clock

    def say(self, subject: str, data: bytes) -> None:
        """Raises `Refused` for more than a message may hold: put large things in Blobs and say their digest."""
        if len(data) > LARGEST_MESSAGE:
            raise Refused(
                f"a message to {subject} of {len(data)} bytes: at most {LARGEST_MESSAGE}; say a digest instead"
            )
        self.said.append(
            {"message_id": uuid.uuid4().hex, "subject": subject, "data": data, "said_at": self._clock.now()}
        )


def transact(work: Callable[[Transaction], T], connection: sa.Connection, where: str, clock: Clock) -> tuple[T, bool]:
    """What the work returned, and whether it said anything; committing is the caller's."""
    transaction = SqlTransaction(connection, where, clock)
    result = _performed(work, transaction)
    if transaction.said:
        transaction.execute(OUTBOX.insert(), transaction.said)
    return result, bool(transaction.said)


def read(work: Callable[[Reader], T], connection: sa.Connection, where: str) -> T:
    return _performed(work, SqlReader(connection, where))


def _performed(work: Callable[[Any], T], on: SqlReader) -> T:
    try:
        result = work(on)
    except StopIteration as error:  # a future cannot hold one: its waiter would hang
        raise RuntimeError("the work raised StopIteration") from error
    except Exception as error:
        if isinstance(on.failed, Collision):  # whatever the work made of it, it must run again
            raise on.failed from error
        if isinstance(error, sa.exc.SQLAlchemyError):  # raised while fetching
            raise translated(error, on.where) from error
        raise
    if on.failed:
        raise on.failed
    return result
