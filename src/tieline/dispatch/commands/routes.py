"""The HTTP door of direct commands."""

from typing import Annotated

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from tieline.base.names import new_id
from tieline.base.time import iso
from tieline.dispatch.commands import actions, reads
from tieline.dispatch.commands.model import CommandState, DirectCommand, NewCommand, NewCommands, Outcomes
from tieline.doors import Cursor, Limit, Page, WithClock, WithRows, after, page


@post("/v1/vens/{ven_id:str}/commands")
async def send_command(
    ven_id: FromPath[str], data: JSONBody[NewCommand], rows: WithRows, clock: WithClock
) -> DirectCommand:
    """Command one VEN. It is said until the VEN answers or the command expires: ask for it again to see which."""
    now, token = clock.now(), new_id()
    return await rows.transaction(lambda tx: actions.ask(tx, ven_id, token, data, now))


@post("/v1/commands", status_code=200)
async def send_commands(data: JSONBody[NewCommands], rows: WithRows, clock: WithClock) -> Outcomes:
    """Give many VENs the same command; each that cannot be asked is listed with the reason."""
    now, tokens = clock.now(), {ven_id: new_id() for ven_id in data.ven_ids}
    return await rows.transaction(lambda tx: actions.ask_all(tx, tokens, data.of_one(), now))


@get("/v1/commands")
async def list_commands(
    rows: WithRows,
    limit: Limit = 100,
    cursor: Cursor = None,
    ven_id: FromQuery[str | None] = None,
    standing: Annotated[
        CommandState | None, QueryParameter(name="state", description="Only those in this state")
    ] = None,
) -> Page[DirectCommand]:
    """The newest first."""
    found = await reads.commands(rows, ven_id=ven_id, state=standing, after=after(cursor), limit=limit + 1)
    return page(found, limit, lambda one: f"{iso(one.issued_at)}|{one.command_id}")


@get("/v1/commands/{command_id:str}")
async def show_command(command_id: FromPath[str], rows: WithRows) -> DirectCommand:
    return await reads.the_command(rows, command_id)


ROUTES = [send_command, send_commands, list_commands, show_command]
