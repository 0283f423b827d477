"""What twins offer the process: their two doors, and the watch over what is still desired."""

from tieline.base.part import Part, Task
from tieline.base.time import Clock
from tieline.ports import Documents, Log, Rows
from tieline.registry.twins import routes
from tieline.registry.twins.actions import Publish, Twins
from tieline.registry.twins.mqtt import Beats, Flooded, Leavers, Refuse, Reports, SaidAt
from tieline.registry.twins.outstanding import Outstanding


def part(
    log: Log,
    rows: Rows,
    documents: Documents,
    clock: Clock,
    publish: Publish,
    refuse: Refuse,
    said_at: SaidAt,
    flooded: Flooded,
) -> Part:
    twins, outstanding = Twins(documents, rows, clock, publish), Outstanding(documents)
    reports = Reports(log, rows, twins, outstanding, refuse, said_at, flooded)
    return Part(
        "twins",
        tasks=[
            Task("twins.outstanding", outstanding.watch),
            Task("twins.reports", reports.run),
            Task("twins.beats", Beats(log, twins, outstanding, flooded).run),
            Task("twins.leavers", Leavers(log, rows, twins).run),
        ],
        routes=routes.routes(documents, twins),
    )
