"""The HTTP door of settlement runs: made, listed, explained, compared, reviewed."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, Parameter

from tieline import metrics
from tieline.doors import (
    Cursor,
    Limit,
    Page,
    WithBlobs,
    WithClock,
    WithRows,
    WithSeries,
    after,
    csv_response,
    page,
    wants_csv,
)
from tieline.ports import Reader
from tieline.settlement.routes import LAG_S
from tieline.settlement.runs import actions, reads, reviewing
from tieline.settlement.runs.actions import NewRun
from tieline.settlement.runs.explaining import Explanation, explain
from tieline.settlement.runs.model import (
    Account,
    Difference,
    Entry,
    Input,
    MeasuredEvent,
    Review,
    Run,
    RunSummary,
)
from tieline.settlement.runs.reviewing import NewReview


class RunView(RunSummary, frozen=True):
    """A run, all that it follows from, and what was said of it; its accounts are a list of their own."""

    inputs: list[Input]
    measured: list[MeasuredEvent]
    restates: str
    digest: str
    reviews: list[Review]
    disputed: list[str]  # the VENs whose accounts are; empty: the whole


@post("/v1/programs/{program_id:str}/settlements")
async def settle_program(
    program_id: FromPath[str],
    data: JSONBody[NewRun],
    rows: WithRows,
    series: WithSeries,
    blobs: WithBlobs,
    clock: WithClock,
) -> RunView:
    """Settle a period. Where nothing changed since, the newest run stands; else the new one restates it."""
    now = clock.now()
    await asyncio.sleep(LAG_S)
    run = await actions.settle(program_id, data, rows=rows, series=series, blobs=blobs, clock=clock, now=now)
    return await rows.read(lambda reader: _view(reader, run))


def _view(reader: Reader, run: Run) -> RunView:
    reviews = reads.reviews(reader, run.run_id)
    summary = msgspec.structs.asdict(msgspec.convert(run, RunSummary, from_attributes=True))
    disputed = reviewing.open_disputes(reviews)
    return RunView(
        **summary,
        inputs=run.inputs,
        measured=run.measured or [],
        restates=run.restates,
        digest=run.digest,
        reviews=reviews,
        disputed=disputed,
    )


@get("/v1/settlements")
async def list_settlements(
    rows: WithRows,
    program_id: Annotated[str | None, Parameter(description="Only those of this program")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[RunSummary]:
    """The newest first."""
    found = await reads.summaries(rows, program_id=program_id, after=after(cursor), limit=limit + 1)
    return page(found, limit, reads.place)


@get("/v1/settlements/{run_id:str}")
async def show_settlement(
    run_id: FromPath[str], rows: WithRows, request: Request[Any, Any, Any]
) -> RunView | Response[bytes]:
    """The run without its accounts; as text/csv all entries of all accounts."""
    if not wants_csv(request):
        return await rows.read(lambda reader: _view(reader, reads.the_head(reader, run_id)))
    run = await reads.the_run(rows, run_id)
    return await asyncio.to_thread(_entries, run)


def _entries(run: Run) -> Response[bytes]:
    header = ("ven_id", *Entry.__struct_fields__)
    found = [(one.ven_id, *msgspec.structs.astuple(entry)) for one in run.accounts for entry in one.entries]
    return csv_response(header, found, run.run_id)


@get("/v1/settlements/{run_id:str}/accounts")
async def list_accounts(
    run_id: FromPath[str], rows: WithRows, request: Request[Any, Any, Any], limit: Limit = 100, cursor: Cursor = None
) -> Page[Account] | Response[bytes]:
    """In order of VEN; as text/csv all of them at once, a line each."""
    if wants_csv(request):
        run = await reads.the_run(rows, run_id)
        lines = [(one.ven_id, len(one.deliveries), one.net, one.tax, one.total, run.currency) for one in run.accounts]
        return csv_response(("ven_id", "events", "net", "tax", "total", "currency"), lines, f"{run_id}-accounts")
    place = after(cursor)

    def work(reader: Reader) -> list[Account]:
        reads.the_head(reader, run_id)
        return reads.accounts(reader, run_id, after=place, limit=limit + 1)

    return page(await rows.read(work), limit, lambda one: one.ven_id)


@get("/v1/settlements/{run_id:str}/accounts/{ven_id:str}")
async def show_account(run_id: FromPath[str], ven_id: FromPath[str], rows: WithRows) -> Account:
    return await rows.read(lambda reader: reads.the_account(reader, run_id, ven_id))


@get("/v1/settlements/{run_id:str}/accounts/{ven_id:str}/explanation")
async def explain_account(
    run_id: FromPath[str], ven_id: FromPath[str], rows: WithRows, series: WithSeries, blobs: WithBlobs
) -> Explanation:
    """Each cent of an account: clause by clause, event by event, down to intervals, baseline days and readings."""
    return await explain(rows, series, blobs, run_id, ven_id)


@get("/v1/settlements/{run_id:str}/differences")
async def list_differences(
    run_id: FromPath[str], rows: WithRows, limit: Limit = 100, cursor: Cursor = None
) -> Page[Difference]:
    """What a restatement changed, VEN by VEN; nothing where it is the first of its period."""
    place = after(cursor)
    found = await rows.read(lambda reader: reads.differences(reader, run_id, after=place, limit=limit + 1))
    return page(found, limit, lambda one: one.ven_id)


@post("/v1/settlements/{run_id:str}/reviews")
async def review_settlement(
    run_id: FromPath[str], data: JSONBody[NewReview], rows: WithRows, clock: WithClock
) -> Review:
    """Approve a run or one account in it, dispute it, or say that a dispute is resolved; kept beside what was said."""
    now = clock.now()
    made = await rows.transaction(lambda tx: reviewing.review(tx, run_id, data, now))
    metrics.REVIEWS.labels(made.verdict).inc()
    return made


ROUTES = [
    settle_program,
    list_settlements,
    show_settlement,
    list_accounts,
    show_account,
    explain_account,
    list_differences,
    review_settlement,
]
