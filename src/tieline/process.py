"""The process: tasks that are kept going, the HTTP server, and a stop that drains, commits and closes."""

import asyncio
import contextlib
import faulthandler
import fcntl
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import structlog
from granian.constants import Interfaces
from granian.server.embed import Server

from tieline import metrics
from tieline.base.cancellation import heed_cancellation
from tieline.base.errors import Refused, Unready
from tieline.base.part import Task

log = structlog.get_logger(__name__)
_BACK_OFF_S = (0.2, 10.0)
_STOP_S = 8
LONGEST_STOP_S = 15
"""A stop that hangs ends like a kill, and shows where it hung: an orchestrator would kill it without a word."""


async def keep(task: Task) -> None:
    """Run a task for ever: one that ends or fails is started again, later each time it fails at once."""
    pause, loop = _BACK_OFF_S[0], asyncio.get_running_loop()
    while True:
        began = loop.time()
        try:
            # A task of its own: before Python 3.13 a TaskGroup that failed leaves its task marked as being cancelled.
            await asyncio.ensure_future(task.run())
        except Exception as error:  # whatever it is, the others go on and this one is tried again
            reasons = _causes(error)
            log.warning("task failed and starts again", task=task.name, reason=reasons, exc_info=_ours(error))
        except asyncio.CancelledError:
            heed_cancellation()
            log.warning("task cancelled itself and starts again", task=task.name)
        heed_cancellation()
        metrics.RESTARTS.labels(task.name).inc()
        if loop.time() - began > 60:
            pause = _BACK_OFF_S[0]
        await asyncio.sleep(pause)
        pause = min(pause * 2, _BACK_OFF_S[1])


def _causes(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_causes(one) for one in error.exceptions)
    return f"{type(error).__name__}: {error}"


def _ours(error: BaseException) -> BaseException | None:
    """The trace is only worth lines where the fault is ours, not a port's that is away for a while."""
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
    return None if all(isinstance(one, Unready) for one in inner) else error


@contextlib.contextmanager
def alone(folder: Path, url: str) -> Iterator[None]:
    """One whole platform a data folder. Raises `Unready` while another has it; `tieline run` shares one on purpose."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / "up.lock").open("a+")
    except OSError as error:
        raise Refused(f"data folder {folder}: {error.strerror}; set TIELINE_DATA to one that can be written") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            where = lock.read().strip()
            raise Unready(f"{folder} is in use by the platform at {where}: stop it, or set TIELINE_DATA") from None
        lock.truncate(0)
        lock.write(url)
        lock.flush()
        yield


def free_port(host: str, port: int) -> int:
    """The port, or any free one for 0. Raises `Unready` when something else listens there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Unready(
                f"cannot listen on {host}:{port}: {error.strerror}; set TIELINE_HTTP_PORT to a free one"
            ) from None
        chosen: int = probe.getsockname()[1]
        return chosen


@contextlib.asynccontextmanager
async def serving(app: Any, host: str, port: int) -> Any:
    """The HTTP server, until the block ends."""
    server = Server(app, host, port, interface=Interfaces.ASGINL, log_enabled=False, websockets=False)
    serve = asyncio.create_task(server.serve())
    try:
        await _listening(host, port, serve)
        yield
    finally:
        server.stop()  # type: ignore[no-untyped-call]
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(serve, _STOP_S / 2)


async def _listening(host: str, port: int, serve: "asyncio.Task[None]") -> None:
    for _ in range(200):
        if serve.done():
            await serve
            raise Unready(f"the HTTP server on {host}:{port} ended at once")
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return
        await asyncio.sleep(0.02)
    raise Unready(f"the HTTP server does not answer on {host}:{port}")


async def until_stopped() -> None:
    """Wait for SIGINT or SIGTERM. From then on the process has `LONGEST_STOP_S` left."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
    faulthandler.dump_traceback_later(LONGEST_STOP_S, exit=True)


async def run(tasks: Sequence[Task], until: Callable[[], Awaitable[None]]) -> None:
    """Keep the tasks going until told otherwise; then cancel them and wait, within bounds, for each to let go."""
    kept = [asyncio.create_task(keep(task), name=task.name) for task in tasks]
    try:
        await until()
        log.info("stopping")
    finally:
        await _stop(kept)


async def _stop(kept: Sequence["asyncio.Task[None]"]) -> None:
    """Cancel, and again each second: one that swallowed the first is told once more."""
    late = set(kept)
    for _ in range(_STOP_S):
        for one in late:
            one.cancel()
        if not late:
            return
        _, late = await asyncio.wait(late, timeout=1)
    if late:
        log.warning("tasks did not stop in time", tasks=sorted(one.get_name() for one in late))
