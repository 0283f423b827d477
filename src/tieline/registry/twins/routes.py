"""The HTTP door of twins."""

from typing import Any

from litestar import delete, get, patch
from litestar.params import FromPath, JSONBody

from tieline.doors import Cursor, Limit, Page, WithRows, after, page
from tieline.ports import Documents, Rows
from tieline.registry import reads as registry
from tieline.registry.twins import reads
from tieline.registry.twins.actions import Twins
from tieline.registry.twins.model import TwinChange, TwinLine, TwinView

PLACE = "/v1/vens/{ven_id:str}/twins"


def routes(documents: Documents, twins: Twins) -> list[Any]:
    @get(PLACE)
    async def list_twins(
        ven_id: FromPath[str], rows: WithRows, limit: Limit = 100, cursor: Cursor = None
    ) -> Page[TwinLine]:
        """The VEN's twins, each with whether the device has reported all that is desired."""
        await _known(rows, ven_id)
        found = await reads.twins(documents, ven_id, after=after(cursor), limit=limit + 1)
        return page(found, limit, lambda one: one.name)

    @get(PLACE + "/{name:str}")
    async def show_twin(ven_id: FromPath[str], name: FromPath[str], rows: WithRows) -> TwinView:
        """What is desired, what the device reported, and the delta between them."""
        await _known(rows, ven_id)
        return await reads.the_twin(documents, ven_id, name)

    @patch(PLACE + "/{name:str}")
    async def change_twin(ven_id: FromPath[str], name: FromPath[str], data: JSONBody[TwinChange]) -> TwinView:
        """Change the fields that are named, make the twin where there is none; a null deletes its field. With `version`
        only if it is still at that version (409 otherwise). What is then desired is told to the device."""
        return await twins.change(ven_id, name, data)

    @delete(PLACE + "/{name:str}")
    async def delete_twin(ven_id: FromPath[str], name: FromPath[str], rows: WithRows) -> None:
        """Delete it. Its versions go on where they were if it is made again."""
        await _known(rows, ven_id)
        await twins.delete(ven_id, name)

    @get(PLACE + "/{name:str}/history")
    async def show_twin_history(ven_id: FromPath[str], name: FromPath[str], rows: WithRows) -> Page[TwinView]:
        """Its last 16 versions, the oldest first."""
        await _known(rows, ven_id)
        return Page(await reads.history(documents, ven_id, name))

    return [list_twins, show_twin, change_twin, delete_twin, show_twin_history]


async def _known(rows: Rows, ven_id: str) -> None:
    await rows.read(lambda reader: registry.the_ven(reader, ven_id))
