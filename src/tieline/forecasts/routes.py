"""The HTTP door of forecasts: what is forecast and how well, what was thought when, and asking for them now."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody, Parameter

from tieline.base.time import Span, from_micros, instant, iso
from tieline.doors import Cursor, Limit, Page, WithClock, WithRows, WithSeries, after, csv_response, page, wants_csv
from tieline.forecasts import actions, reads
from tieline.forecasts.model import Horizon, Run, subject_of
from tieline.forecasts.reads import Forecast, Headroom, Listed

OfHorizon = Annotated[Horizon | None, Parameter(description="Only those of this horizon")]
AsOf = Annotated[datetime | None, Parameter(description="Only what was known at this instant")]


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which forecasts are to be made now; without a horizon, all."""

    horizon: Horizon | None = None


class Asked(msgspec.Struct, frozen=True):
    horizons: list[Horizon]
    asked_at: datetime


@get("/v1/forecasts")
async def list_forecasts(
    rows: WithRows, clock: WithClock, horizon: OfHorizon = None, limit: Limit = 100, cursor: Cursor = None
) -> Page[Listed]:
    """What is forecast, of which group at which horizon: the newest run, and how good the last 28 days' were."""
    found = await reads.listed(rows, clock.now(), horizon=horizon, after=after(cursor), limit=limit + 1)
    return page(found, limit, reads.place)


@get("/v1/forecasts/{forecast_id:str}/runs")
async def list_runs(
    forecast_id: FromPath[str],
    rows: WithRows,
    horizon: OfHorizon = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Run]:
    """Every forecast made of a group, the newest first: by which method and why, and what it came to."""
    found = await reads.runs_of(rows, forecast_id, horizon, after=after(cursor), limit=limit + 1)
    return page(found, limit, reads.run_place)


@get("/v1/forecasts/{forecast_id:str}/values")
async def forecast_values(
    forecast_id: FromPath[str],
    start: FromQuery[datetime],
    end: FromQuery[datetime],
    series: WithSeries,
    request: Request[Any, Any, Any],
    horizon: Annotated[Horizon, Parameter(description="Which of its forecasts")] = Horizon.DAY_AHEAD,
    as_of: AsOf = None,
) -> Forecast | Response[bytes]:
    """What was thought of each quarter hour of [start, end), beside the naive and what came; by `Accept: text/csv` as
    CSV. With `as_of`, what was thought then."""
    span, known = Span(instant(start), instant(end)), None if as_of is None else instant(as_of)
    found = await reads.as_known_at(series, subject_of(forecast_id).forecast_id, horizon, span, known)
    if not wants_csv(request):
        return found
    header = [name for name, value in msgspec.structs.asdict(found).items() if isinstance(value, list)]
    columns = (getattr(found, name) for name in header)
    told = [
        [_told(one) for one in each] if name.endswith("at") else each
        for name, each in zip(header, columns, strict=True)
    ]
    return csv_response(header, zip(*told, strict=True), f"{forecast_id}-{horizon}")


@get("/v1/forecasts/headroom")
async def show_headroom(
    start: FromQuery[datetime],
    end: FromQuery[datetime],
    series: WithSeries,
    target: Annotated[list[str] | None, Parameter(description="VENs with one of these; without any, the fleet")] = None,
    as_of: AsOf = None,
) -> Headroom:
    """What a call could count on in each quarter hour of [start, end)."""
    known = None if as_of is None else instant(as_of)
    return await reads.headroom(series, target or [], Span(instant(start), instant(end)), known)


@post("/v1/forecasts/run", status_code=202)
async def run_forecasts(data: JSONBody[Ask], rows: WithRows, clock: WithClock) -> Asked:
    """Have forecasts made at the forecaster's next look, due or not: within seconds, or minutes of a large fleet."""
    horizons = list(Horizon) if data.horizon is None else [data.horizon]
    await actions.ask(rows, horizons)
    return Asked(horizons, clock.now())


def _told(seconds: float | None) -> str:

    return "" if seconds is None else iso(from_micros(round(seconds * 1e6)))


ROUTES = [list_forecasts, list_runs, forecast_values, show_headroom, run_forecasts]
