"""What an answer to a bad request may say: why, as a problem, and nothing that was not asked."""

import re
from typing import Any

import httpx

INSIDE = re.compile(
    r"Traceback|File \"|\.py\b|site-packages|sqlalchemy|sqlite|asyncpg|msgspec|litestar|/(home|root|work|tmp|usr)/",
    re.IGNORECASE,
)
"""What nobody outside needs to know."""


def refused(answer: httpx.Response, *statuses: int, told: str = "") -> dict[str, Any]:
    """The problem in an answer, which must be 4xx (Definition, "Problem"); one of the statuses where some are named."""
    what = f"{told or answer.request.url}: {answer.status_code} {answer.text[:300]}"
    assert 400 <= answer.status_code < 500, what
    assert not statuses or answer.status_code in statuses, what
    assert answer.headers["content-type"] == "application/json", what
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code, what
    assert problem["title"], what
    assert len(problem["detail"]) > len("no"), what
    assert len(answer.content) < 2_000, f"{what}: a refusal repeats little of what it refuses"
    discreet(answer)
    return problem


def discreet(answer: httpx.Response) -> None:
    """Nothing of our insides is told."""
    assert not (seen := INSIDE.search(answer.text)), f"{answer.request.url}: {seen}: {answer.text[:300]}"


def unharmed(answer: httpx.Response, told: str) -> None:
    """Done or refused, as may be; never a failure of ours."""
    assert answer.status_code < 500, f"{told}: {answer.status_code} {answer.text[:300]}"
    if answer.status_code >= 400:
        refused(answer, told=told)
