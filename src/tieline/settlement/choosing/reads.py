"""What others may ask of proposals. Functions on a Reader join a caller's transaction."""

import msgspec
import sqlalchemy as sa

from tieline.base.errors import NotFound
from tieline.columns import structs
from tieline.ports import Reader
from tieline.settlement.choosing.model import Alarm, Evidence, Proposal, State
from tieline.settlement.choosing.store import proposal

_FIELDS = [proposal.c[name] for name in Proposal.__struct_fields__]


def the_proposal(reader: Reader, proposal_id: str) -> Proposal:
    """Raises `NotFound`."""
    found = structs(Proposal, reader.execute(sa.select(*_FIELDS).where(proposal.c.proposal_id == proposal_id)))
    if not found:
        raise NotFound(f"there is no proposal {proposal_id!r}: GET /v1/programs/{{id}}/baseline-proposals lists them")
    return found[0]


def of_program(reader: Reader, program_id: str, *, before: int | None = None, limit: int = 100) -> list[Proposal]:
    """The newest first, without their scores and alarms; from below the number `before` on."""
    query = sa.select(*_FIELDS).where(proposal.c.program_id == program_id).order_by(proposal.c.number.desc())
    if before is not None:
        query = query.where(proposal.c.number < before)
    return [_brief(one) for one in structs(Proposal, reader.execute(query.limit(limit)))]


def _brief(one: Proposal) -> Proposal:
    if one.evidence is None:
        return one
    return msgspec.structs.replace(one, evidence=msgspec.structs.replace(one.evidence, scores=[], alarms=[]))


def alarms(reader: Reader, program_id: str) -> list[Alarm]:
    """Those of the newest look at the program, the loudest first."""
    made = sa.and_(proposal.c.program_id == program_id, proposal.c.state == State.MADE)
    query = sa.select(proposal.c.evidence).where(made).order_by(proposal.c.number.desc()).limit(1)
    found: Evidence | None = reader.execute(query).scalar()
    return [] if found is None else sorted(found.alarms, key=lambda one: -one.z)


def newest_number(reader: Reader, program_id: str) -> int:
    found = reader.execute(sa.select(sa.func.max(proposal.c.number)).where(proposal.c.program_id == program_id))
    return found.scalar() or 0


def number_of(one: Proposal) -> int:
    return int(one.proposal_id.rpartition("-")[2])


def asked(reader: Reader) -> list[Proposal]:
    """Those that are still to be worked out, the oldest first."""
    query = sa.select(*_FIELDS).where(proposal.c.state == State.ASKED).order_by(proposal.c.asked_at)
    return structs(Proposal, reader.execute(query))
