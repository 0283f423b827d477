"""The connection to NATS: it reconnects for ever, and its errors become the house's three families."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence

from nats.errors import BadSubjectError, Error, MaxPayloadError
from nats.js.errors import APIError

from tieline.adapters.nats.line import NatsConnection
from tieline.base.cancellation import heed_cancellation
from tieline.base.errors import Broken, Refused, TielineError, Unready

_log = logging.getLogger(__name__)
CONNECT_S = 15.0


async def connect(urls: Sequence[str], *, user: str, password: str, name: str = "tieline") -> NatsConnection:
    """An open connection to any one of `urls`; close it with `await connection.close()`.

    Raises `Unready` when none answers in time or all refuse the password.
    """
    client = NatsConnection()
    heard: list[str] = []

    async def note(error: Exception) -> None:
        heard[:] = [_text(error)]
        _log.warning("NATS connection: %s", heard[0])

    try:
        async with asyncio.timeout(CONNECT_S):
            await client.connect(
                servers=list(urls),
                user=user,
                password=password,
                name=name,
                max_reconnect_attempts=-1,
                reconnect_time_wait=1,
                connect_timeout=2,
                ping_interval=10,
                max_outstanding_pings=2,
                error_cb=note,
            )
    except (Error, OSError) as error:  # TimeoutError is an OSError
        await client.close()
        why = heard[0] if heard else _text(error)
        raise Unready(f"no connection to NATS at {', '.join(urls)} as {user!r}: {why}") from error
    return client


@contextlib.contextmanager
def asking(what: str) -> Iterator[None]:
    """Turns what NATS raises meanwhile into `Refused`, `Unready` or `Broken`; `what` completes "NATS could not …"."""
    try:
        yield
        heed_cancellation()
    except TielineError:
        raise
    except (MaxPayloadError, BadSubjectError, ValueError) as error:
        raise Refused(f"NATS could not {what}: {_text(error)}") from error
    except APIError as error:
        family = Broken if error.code is not None and error.code < 500 else Unready
        raise family(f"NATS could not {what}: {_text(error)}") from error
    except (Error, OSError) as error:
        raise Unready(f"NATS could not {what} now: {_text(error)}") from error


def _text(error: Exception) -> str:
    if isinstance(error, APIError):
        return f"{error.description or type(error).__name__} (code {error.err_code or error.code})"
    return str(error) or type(error).__name__
