"""Which MQTT topics tell of what: the twelve questions of /notifiers/mqtt/topics, for who may ask them."""

from urllib.parse import quote

from tieline.ven.openadr.connection import Connection
from tieline.wires.openadr31.notifiers import NotifierTopics, NotifierTopicsResponse


class Topics:
    """Those of all objects of a kind are business logic's, except of programs; a VEN asks for its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def programs(self) -> NotifierTopics:
        return await self._of("programs")

    async def program(self, program_id: str) -> NotifierTopics:
        return await self._of("programs", program_id)

    async def program_events(self, program_id: str) -> NotifierTopics:
        return await self._of("programs", program_id, "events")

    async def events(self) -> NotifierTopics:
        return await self._of("events")

    async def reports(self) -> NotifierTopics:
        return await self._of("reports")

    async def subscriptions(self) -> NotifierTopics:
        return await self._of("subscriptions")

    async def vens(self) -> NotifierTopics:
        return await self._of("vens")

    async def ven(self, ven_id: str) -> NotifierTopics:
        return await self._of("vens", ven_id)

    async def ven_events(self, ven_id: str) -> NotifierTopics:
        return await self._of("vens", ven_id, "events")

    async def ven_programs(self, ven_id: str) -> NotifierTopics:
        return await self._of("vens", ven_id, "programs")

    async def ven_resources(self, ven_id: str) -> NotifierTopics:
        return await self._of("vens", ven_id, "resources")

    async def resources(self) -> NotifierTopics:
        return await self._of("resources")

    async def _of(self, *path: str) -> NotifierTopics:
        below = "/".join(quote(level, safe="") for level in path)
        found = await self._connection.get(f"/notifiers/mqtt/topics/{below}", NotifierTopicsResponse)
        return found.topics
