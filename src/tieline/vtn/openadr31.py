"""OpenADR 3.1.0, in which the platform thinks."""

from typing import Any

from tieline.vtn import bodies
from tieline.vtn.actions import Request
from tieline.vtn.dialect import Dialect, Params, a_name, an_id, kinds, names, paged
from tieline.vtn.privacy import Viewer
from tieline.vtn.selection import Query
from tieline.wires.openadr31.messages import (
    EventRequest,
    ObjectType,
    ProgramRequest,
    ReportRequest,
    ResourceRequest,
    SubscriptionRequest,
    VenRequest,
)

REQUESTS: dict[ObjectType, Any] = {
    ObjectType.PROGRAM: ProgramRequest,
    ObjectType.EVENT: EventRequest,
    ObjectType.REPORT: ReportRequest,
    ObjectType.SUBSCRIPTION: SubscriptionRequest,
    ObjectType.VEN: VenRequest,
    ObjectType.RESOURCE: ResourceRequest,
}


def _read(kind: ObjectType, body: bytes, _viewer: Viewer, _ven_id: str | None) -> Request:
    request: Request = bodies.read(REQUESTS[kind], body)
    return request


def _query(kind: ObjectType, params: Params) -> Query:
    match kind:
        case ObjectType.PROGRAM:
            return paged(params, targets=names(params, "targets"))
        case ObjectType.EVENT:
            return paged(params, targets=names(params, "targets"), program_id=an_id(params, "programID"))
        case ObjectType.REPORT:
            return paged(
                params,
                program_id=an_id(params, "programID"),
                event_id=an_id(params, "eventID"),
                client_name=a_name(params, "clientName"),
            )
        case ObjectType.SUBSCRIPTION:
            return paged(
                params,
                program_id=an_id(params, "programID"),
                client_name=a_name(params, "clientName"),
                objects=kinds(params, "objects"),
            )
        case ObjectType.VEN:
            return paged(params, ven_name=a_name(params, "venName"), targets=names(params, "targets"))
    return paged(
        params,
        resource_name=a_name(params, "resourceName"),
        ven_id=an_id(params, "venID"),
        targets=names(params, "targets"),
    )


OPENADR_31 = Dialect(
    version="3.1.0",
    prefix="/openadr3/3.1.0",
    collections={kind: f"/{kind.lower()}s" for kind in ObjectType},
    read=_read,
    show=lambda thing, _view, _program_id: thing,
    query=_query,
)
