"""The nats-server child process: started, watched, restarted, and shared by the processes of one data folder.

the first process takes the lock and owns the child     the others join: they read its address, and wait to be
┌───────┐ lock ┌─────────────┐                          ┌────────┐  address.json, password, issuer seed
│ owner ├──────┤ nats-server │◄─────────────────────────┤ joiner │
└───────┘      └─────────────┘                          └────────┘  when the owner dies, one takes the lock
"""

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tieline.adapters.nats import system
from tieline.adapters.nats.configuration import (
    USER,
    Secrets,
    Tls,
    configuration,
    keep_tls,
    new_issuer_seed,
    new_password,
    write_private,
)
from tieline.adapters.nats.tail import Tail
from tieline.base.errors import Refused, TielineError, Unready

_log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_MQTT_PORTS = range(1883, 2883)
# Below the range from which the system takes ports for outgoing connections: a client that reconnects while the
# server is down must not be given the server's own port.
_CLIENT_PORTS = range(14222, 31999, 7)
# Processes that start one after the other begin to look so many ports apart: neither is given the port of the other's
# server while that is down.
_APART = 997
_START_S = 30.0
_STOP_S = 10.0
_GLANCE_S = 0.25
_BACK_OFF_S = (0.2, 5.0)
_READY = "Server is ready"
_VIOLATION = "Violation"
HANDSHAKE = "TLS handshake error"
# After a failed write the server takes no more into that stream, disk or no disk, until it is started again.
_WRITE_FAILED = ("critical write error", "will be DISABLED", "no space left on device")
_ENOUGH_DISK = 64 << 20


class Address(msgspec.Struct, frozen=True):
    """Where the child listens."""

    port: int
    mqtt_host: str
    mqtt_port: int


