"""Reports that the VTN does not have yet: on disk until it has, the oldest first, each told once.

put ▶ 00000001.json ▶ 00000001.tried ▶ POST ▶ gone
                           └── no answer: before it is sent again, the VTN is asked whether it came
"""

import asyncio
import itertools
import logging
from collections import deque
from pathlib import Path

import msgspec

from tieline.base.errors import Refused, Unauthenticated
from tieline.ven.durable import HALF, sync_folder, write_durably
from tieline.ven.openadr.client import VtnClient
from tieline.wires.openadr31.messages import ReportRequest, encode

log = logging.getLogger(__name__)


class Unsent:
    """A folder of at most `most` reports, two at least; beyond that the oldest are dropped, and counted in `dropped`.

    `refused` counts those that the VTN would not have.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.dropped = 0
        self.refused = 0
        self._folder = folder
        self._most = most
        self._sending = False
        self._some = asyncio.Event()
        folder.mkdir(exist_ok=True, mode=0o700)
        for half in folder.glob(f"*{HALF}"):
            half.unlink()
        self._files = deque(sorted(one for one in folder.iterdir() if one.suffix in (".json", ".tried")))
        self._numbers = itertools.count(int(self._files[-1].stem) + 1 if self._files else 1)
        if self._files:
            self._some.set()

    def __len__(self) -> int:
        return len(self._files)

    async def put(self, report: ReportRequest) -> None:
        """Durable when this returns. Raises `Unready` when it cannot be written."""
        while len(self._files) >= self._most:
            oldest = self._files[1 if self._sending else 0]
            self._files.remove(oldest)
            oldest.unlink(missing_ok=True)
            self.dropped += 1
        file = self._folder / f"{next(self._numbers):08}.json"
        await asyncio.to_thread(write_durably, file, encode(report))
        self._files.append(file)
        self._some.set()

    async def some(self) -> None:
        """Wait until there is something to send."""
        await self._some.wait()

    async def send(self, vtn: VtnClient) -> None:
        """All there are. Raises `Unready` or `Unauthenticated` when the rest must wait."""
        self._sending = True
        try:
            while self._files:
                await self._send_first(vtn)
                self._files.popleft().unlink(missing_ok=True)
        finally:
            self._sending = False
        self._some.clear()

    async def _send_first(self, vtn: VtnClient) -> None:
        file = self._files[0]
        try:
            report = msgspec.json.decode(await asyncio.to_thread(file.read_bytes), type=ReportRequest)
            if file.suffix == ".tried" and await _arrived(vtn, report):
                return
            self._files[0] = await asyncio.to_thread(_mark, file)
            await vtn.connection.tell("POST", "/reports", report)
        except Unauthenticated:
            raise
        except (Refused, OSError, msgspec.DecodeError) as error:
            self.refused += 1
            log.warning("a report is given up: %s", error)


def _mark(file: Path) -> Path:
    tried = file.rename(file.with_suffix(".tried"))
    sync_folder(file.parent)
    return tried


async def _arrived(vtn: VtnClient, report: ReportRequest) -> bool:
    async for one in vtn.reports.search(event_id=report.event_id, client_name=report.client_name):
        if all(getattr(one, name) == getattr(report, name) for name in ReportRequest.__struct_fields__):
            return True
    return False
