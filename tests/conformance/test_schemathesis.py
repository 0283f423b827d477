"""Every operation of both specifications under Schemathesis: zero faults, and no success by refusing everything."""

import re

import pytest
import yaml

from tests.conformance.reality import Reality
from tests.conformance.swarm import SPECIFICATIONS, Swarm, unleash
from tests.conformance.vtn import DIALECTS, Dialect, Echo, Vtn

LEAST_TAKEN = 0.3
"""Of the valid requests to an operation; the rest name what is gone, or are another role's to make."""
BUSINESS = re.compile(
    r"(POST|PUT|DELETE) /(programs|events)\b.*|GET /notifiers/mqtt/topics/(events|reports|subscriptions|vens|resources)"
)
"""Operations that a VEN may never do."""
pytestmark = pytest.mark.timeout(300)


def operations(dialect: Dialect) -> set[str]:
    paths = yaml.safe_load(SPECIFICATIONS[dialect].read_text(encoding="utf-8"))["paths"]
    methods = ("get", "post", "put", "delete")
    return {f"{method.upper()} {path}" for path, item in paths.items() for method in methods if method in item}


def reality(vtn: Vtn, echo: Echo, dialect: Dialect, as_ven: bool) -> tuple[Reality, str, str]:
    """With the tokens of whoever does most, and of a VEN."""
    owner, ruler = vtn.usual("ven"), vtn.usual("bl")
    bl, ven = vtn.client(ruler, dialect), vtn.client(owner, dialect)
    subscriber = ven if as_ven else bl
    made = Reality(dialect, bl=bl, ven=ven, subscriber=subscriber, who=owner, callback=f"{echo.url}/swarm")
    return made, vtn.token(owner if as_ven else ruler), vtn.token(owner)


def show(swarm: Swarm) -> None:
    print(f"\n{swarm.table()}")
    print(f"{sum(counts.total() for counts in swarm.answers.values())} requests")
    assert not swarm.faults, "\n\n".join(f"{fault}\n{sent}" for fault, sent in swarm.faults.items())


@pytest.mark.clause("specification: every operation")
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_operation_as_specified(vtn: Vtn, echo: Echo, dialect: Dialect) -> None:
    """Business logic, and a VEN for what only VENs do: examples, constraints, fuzzing, sequences; all checks."""
    made, token, ven_token = reality(vtn, echo, dialect, as_ven=False)
    swarm = unleash(dialect, vtn.url(dialect), made, token=token, ven_token=ven_token, examples=2)
    show(swarm)
    assert set(swarm.answers) == operations(dialect)
    assert not {one: share for one in swarm.answers if (share := swarm.taken(one)) < LEAST_TAKEN}


@pytest.mark.clause("specification: every operation")
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_operation_as_a_ven(vtn: Vtn, echo: Echo, dialect: Dialect) -> None:
    made, token, ven_token = reality(vtn, echo, dialect, as_ven=True)
    swarm = unleash(
        dialect,
        vtn.url(dialect),
        made,
        token=token,
        ven_token=ven_token,
        examples=1,
        coverage={"generation": {"mode": "positive"}},
        fuzzing={"enabled": False},
        stateful={"enabled": False},
    )
    show(swarm)
    forbidden = {one for one in swarm.answers if BUSINESS.fullmatch(one)}
    assert {one: dict(swarm.valid[one]) for one in forbidden if set(swarm.valid[one]) != {403}} == {}
    allowed = set(swarm.answers) - forbidden
    assert not {one: share for one in allowed if (share := swarm.taken(one)) < LEAST_TAKEN}
