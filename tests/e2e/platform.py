"""A platform as a user runs it: `tieline up` as a process of its own on free ports, killable and startable again."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from click.testing import CliRunner

from tests.servers.nats import free_port
from tieline.cli import main

READY_S = 120


class Platform:
    """One data folder and the processes that run on it. `speed` is clock seconds per second."""

    def __init__(self, folder: Path, *, speed: float = 1.0, **settings: object) -> None:
        self.folder = folder
        self.http_port, self.mqtt_port = free_port(), int(str(settings.pop("mqtt_port", free_port())))
        self.url = f"http://127.0.0.1:{self.http_port}"
        self._settings = {"clock_speed": speed, **settings}
        self.process: subprocess.Popen[bytes] | None = None
        self.others: list[subprocess.Popen[bytes]] = []
        self._http = httpx.Client(base_url=self.url, timeout=60)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TIELINE_")}
        given = {f"TIELINE_{name.upper()}": str(value) for name, value in self._settings.items()}
        return (
            kept
            | given
            | {
                "TIELINE_DATA": str(self.folder / "data"),
                "TIELINE_HTTP_PORT": str(self.http_port),
                "TIELINE_MQTT_PORT": str(self.mqtt_port),
                "TIELINE_URL": self.url,
            }
        )

    def start(self, *arguments: str) -> "Platform":
        """The process that serves; `tieline up` unless told otherwise. Returns when it is ready."""
        self.process = self._spawn(*(arguments or ("up",)))
        self.wait_ready()
        return self

    def also(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Another process on the same settings and data."""
        self.others.append(self._spawn(*arguments))
        return self.others[-1]

    def _spawn(self, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self.folder / "platform.log").open("ab") as log:
            command = [sys.executable, "-m", "tieline.cli", *arguments]
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def wait_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"it ended with {self.process.returncode}:\n{self.log()}")
            try:
                if self._http.get("/health/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"not ready within {READY_S} s:\n{self.log()}")

    def log(self) -> str:
        return (self.folder / "platform.log").read_text(errors="replace")[-4000:]

    def kill(self) -> None:
        """As a crash: no warning, nothing closed."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def nats_pid(self) -> int:
        of_ours = ["pgrep", "-f", f"nats-server -c {self.folder}/data/nats/nats-server.conf"]
        return int(subprocess.run(of_ours, check=True, capture_output=True, text=True).stdout.split()[0])

    def close(self) -> None:
        """At the end of a test, whatever state it is in. A process that does not stop fails the test, and is killed."""
        for other in self.others:
            other.terminate()
        try:
            for other in self.others:
                other.wait(timeout=60)
            self.stop()
        finally:
            for one in (*self.others, self.process):
                if one is not None and one.poll() is None:
                    one.kill()
                    one.wait()
            self._http.close()

    def stop(self) -> int:
        """Gracefully; its exit code."""
        if self.process is None or self.process.poll() is not None:
            return -1 if self.process is None else self.process.returncode
        self.process.terminate()
        return self.process.wait(timeout=60)

    def run(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """One command of the command line, against this platform."""
        command = [sys.executable, "-m", "tieline.cli", *arguments]
        environment = self.environment
        return subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=timeout)

    def told(self, *arguments: str) -> Any:
        """What such a command tells as JSON, run in this process, where all that it imports is there already."""
        with ThreadPoolExecutor(1) as aside:  # it has a loop of its own
            environment, words = self.environment, [*arguments, "--json"]
            done = aside.submit(CliRunner().invoke, main, words, env=environment, catch_exceptions=False).result()
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    # --- as a customer of /v1 ---

    def get(self, path: str, **params: Any) -> Any:
        answer = self._http.get(path, params=params)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def post(self, path: str, body: object = None, status: int = 201) -> Any:
        answer = self._http.post(path, json=body)
        assert answer.status_code == status, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def answer(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._http.request(method, path, **more)

    def register(self, ven_id: str, *resources: dict[str, Any]) -> str:
        """A VEN at a site of its own; its secret."""
        site = {"site_id": f"site-{ven_id}", "name": ven_id, "zone": "America/Los_Angeles"}
        new = {"ven_id": ven_id, "name": ven_id, "site": site, "resources": list(resources) or [LOAD]}
        secret: str = self.post("/v1/vens", new)["secret"]
        return secret

    def eventually(self, found: Any, what: str, within_s: float = 90) -> Any:
        """What `found()` gives once it is true. Fails, with the log, when it does not become so."""
        deadline = time.monotonic() + within_s
        while not (value := found()):
            assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}\n{self.log()}"
            time.sleep(0.1)
        return value


LOAD = {"resource_id": "heater", "name": "Water heater", "kind": "water_heater", "rated_kw": 4.5, "sheddable": True}
