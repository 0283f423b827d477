"""Dead letters looked into, and taken once more after what was wrong has been mended.

letter ─▶ bytes, by digest ─▶ the message as it was: subject, position ─▶ taking ─▶ said, or refused anew
                                                                            └── the outcome, on the letter
"""

import base64

import msgspec

from tieline.base.errors import Conflict, NotFound
from tieline.base.time import Clock
from tieline.ports import Blobs, Entry, Log, Rows
from tieline.telemetry import store
from tieline.telemetry.model import TAKEN, Limits
from tieline.telemetry.reads import Listed, listed
from tieline.telemetry.taking import Taking

MOST_TEXT = 64 * 1024


class Letter(Listed, frozen=True):
    """With what was refused: its bytes in Base64, and as text where they are text."""

    data_base64: str
    text: str | None


class Letters:
    """`blobs` has the bytes of dead letters."""

    def __init__(self, log: Log, rows: Rows, blobs: Blobs, clock: Clock, limits: Limits) -> None:
        self._log, self._rows, self._blobs, self._clock, self._limits = log, rows, blobs, clock, limits

    async def show(self, position: int) -> Letter:
        """Raises `NotFound`."""
        letter = await self._letter(position)
        data = await self._blobs.get(letter.digest)
        fields = msgspec.structs.asdict(letter)
        return Letter(**fields, data_base64=base64.b64encode(data).decode(), text=_text(data))

    async def replay(self, position: int) -> Listed:
        """The letter with the outcome: once its message was taken, nothing more happens. The message keeps its place
        among its VEN's, and so comes under whatever the VEN has corrected since. Raises `NotFound`, and `Conflict` for
        what cannot be taken any more."""
        letter = await self._letter(position)
        if letter.outcome == TAKEN:
            return letter
        taking = Taking(self._log, self._rows, self._clock, self._limits)
        entry = Entry(letter.entry_position or 0, letter.subject, await self._blobs.get(letter.digest), letter.said_at)
        if not taking.is_ours(entry):
            raise Conflict(f"dead letter {position} is of {letter.subject}: only what has readings is taken later")
        columns, refused = await taking.take([entry])
        await taking.say(columns, f"dead:{position}:{self._clock.now().timestamp()}")
        dead = refused[0][2] if refused else None
        await self._rows.transaction(lambda tx: store.put_outcome(tx, position, self._clock.now(), dead))
        return await self._letter(position)

    async def _letter(self, position: int) -> Listed:
        if (letter := await self._rows.read(lambda reader: listed(reader, position))) is None:
            raise NotFound(f"there is no dead letter {position}: list them at /v1/dead-letters; they are kept 30 days")
        return letter


def _text(data: bytes) -> str | None:
    try:
        return data.decode() if len(data) <= MOST_TEXT else None
    except UnicodeDecodeError:
        return None
