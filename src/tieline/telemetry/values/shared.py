"""Answers that many ask for at once are made once, and kept while they are true and there is room."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

MOST_BYTES = 64 << 20
LARGEST = MOST_BYTES // 8
"""An answer beyond this is made for whoever asks, and not kept."""


class Shared:
    """Answers by key. A key says all that the answer depends on, the version of the data too: none is ever stale.

    Who asks for what is being made waits for that one (single-flight), and may go: the others still get theirs.
    """

    def __init__(self, most_bytes: int = MOST_BYTES, largest: int = LARGEST) -> None:
        self._most, self._largest = most_bytes, largest
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._making: dict[Hashable, asyncio.Task[bytes]] = {}
        self.size = 0

    async def get(self, key: Hashable, make: Callable[[], Awaitable[bytes]]) -> bytes:
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return kept
        if key not in self._making:
            self._making[key] = asyncio.create_task(self._made(key, make))
        return await asyncio.shield(self._making[key])

    async def _made(self, key: Hashable, make: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            answer = await make()
        finally:
            del self._making[key]
        if len(answer) <= self._largest:
            self._keep(key, answer)
        return answer

    def _keep(self, key: Hashable, answer: bytes) -> None:
        self._kept[key] = answer
        self.size += len(answer)
        while self.size > self._most:
            self.size -= len(self._kept.popitem(last=False)[1])
