"""What a VEN remembers across restarts: a folder of its own, for one process at a time.

folder/state.json     what it knows of the VTN
folder/unsent/…       reports that the VTN does not have yet (`unsent`)
"""

import asyncio
import contextlib
import fcntl
import logging
import random
import secrets
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from tieline.base.errors import Refused, Unready
from tieline.ven.durable import write_durably
from tieline.wires.openadr31.messages import Event, Program, Resource, Ven

log = logging.getLogger(__name__)


class State(msgspec.Struct):
    """What a VEN knows of its VTN, as of `told_at`, none when it never heard from it.

    `answered`: of reports that are asked for, the last one done, by what asks.
    """

    vtn: str
    ven_name: str
    told_at: datetime | None = None
    ven: Ven | None = None
    resources: dict[str, Resource] = {}
    programs: dict[str, Program] = {}
    events: dict[str, Event] = {}
    opted_out: set[str] = set()
    answered: dict[str, int] = {}
    bearer: str = msgspec.field(default_factory=lambda: secrets.token_urlsafe(32))
    seed: str = msgspec.field(default_factory=lambda: secrets.token_hex(16))

    def draw(self, event_id: str) -> float:
        """What this VEN's dice say to an event, from -1 to 1: the same each time it asks (User Guide 7.3)."""
        return random.Random(f"{self.seed} {event_id}").uniform(-1, 1)  # noqa: S311  spreads starts, no secret


class Memory:
    """A folder and the `state` in it, while the block lasts; `save` what was changed of it.

    Raises `Unready` when another process has the folder, `Refused` when it is another VEN's, or another VTN's.
    """

    def __init__(self, folder: Path, vtn: str, ven_name: str) -> None:
        self.folder = folder
        self.state = State(vtn.rstrip("/"), ven_name)
        self._held = contextlib.ExitStack()
        self._saving = asyncio.Lock()
        self._saved = b""

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with contextlib.ExitStack() as opened:
                lock = opened.enter_context((self.folder / "lock").open("a"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._load()
                self._held = opened.pop_all()
        except BlockingIOError:
            raise Unready(f"{self.folder} is in use by another agent: stop it, or choose another folder") from None
        except OSError as error:
            raise Refused(f"{self.folder}: {error.strerror}: choose a folder that can be written") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    async def save(self) -> None:
        """Durable when this returns. Raises `Unready` when it cannot be written."""
        async with self._saving:
            data = msgspec.json.encode(self.state)
            if data != self._saved:
                await asyncio.to_thread(write_durably, self._path, data)
                self._saved = data

    @property
    def _path(self) -> Path:
        return self.folder / "state.json"

    def _load(self) -> None:
        try:
            state = msgspec.json.decode(self._path.read_bytes(), type=State)
        except FileNotFoundError:
            return
        except msgspec.DecodeError as error:
            aside = self._path.rename(self._path.with_suffix(".unreadable"))
            log.error("what was remembered cannot be read, and is set aside as %s: %s", aside, error)
            return
        if (state.vtn, state.ven_name) != (self.state.vtn, self.state.ven_name):
            raise Refused(f"{self.folder} is of VEN {state.ven_name!r} at {state.vtn}: choose another folder")
        self.state = state
