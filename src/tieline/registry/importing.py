"""Bulk import: a sheet's VENs registered, each whole or not at all, and what became of every row.

What is there already and equal is unchanged, so that importing again changes nothing; what differs is refused and
stays as it is. Nobody is told a secret of VENs so registered: their devices enrol by a claim, or a new one is made.
"""

import asyncio
import enum
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from tieline.base.errors import Refused
from tieline.base.time import Clock
from tieline.ports import Reader, Rows, Transaction
from tieline.registry import actions, reads, sheet, store
from tieline.registry.model import NewResource, NewSite, Resource
from tieline.registry.sheet import Unit

AT_ONCE = 50
"""VENs registered in one transaction: others wait no longer for it."""


class Outcome(enum.StrEnum):
    ADDED = "added"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class Line(msgspec.Struct, frozen=True):
    """What became of a row, numbered as a spreadsheet does."""

    row: int
    ven_id: str
    resource_id: str | None
    outcome: Outcome
    reason: str | None = None


class Report(msgspec.Struct, frozen=True):
    """Row by row, in order; of a `dry_run` what would have become of each."""

    dry_run: bool
    rows: int
    added: int
    unchanged: int
    refused: int
    items: list[Line]


class _Known(msgspec.Struct):
    """Sites and names that this import gives, beside those that are registered."""

    sites: dict[str, NewSite] = {}
    names: dict[str, str] = {}


class _Plan(msgspec.Struct, frozen=True):
    """What has to be added for a VEN; nothing where all is there."""

    site: NewSite | None
    ven: bool
    resources: list[NewResource]


async def import_sheet(rows: Rows, clock: Clock, data: bytes, *, dry_run: bool) -> Report:
    """Raises `Refused` for what is no such sheet; what is wrong in its rows is in the report."""
    units = await asyncio.to_thread(lambda: sheet.units(sheet.read(data)))  # 10 MB take seconds
    known, lines = _Known(), list[Line]()
    for first in range(0, len(units), AT_ONCE):
        some, now = units[first : first + AT_ONCE], clock.now()
        if dry_run:
            found, known = await rows.read(lambda reader, some=some, known=known: _looked(reader, some, known))  # type: ignore[misc]
        else:
            found = await rows.transaction(lambda tx, some=some, now=now: _registered(tx, some, now))  # type: ignore[misc]
        lines += found
    lines.sort(key=lambda one: one.row)
    count = Counter(one.outcome for one in lines)
    return Report(
        dry_run, len(lines), count[Outcome.ADDED], count[Outcome.UNCHANGED], count[Outcome.REFUSED], items=lines
    )


def _registered(tx: Transaction, units: Sequence[Unit], now: datetime) -> list[Line]:
    lines = list[Line]()
    for unit in units:
        try:
            plan = _planned(tx, unit, _Known())
        except Refused as error:
            lines += _refused(unit, str(error))
            continue
        _add(tx, unit, plan, now)
        lines += _taken(unit, plan)
    return lines


def _looked(reader: Reader, units: Sequence[Unit], before: _Known) -> tuple[list[Line], _Known]:
    """As if they were registered one after another."""
    known, lines = _Known(dict(before.sites), dict(before.names)), list[Line]()
    for unit in units:
        try:
            plan = _planned(reader, unit, known)
        except Refused as error:
            lines += _refused(unit, str(error))
            continue
        if plan.site is not None:
            known.sites[plan.site.site_id] = plan.site
        if plan.ven:
            known.names[unit.new_ven().name] = unit.ven_id
        lines += _taken(unit, plan)
    return lines, known


def _add(tx: Transaction, unit: Unit, plan: _Plan, now: datetime) -> None:
    if plan.site is not None:
        store.add_site(tx, plan.site, now)
    if plan.ven:
        actions.enter_ven(tx, unit.new_ven(), now)
    elif plan.resources:
        actions.enter_resources(tx, reads.the_ven(tx, unit.ven_id), plan.resources, now)


def _planned(reader: Reader, unit: Unit, known: _Known) -> _Plan:
    """Raises `Refused` for what is wrong, or there already and different."""
    if unit.wrong:
        raise Refused("")  # each row has its own reason
    new_site = _planned_site(reader, unit, known)
    new, ven = unit.new_ven(), reads.find_ven(reader, unit.ven_id)
    if ven is None:
        if reads.is_retired(reader, unit.ven_id):
            raise Refused(f"VEN {unit.ven_id} was retired, and what it did is on record: give the new one another id")
        same = known.names.get(new.name) or reads.ven_named(reader, new.name)
        if same is not None:
            raise Refused(f"VEN {same} is named {new.name!r} already: names are unique")
        return _Plan(new_site, True, list(new.resources))
    is_ = {"site_id": ven.site_id, "name": ven.name, "targets": list(ven.targets or ())}
    _check_same(f"VEN {unit.ven_id} is there", {**unit.ven, "site_id": unit.site_id}, {"ven_id": ven.ven_id, **is_})
    return _Plan(new_site, False, _new_resources(unit, reads.resources_of(reader, unit.ven_id)))


def _planned_site(reader: Reader, unit: Unit, known: _Known) -> NewSite | None:
    """None where it is there already, and the same."""
    site = reads.find_site(reader, unit.site_id) or known.sites.get(unit.site_id)
    if site is None:
        return unit.new_site()
    _check_same(f"site {unit.site_id} is there", unit.site, msgspec.structs.asdict(site))
    return None


def _new_resources(unit: Unit, there: Sequence[Resource]) -> list[NewResource]:
    """Those that are not there yet. Raises `Refused` where one is, and different."""
    by_id, names = {one.resource_id: one for one in there}, {one.name for one in there}
    new = list[NewResource]()
    for row, resource in unit.resources.items():
        known = by_id.get(resource.resource_id)
        if known is not None:
            _check_same(f"resource {resource.resource_id} is there", unit.said[row], msgspec.structs.asdict(known))
        elif resource.name in names:
            raise Refused(f"VEN {unit.ven_id} has a resource named {resource.name!r} already")
        else:
            new.append(resource)
    return new


def _check_same(what: str, given: Mapping[str, object], is_: Mapping[str, object]) -> None:
    differing = [f"its {name} is {is_[name]!s}, not {value!s}" for name, value in given.items() if is_[name] != value]
    if differing:
        raise Refused(f"{what}, but {', '.join(differing)}: an import adds, and changes nothing")


def _taken(unit: Unit, plan: _Plan) -> Iterator[Line]:
    new = {one.resource_id for one in plan.resources}
    for row in unit.rows:
        resource = unit.resources.get(row.number)
        added = plan.ven if resource is None else resource.resource_id in new
        outcome = Outcome.ADDED if added else Outcome.UNCHANGED
        yield Line(row.number, unit.ven_id, resource.resource_id if resource else None, outcome)


def _refused(unit: Unit, reason: str) -> Iterator[Line]:
    """All rows of the VEN: those that are wrong with their own reason."""
    wrong = {one.row: one.reason for one in unit.wrong}
    beside = f"row {next(iter(wrong))} of the same VEN is refused" if wrong else reason
    for row in unit.rows:
        why = wrong.get(row.number, beside)
        yield Line(row.number, unit.ven_id, row.cells.get("resource_id"), Outcome.REFUSED, why)
