"""What a database's error means to the caller: refused, not now, or broken."""

import sqlite3

from sqlalchemy import exc

from tieline.base.errors import Broken, Conflict, Refused, TielineError, Unready


class Collision(Unready):
    """Two transactions contradicted each other and this one lost: run it again."""


# https://www.sqlite.org/rescode.html, by the first words of the code's name
_SQLITE = {
    "SQLITE_CONSTRAINT_UNIQUE": (Conflict, "it is already there"),
    "SQLITE_CONSTRAINT_PRIMARYKEY": (Conflict, "it is already there"),
    "SQLITE_CONSTRAINT_FOREIGNKEY": (Conflict, "something named is not there, or is still named by others"),
    "SQLITE_BUSY": (Unready, "another process holds it: try again, and look for one that never lets go"),
    "SQLITE_LOCKED": (Unready, "another transaction holds it: try again"),
    "SQLITE_FULL": (Unready, "no room is left: free some on its disk"),
    "SQLITE_READONLY": (Unready, "it cannot be written: let this user write the file and its folder"),
    "SQLITE_CANTOPEN": (Unready, "it cannot be opened: let this user read and write the file and its folder"),
    "SQLITE_PERM": (Unready, "it may not be used: let this user read and write the file and its folder"),
    "SQLITE_IOERR": (Unready, "its disk failed or is full: look at the disk"),
    "SQLITE_NOTADB": (Broken, "this file is no SQLite database: name another, or restore a backup"),
    "SQLITE_CORRUPT": (Broken, "the file is damaged: restore a backup"),
    "SQLITE_TOOBIG": (Refused, "a value is too large"),
}

# https://www.postgresql.org/docs/current/errcodes-appendix.html, by the first characters of the code
_POSTGRES = {
    "40001": (Collision, "it kept colliding with other transactions: try again"),
    "40P01": (Collision, "it kept colliding with other transactions: try again"),
    "23505": (Conflict, "it is already there"),
    "23503": (Conflict, "something named is not there, or is still named by others"),
    "22": (Refused, "a value does not fit its column"),
    "08": (Unready, "the connection was lost, what was in hand may or may not be done: try again"),
    "25006": (Unready, "this server is a standby or set read-only: connect to the primary"),
    "28": (Unready, "the server knows no such user or password: correct the URL"),
    "3D": (Unready, "the server has no such database: create it, or correct the URL"),
    "53": (Unready, "the server ran out of disk, memory or connections"),
    "55P03": (Unready, "a lock was held too long: try again"),
    "57": (Unready, "the server stopped it or is stopping: try again"),
    "58": (Unready, "the server's disk failed: look at the server"),
}

_OTHERS: list[tuple[tuple[type[BaseException], ...], tuple[type[TielineError], str]]] = [
    ((OverflowError, UnicodeError), (Refused, "a value does not fit its column")),
    ((exc.TimeoutError, TimeoutError), (Unready, "no answer in time: try again, and look at its load")),
    ((OSError,), (Unready, "it cannot be reached: start it, or correct the URL")),
]

_OURS = (Broken, "a statement of ours failed")


def translated(error: BaseException, where: str) -> TielineError:
    """The same failure as one of the three families; what is one of them already stays itself."""
    cause = error.orig if isinstance(error, exc.StatementError) and error.orig is not None else error
    if isinstance(cause, TielineError):
        return cause
    family, advice = _meaning(error, cause)
    told = f"{advice} ({_first_line(cause)})"
    return family(told if issubclass(family, Refused) else f"{where}: {told}")  # where it is kept is not the caller's


def _meaning(error: BaseException, cause: BaseException) -> tuple[type[TielineError], str]:
    if isinstance(cause, sqlite3.Error):
        return _by_prefix(_SQLITE, getattr(cause, "sqlite_errorname", ""))
    if code := getattr(cause, "sqlstate", None):
        return _by_prefix(_POSTGRES, code)
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return _POSTGRES["08"]
    return next((meaning for kinds, meaning in _OTHERS if isinstance(cause, kinds)), _OURS)


def _by_prefix(meanings: dict[str, tuple[type[TielineError], str]], code: str) -> tuple[type[TielineError], str]:
    return next(
        (m for prefix, m in meanings.items() if code.startswith(prefix)), (Broken, "a statement of ours failed")
    )


def _first_line(cause: BaseException) -> str:
    return (str(cause) or type(cause).__name__).splitlines()[0][:300]
