"""kill -9 amid two hundred concurrent writers: what was answered is there, whole; nothing is that nobody sent; and who
subscribed is told of all of it."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conformance.vtn import Echo, Vtn, created, unique

WRITERS = 200
ANSWERED_BEFORE = 300
LATER = {"intervalPeriod": {"start": "2090-01-01T00:00:00Z", "duration": "PT1H"}}


class Writer:
    """Creates an event, changes it, deletes every other one, and remembers what was asked and what was answered."""

    def __init__(self, number: int, program_id: str) -> None:
        self._number = number
        self._program_id = program_id
        self._rounds = 0
        self.sent: dict[str, dict[str, Any]] = {}  # by name: what was asked for last, None once deleted
        self.answered: dict[str, tuple[str, int]] = {}  # by id: its name, and the priority of the last answer
        self.deleting: set[str] = set()
        self.deleted: set[str] = set()

    async def write(self, client: httpx.AsyncClient) -> None:
        while True:
            await self._round(client)

    async def _round(self, client: httpx.AsyncClient) -> None:
        name = f"{self._number}-{self._rounds}"
        self._rounds += 1
        made = await self._asked(client, "POST", "events", name, 0)
        id_ = made["id"]
        self.answered[id_] = (name, 0)
        await self._asked(client, "PUT", f"events/{id_}", name, 1)
        self.answered[id_] = (name, 1)
        if self._rounds % 2:
            self.deleting.add(id_)
            (await client.delete(f"events/{id_}")).raise_for_status()
            self.deleted.add(id_)

    async def _asked(self, client: httpx.AsyncClient, method: str, path: str, name: str, priority: int) -> Any:
        body = {"programID": self._program_id, "eventName": name, "priority": priority, "targets": [name], **LATER}
        self.sent[name] = body
        answer = await client.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()


async def written_until_killed(vtn: Vtn, token: str, writers: list[Writer]) -> None:
    limits = httpx.Limits(max_connections=WRITERS)
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=vtn.url(), headers=headers, limits=limits, timeout=60) as client:
        tasks = [asyncio.create_task(one.write(client)) for one in writers]
        while sum(len(one.answered) for one in writers) < ANSWERED_BEFORE:
            await asyncio.sleep(0.01)
            assert not any(task.done() for task in tasks), [task.exception() for task in tasks if task.done()]
        vtn.platform.kill()
        with contextlib.suppress(httpx.TransportError):
            await asyncio.gather(*tasks, return_exceptions=True)


def everything(client: httpx.Client, path: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    while page := client.get(path, params={"skip": len(found)}).json():
        found |= {one["id"]: one for one in page}
    return found


@pytest.mark.clause("webhooks: told at least once")
@pytest.mark.clause("writes: durable once answered")
def test_what_was_answered_survives_a_kill(fresh_vtn: Callable[..., Vtn], echo: Echo) -> None:
    vtn = fresh_vtn()
    vtn.platform.start()
    bl = vtn.client("bl")
    program_id = created(bl, "programs", {"programName": unique()})["id"]
    path = f"/{unique()}"
    operations = {"objects": ["EVENT"], "operations": ["CREATE", "UPDATE", "DELETE"], "callbackUrl": echo.url + path}
    created(bl, "subscriptions", {"clientName": "all", "programID": program_id, "objectOperations": [operations]})
    writers = [Writer(number, program_id) for number in range(WRITERS)]
    asyncio.run(written_until_killed(vtn, vtn.token(vtn.usual("bl")), writers))

    vtn.platform.start()
    found = everything(bl, "events")
    for writer in writers:
        check(writer, found)
    assert {one["eventName"] for one in found.values()} <= {name for writer in writers for name in writer.sent}
    vtn.platform.eventually(lambda: not untold(writers, echo, path), "every change is told")


def check(writer: Writer, found: dict[str, dict[str, Any]]) -> None:
    for id_, (name, priority) in writer.answered.items():
        if id_ in writer.deleted:
            assert id_ not in found
        elif id_ in found or id_ not in writer.deleting:
            one = found[id_]
            assert (one["eventName"], one["targets"]) == (name, [name])
            assert one["priority"] in (priority, writer.sent[name]["priority"])  # the last may have been on its way


def untold(writers: list[Writer], echo: Echo, path: str) -> set[tuple[str, str]]:
    """What was answered and not notified yet."""
    answered = {("CREATE", id_) for one in writers for id_ in one.answered}
    answered |= {("UPDATE", id_) for one in writers for id_, (_, priority) in one.answered.items() if priority}
    answered |= {("DELETE", id_) for one in writers for id_ in one.deleted}
    return answered - {(told["operation"], told["object"]["id"]) for told in echo.told(path)}
