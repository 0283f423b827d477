"""A client of the OpenADR doors for tests here: let in by the command line, known by its secret."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

from tests.e2e.platform import Platform

VERSION = "3.1.0"


class OpenAdrClient:
    """Its token lasts as long as a test. Waits in the loop, so that a receiver in the same loop can answer."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def create(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """One more of `kind`, such as events, as the platform answers it."""
        answer = await self._http.post(kind, json=body)
        assert answer.status_code == 201, f"{kind}: {answer.status_code} {answer.text}"
        made: dict[str, Any] = answer.json()
        return made


@contextlib.asynccontextmanager
async def let_in(platform: Platform, client_id: str, role: str) -> AsyncIterator[OpenAdrClient]:
    """A new client, as an operator adds it, until the block ends."""
    add = ("client", "add", client_id, "--role", role, "--id", client_id, "--json")
    added = await asyncio.to_thread(platform.run, *add)
    assert added.returncode == 0, added.stderr
    secret = json.loads(added.stdout)["client_secret"]
    async with httpx.AsyncClient(base_url=f"{platform.url}/openadr3/{VERSION}/", timeout=60) as http:
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
        token = await http.post("auth/token", data=form)
        assert token.status_code == 200, token.text
        http.headers["authorization"] = f"Bearer {token.json()['access_token']}"
        yield OpenAdrClient(http)