class NatsServer:
    """A nats-server with its store, secrets and log in `folder`. Its client port is on loopback, its MQTT door on
    `host`, which with `tls` speaks nothing else. A port given is used or refused; one not given is chosen once (MQTT:
    1883 or the next free one) and kept.

    `on_violation` gets a line of the server's log for each time a device tried what is not its own, or (`HANDSHAKE`)
    showed no certificate, or none that can be verified.
    """

    def __init__(
        self,
        folder: Path,
        *,
        binary: str | None = None,
        host: str = LOOPBACK,
        port: int | None = None,
        mqtt_port: int | None = None,
        tls: Tls | None = None,
        sync_interval: str = "2m",
        on_violation: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._folder = folder.absolute()
        self._binary = binary
        self._host = host
        self._asked_port = port
        self._asked_mqtt_port = mqtt_port
        self._tls = tls
        self._sync_interval = sync_interval
        self._on_violation = on_violation
        self._config = self._folder / "nats-server.conf"
        self._log_file = self._folder / "nats-server.log"
        self._lock: int | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._tail: Tail | None = None
        self._failed_write = ""
        self._keeper: asyncio.Task[None] | None = None
        self._address: Address | None = None
        self.user = USER

    @property
    def address(self) -> Address:
        if self._address is None:
            raise Unready("the NATS server has not been started")
        return self._address

    @property
    def url(self) -> str:
        return f"nats://{LOOPBACK}:{self.address.port}"

    @property
    def mqtt_host(self) -> str:
        """Where this machine reaches the MQTT door."""
        return LOOPBACK if self.address.mqtt_host in ("0.0.0.0", "::") else self.address.mqtt_host  # noqa: S104

    @property
    def mqtt_port(self) -> int:
        return self.address.mqtt_port

    @property
    def password(self) -> str:
        return (self._folder / "password").read_text()

    @property
    def system_password(self) -> str:
        return (self._folder / "system.password").read_text()

    @property
    def issuer_seed(self) -> str:
        return (self._folder / "issuer.seed").read_text()

    # --- starting and stopping ---

    async def start(self) -> None:
        """Returns once the server answers. Raises `Refused` for a missing binary or a folder that cannot be written,
        `Unready` for a port in use, a full disk or a server that does not come up."""
        try:
            await self._begin()
        except BaseException:
            await self.stop()  # neither a child nor the lock is left behind
            raise
        self._keeper = asyncio.create_task(self._keep(), name="nats-server")

    async def _begin(self) -> None:
        with self._writing():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._take_lock()
        deadline = time.monotonic() + _START_S
        while not await self._up():
            if time.monotonic() > deadline:
                raise Unready(f"another process holds {self._folder / 'lock'} but its NATS server does not answer")
            await asyncio.sleep(_GLANCE_S)

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        await self._stop_child()
        if self._lock is not None:
            os.close(self._lock)  # and another process may take it
            self._lock = None

    def ready(self) -> None:
        """Raises `Unready` when the child of this process is down or cannot write."""
        if self._lock is not None and self._child is None:
            raise Unready("nats-server is down; it is being started again")
        if self._failed_write:
            raise Unready(f"nats-server cannot write; make room on the disk of {self._folder}: {self._failed_write}")

    def kill(self) -> None:
        """Kills the child at once, as a crash would; it is started again. For drills."""
        if self._child is not None and self._child.returncode is None:
            self._child.kill()

    async def _up(self) -> bool:
        if self._take_lock():
            await self._launch()
            return True
        return self._join()

    def _take_lock(self) -> bool:
        if self._lock is not None:
            return True
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def _join(self) -> bool:
        known = self._known_address()
        if known is None or system.free(LOOPBACK, known.port):
            return False
        self._address = known
        return True

    async def _keep(self) -> None:
        """Owner: start the child again whenever it ends. Joiner: take the lock when its owner is gone."""
        pause = _BACK_OFF_S[0]
        while True:
            began = time.monotonic()
            await self._watch()
            if time.monotonic() - began > 2 * _BACK_OFF_S[1]:
                pause = _BACK_OFF_S[0]
            if self._lock is not None:
                _log.warning("nats-server ended; it is started again in %.1f s", pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _BACK_OFF_S[1])
            try:
                if self._take_lock():
                    await self._launch()
            except (TielineError, OSError) as error:
                _log.error("nats-server does not start: %s", error)  # noqa: TRY400 RUF100  it is tried again

    async def _watch(self) -> None:
        if self._child is None:
            await asyncio.sleep(2 * _GLANCE_S)
            return
        while self._child.returncode is None:
            await _ended(self._child, _GLANCE_S)
            self._heed()
        self._child = None

    def _heed(self) -> None:
        for line in self._tail.lines() if self._tail is not None else ():
            if _VIOLATION in line or HANDSHAKE in line:
                self._on_violation(line)
            elif not self._failed_write and any(sign in line for sign in _WRITE_FAILED):
                self._failed_write = line
                _log.error("nats-server cannot write; it is started again when there is disk: %s", line)
        if self._failed_write and self._child and shutil.disk_usage(self._folder).free > _ENOUGH_DISK:
            self._failed_write = ""
            self._child.terminate()

    # --- the child ---

    async def _launch(self) -> None:
        await self._stop_orphan()
        binary = system.binary(self._binary)
        for last in (False, False, True):
            self._address = self._address or self._chosen()
            with self._writing():
                self._write_config(self._address)
            failure = await self._spawn(binary)
            if failure is None:
                write_private(self._folder / "address.json", msgspec.json.encode(self._address).decode())
                return
            if last or "address already in use" not in failure:
                raise Unready(f"nats-server did not start: {failure}")
            self._address = None  # someone took the port meanwhile: choose again

    async def _spawn(self, binary: str) -> str | None:
        """None once the child is ready; else what its log says."""
        if self._tail is not None:
            self._tail.close()
        self._tail = Tail(self._log_file)
        log = os.open(self._log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            # A session of its own: Ctrl-C is for us, and we stop the child last. No environment: it may hold secrets.
            self._child = await asyncio.create_subprocess_exec(
                binary, "-c", str(self._config), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self._folder, env={}, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise Refused(f"{binary} cannot be run: {error.strerror}") from error
        finally:
            os.close(log)
        said: list[str] = []
        deadline = time.monotonic() + _START_S
        while self._child.returncode is None and time.monotonic() < deadline:
            await _ended(self._child, 0.02)
            said += self._tail.lines()
            if any(_READY in line for line in said):
                return None
        await self._end_child()
        return _complaints(said + self._tail.lines())

    async def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is not None and child.returncode is None:
            child.terminate()
            if not await _ended(child, _STOP_S):
                child.kill()
                await child.wait()

    async def _stop_child(self) -> None:
        await self._end_child()
        if self._tail is not None:
            self._tail.close()
            self._tail = None

    async def _stop_orphan(self) -> None:
        """Stops the child of an owner that was killed: we hold the lock, so nobody else minds it."""
        pid = self._orphan()
        if pid is None:
            return
        _log.warning("stopping nats-server %d, left behind by a process that was killed", pid)
        for sign, wait_s in ((signal.SIGTERM, _STOP_S), (signal.SIGKILL, _STOP_S)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
            deadline = time.monotonic() + wait_s
            while time.monotonic() < deadline:
                if self._orphan() is None:
                    return
                await asyncio.sleep(0.05)
        raise Unready(f"an earlier nats-server (process {pid}) does not stop: end it, then start again")

    def _orphan(self) -> int | None:
        try:
            pid = int((self._folder / "nats-server.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        command = system.command(pid)
        return pid if "nats-server" in command and str(self._config) in command else None

    # --- its files and ports ---

    def _write_config(self, address: Address) -> None:
        made_once = {"password": new_password, "system.password": new_password, "issuer.seed": new_issuer_seed}
        for name, made in made_once.items():
            if not (self._folder / name).exists():
                write_private(self._folder / name, made())
        config = configuration(
            self._folder,
            port=address.port,
            mqtt_host=address.mqtt_host,
            mqtt_port=address.mqtt_port,
            known=Secrets(self.password, self.system_password, self.issuer_seed),
            sync_interval=self._sync_interval,
        )
        if self._tls is not None:
            config["mqtt"]["tls"] = keep_tls(self._folder, self._tls)
        write_private(self._config, msgspec.json.format(msgspec.json.encode(config)).decode())

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (PermissionError, NotADirectoryError, FileExistsError) as error:
            raise Refused(f"{self._folder} cannot be written ({error.strerror}): choose another data folder") from error
        except OSError as error:
            family = Refused if error.errno == errno.EROFS else Unready
            raise family(f"{self._folder} cannot be written: {error.strerror}") from error

    def _known_address(self) -> Address | None:
        try:
            return msgspec.json.decode((self._folder / "address.json").read_bytes(), type=Address)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _chosen(self) -> Address:
        before = self._known_address()
        start = os.getpid() * _APART % len(_CLIENT_PORTS)
        ports = [*([before.port] if before else []), *_CLIENT_PORTS[start:], *_CLIENT_PORTS[:start]]
        mqtt_ports = [*([before.mqtt_port] if before else []), *_MQTT_PORTS]
        return Address(
            port=system.port(LOOPBACK, self._asked_port, ports, "NATS"),
            mqtt_host=self._host,
            mqtt_port=system.port(self._host, self._asked_mqtt_port, mqtt_ports, "MQTT"),
        )


async def _ended(child: asyncio.subprocess.Process, within_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await child.wait()
    return child.returncode is not None


def _complaints(lines: list[str]) -> str:
    bad = [line for line in lines if "[ERR]" in line or "[FTL]" in line or "nats-server:" in line]
    return " | ".join((bad or lines)[-3:]) or "it said nothing"
