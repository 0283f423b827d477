"""The HTTP door of terms: what a program pays from when on, and what its participants committed to."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post, put
from litestar.params import FromPath, JSONBody

from tieline.base.errors import Refused
from tieline.dispatch import reads as dispatch
from tieline.doors import Cursor, Limit, Page, WithClock, WithRows, after, csv_response, page, wants_csv
from tieline.ports import Reader
from tieline.settlement.terms import actions, reads
from tieline.settlement.terms.commitments import Commitment, NewCommitment, parsed
from tieline.settlement.terms.model import NewTerms, Terms


class Kept(msgspec.Struct, frozen=True):
    """How many commitments were kept."""

    commitments: int


@put("/v1/programs/{program_id:str}/terms")
async def put_terms(program_id: FromPath[str], data: JSONBody[NewTerms], rows: WithRows, clock: WithClock) -> Terms:
    """Terms from a day on, until the next begin; those before end there. What a run was made by stays as it is."""
    now = clock.now()
    return await rows.transaction(lambda tx: actions.put(tx, program_id, data, now))


@get("/v1/programs/{program_id:str}/terms")
async def list_terms(program_id: FromPath[str], rows: WithRows) -> Page[Terms]:
    """All there are, the latest first, each with the days that it holds for."""

    def work(reader: Reader) -> list[Terms]:
        dispatch.the_program(reader, program_id, deleted=True)
        return reads.of_program(reader, program_id)

    return Page((await rows.read(work))[::-1])


@post("/v1/programs/{program_id:str}/commitments")
async def commit(program_id: FromPath[str], request: Request[Any, Any, Any], rows: WithRows, clock: WithClock) -> Kept:
    """Kilowatts that participants commit to from a day on: a JSON list, or text/csv with ven_id, kw, valid_from.

    What is kept is never changed: a later one of the same VEN and day counts in its place, from now on.
    """
    now, body = clock.now(), await request.body()
    new = parsed(body) if request.content_type[0] == "text/csv" else _decoded(body)
    return Kept(await rows.transaction(lambda tx: actions.commit(tx, program_id, new, now)))


def _decoded(body: bytes) -> list[NewCommitment]:
    try:
        return msgspec.json.decode(body, type=list[NewCommitment])
    except msgspec.DecodeError as error:
        raise Refused(f'commitments: {error}; [{{"ven_id", "kw", "valid_from"}}] was expected') from None


@get("/v1/programs/{program_id:str}/commitments")
async def list_commitments(
    program_id: FromPath[str],
    rows: WithRows,
    request: Request[Any, Any, Any],
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Commitment] | Response[bytes]:
    """All that were ever kept, in order of VEN, day and when; as text/csv all of them at once."""
    await rows.read(lambda reader: dispatch.the_program(reader, program_id, deleted=True))
    if wants_csv(request):
        found = await rows.read(lambda reader: reads.commitments(reader, program_id))
        header = Commitment.__struct_fields__
        return csv_response(header, [msgspec.structs.astuple(one) for one in found], f"{program_id}-commitments")
    place = after(cursor)
    found = await rows.read(lambda reader: reads.commitments(reader, program_id, after=place, limit=limit + 1))
    return page(found, limit, reads.place)


ROUTES = [put_terms, list_terms, commit, list_commitments]
