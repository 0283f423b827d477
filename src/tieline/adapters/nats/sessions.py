"""Who is connected to the broker, and ending that: by the system account, of all the servers of a cluster."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from tieline.adapters.nats.connection import asking
from tieline.base.access import Session

_LIST = "$SYS.REQ.SERVER.PING.CONNZ"
_AT_ONCE = 1000
_FIRST_S = 5.0
_NEXT_S = 0.5  # after the first answer, for those of the other servers


class _Server(msgspec.Struct):
    id: str


class _Connection(msgspec.Struct):
    cid: int
    type: str = ""
    authorized_user: str = ""


class _Connections(msgspec.Struct):
    total: int = 0
    connections: list[_Connection] = []


class _Listed(msgspec.Struct):
    server: _Server
    data: _Connections = msgspec.field(default_factory=_Connections)


_decode = msgspec.json.Decoder(_Listed).decode


class Sessions:
    """`connection` is the system account's. Its methods raise `Unready` when no server answers."""

    def __init__(self, connection: Client) -> None:
        self._connection = connection

    async def of(self, mqtt_client_id: str) -> list[Session]:
        """Those of an MQTT client id: one, or none; for a moment two."""
        return _sessions(await self._asked(mqtt_client=mqtt_client_id))

    async def all(self) -> AsyncIterator[list[Session]]:
        """All MQTT connections, some at a time. Close none before the last has come: those after it would move up to
        where they are not looked for any more."""
        offset, more = 0, True
        while more:
            listed = await self._asked(sort="cid", offset=offset, limit=_AT_ONCE)
            yield _sessions(listed)
            offset += _AT_ONCE
            more = any(answer.data.total > offset for answer in listed)

    async def close(self, session: Session) -> None:
        """At once, as if the network had failed; one that is gone already is no error."""
        with asking("disconnect a device"):
            kick = msgspec.json.encode({"cid": session.cid})
            await self._connection.request(f"$SYS.REQ.SERVER.{session.server}.KICK", kick, timeout=_FIRST_S)

    async def _asked(self, **chosen: Any) -> list[_Listed]:
        """What each server answers; how many there are nobody knows but by waiting."""
        inbox, question = self._connection.new_inbox(), msgspec.json.encode({**chosen, "auth": True})
        answers: list[_Listed] = []
        with asking("list who is connected"):
            heard = await self._connection.subscribe(inbox)
            try:
                await self._connection.publish(_LIST, question, reply=inbox)
                answers.append(_read(await heard.next_msg(timeout=_FIRST_S)))
                while True:
                    answers.append(_read(await heard.next_msg(timeout=_NEXT_S)))
            except TimeoutError:
                if not answers:
                    raise
            finally:
                await asyncio.shield(heard.unsubscribe())
        return answers


def _sessions(listed: Sequence[_Listed]) -> list[Session]:
    return [
        Session(one.authorized_user, answer.server.id, one.cid)
        for answer in listed
        for one in answer.data.connections
        if one.type == "mqtt"
    ]


def _read(message: Msg) -> _Listed:
    return _decode(message.data)
