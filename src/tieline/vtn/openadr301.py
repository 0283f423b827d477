"""OpenADR 3.0.1, said in the platform's words and back: the same objects, by its own paths, bodies and queries.

Whose a VEN is, 3.0.1 cannot say: one that business logic makes is the client's whose id its private attribute CLIENT_ID
holds, else the client's that bears its name. A subscription to no program, which only 3.1 has, is not shown here.
"""

from typing import Any

from tieline.registry.openadr import OWNER, UNCLAIMED
from tieline.vtn import bodies
from tieline.vtn.actions import Request
from tieline.vtn.dialect import Dialect, Params, a_text, an_id, kinds, paged, texts
from tieline.vtn.privacy import Viewer
from tieline.vtn.selection import Query
from tieline.vtn.view import View, at_ven
from tieline.wires.openadr31 import messages as m31
from tieline.wires.openadr31.messages import ObjectType, ValuesMap
from tieline.wires.openadr301 import messages as m301
from tieline.wires.openadr301 import to31, to301
from tieline.wires.openadr301.targets import asked

_LONGEST_ID = 128


def _read(kind: ObjectType, body: bytes, viewer: Viewer, ven_id: str | None) -> Request:
    match kind:
        case ObjectType.PROGRAM:
            return to31.program(bodies.read(m301.ProgramRequest, body))
        case ObjectType.EVENT:
            return to31.event(bodies.read(m301.EventRequest, body))
        case ObjectType.REPORT:
            return to31.report(bodies.read(m301.ReportRequest, body))
        case ObjectType.SUBSCRIPTION:
            return to31.subscription(bodies.read(m301.SubscriptionRequest, body))
        case ObjectType.VEN:
            ven = bodies.read(m301.VenRequest, body)
            return to31.ven(ven, _owner(ven.attributes) if viewer.business else None)
    resource = bodies.read(m301.ResourceRequest, body)
    return to31.resource(resource, ven_id or "", _owner(resource.attributes) if viewer.business else None)


def _owner(attributes: tuple[ValuesMap, ...] | None) -> str:
    told = [one.values[0] for one in attributes or () if one.type == OWNER and one.values]
    return str(told[0]) if told and 0 < len(str(told[0])) <= _LONGEST_ID else UNCLAIMED


def _show(thing: m31.Object, view: View, program_id: str | None) -> Any:
    match thing:
        case m31.Program():
            return to301.program(thing)
        case m31.Event():
            return to301.event(thing)
        case m31.Report():
            return to301.report(thing, program_id or "")
        case m31.Subscription():
            return to301.subscription(thing)
        case m31.Ven():
            near = view.resources.found([at_ven(thing.id)])
            return to301.ven(thing, [one for one in near if one.client_id == thing.client_id])
    return to301.resource(thing)


def _query(kind: ObjectType, params: Params) -> Query:
    match kind:
        case ObjectType.PROGRAM:
            return paged(params, targets=_targets(params))
        case ObjectType.EVENT:
            return paged(params, targets=_targets(params), program_id=an_id(params, "programID"))
        case ObjectType.REPORT:
            return paged(
                params,
                program_id=an_id(params, "programID"),
                event_id=an_id(params, "eventID"),
                client_name=a_text(params, "clientName"),
            )
        case ObjectType.SUBSCRIPTION:
            return paged(
                params,
                program_id=an_id(params, "programID"),
                client_name=a_text(params, "clientName"),
                objects=kinds(params, "objects"),
                of_a_program=True,
                targets=_targets(params),
            )
        case ObjectType.VEN:
            return paged(params, ven_name=a_text(params, "venName"), targets=_targets(params))
    return paged(params, resource_name=a_text(params, "resourceName"), targets=_targets(params))


def _targets(params: Params) -> tuple[str, ...]:
    """A type alone asks for nothing."""
    return asked(a_text(params, "targetType"), texts(params, "targetValues"))


OPENADR_301 = Dialect(
    version="3.0.1",
    prefix="/openadr3/3.0.1",
    collections={kind: f"/{kind.lower()}s" for kind in ObjectType if kind is not ObjectType.RESOURCE}
    | {ObjectType.RESOURCE: "/vens/{ven_id:str}/resources"},
    read=_read,
    show=_show,
    query=_query,
)
