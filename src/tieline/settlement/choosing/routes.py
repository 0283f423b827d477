"""The HTTP door of choosing: proposals of a rule for a program, and its gaming alarms."""

from litestar import get, post
from litestar.params import FromPath, JSONBody

from tieline.base.errors import Refused
from tieline.dispatch import reads as dispatch
from tieline.doors import Cursor, Limit, Page, WithClock, WithRows, after, page
from tieline.ports import Reader
from tieline.settlement.choosing import actions, reads
from tieline.settlement.choosing.model import Alarm, NewProposal, Proposal


@post("/v1/programs/{program_id:str}/baseline-proposals", status_code=202)
async def ask_for_proposal(
    program_id: FromPath[str], data: JSONBody[NewProposal], rows: WithRows, clock: WithClock
) -> Proposal:
    """Try every rule on the days of the program's VENs; it is worked out meanwhile: `done` tells how far it is."""
    now = clock.now()
    return await rows.transaction(lambda tx: actions.ask(tx, program_id, data, now))


@get("/v1/programs/{program_id:str}/baseline-proposals")
async def list_proposals(
    program_id: FromPath[str], rows: WithRows, limit: Limit = 100, cursor: Cursor = None
) -> Page[Proposal]:
    """The newest first, without their scores and alarms."""
    last = after(cursor)
    if last and not last.isdigit():
        raise Refused(f"cursor {cursor!r} is not one that this list gave: take next_cursor as it is")

    def work(reader: Reader) -> list[Proposal]:
        dispatch.the_program(reader, program_id)
        return reads.of_program(reader, program_id, before=int(last) if last else None, limit=limit + 1)

    return page(await rows.read(work), limit, lambda one: str(reads.number_of(one)))


@get("/v1/baseline-proposals/{proposal_id:str}")
async def show_proposal(proposal_id: FromPath[str], rows: WithRows) -> Proposal:
    """With the score of every rule by kind of day, and the alarms."""
    return await rows.read(lambda reader: reads.the_proposal(reader, proposal_id))


@get("/v1/programs/{program_id:str}/gaming-alarms")
async def list_alarms(program_id: FromPath[str], rows: WithRows) -> Page[Alarm]:
    """Of the newest proposal's look at the program, the loudest first; each is a reason to ask, and no proof."""

    def work(reader: Reader) -> list[Alarm]:
        dispatch.the_program(reader, program_id)
        return reads.alarms(reader, program_id)

    return Page(await rows.read(work))


ROUTES = [ask_for_proposal, list_proposals, show_proposal, list_alarms]
