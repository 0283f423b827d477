"""Clients, tokens and keys over real rows: what is given, what is known, and what stops working when."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.integration.identity_world import NOW, World
from tests.servers.rows import rows_at
from tieline.adapters.sql.outbox import OUTBOX
from tieline.base.errors import Conflict, NotFound, Unauthenticated
from tieline.base.time import VirtualClock
from tieline.identity import actions, reads
from tieline.identity.keys import new_key
from tieline.identity.model import TokenPolicy
from tieline.identity.scopes import SCOPES, Role
from tieline.identity.store import client, signing_key
from tieline.identity.verification import OwnTokens, Verifier
from tieline.wires.openadr31.auth import AuthError, AuthFault, TokenResponse

HOUR = 3600


@pytest.fixture
async def world(tables: str) -> AsyncIterator[World]:
    clock = VirtualClock(NOW)
    async with rows_at(tables, clock) as rows:
        yield World(rows, clock)


async def refuses(world: World, token: str) -> bool:
    try:
        await world.verifier.verify(token)
    except Unauthenticated:
        return True
    return False


# --- clients ----------------------------------------------------------------------------------------------------------


async def test_a_client_s_secret_is_told_once_and_kept_nowhere(world: World) -> None:
    secrets = [await world.add("v"), await world.renew("v")]
    kept = [*await world.rows_of(client), *await world.rows_of(OUTBOX)]
    assert len(secrets[0]) == 43
    assert not [secret for secret in secrets if secret in repr(kept)]


async def test_clients_are_listed_and_what_happens_to_them_is_said(world: World) -> None:
    await world.add("b", Role.BL)
    await world.add("a", Role.VEN, "write_reports")
    await world.clock.advance(1)
    await world.renew("b")
    await world.revoke("a")
    await world.revoke("a")

    found = await reads.clients(world.rows)
    assert [(one.client_id, one.role, set(one.scopes)) for one in found] == [
        ("a", Role.VEN, {"write_reports"}),
        ("b", Role.BL, set(SCOPES[Role.BL])),
    ]
    later = NOW + timedelta(seconds=1)
    assert [(one.created_at, one.renewed_at, one.revoked_at) for one in found] == [
        (NOW, None, later),
        (NOW, later, None),
    ]
    said = [(row.subject, msgspec.json.decode(row.data)["client_id"]) for row in await world.rows_of(OUTBOX)]
    assert said == [
        ("news.client.added", "b"),
        ("news.client.added", "a"),
        ("news.client.renewed", "b"),
        ("news.client.revoked", "a"),
    ]


async def test_an_id_is_given_once_and_an_unknown_one_is_not_there(world: World) -> None:
    await world.add("v")
    await world.revoke("v")
    with pytest.raises(Conflict, match="already"):
        await world.add("v")
    with pytest.raises(NotFound, match="client list"):
        await world.renew("w")
    with pytest.raises(NotFound):
        await world.revoke("w")


# --- fetching ---------------------------------------------------------------------------------------------------------


async def test_a_token_says_who_has_it(world: World) -> None:
    secret = await world.add("v")
    answer = await world.ask("v", secret)
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    assert isinstance(answer.body, TokenResponse)
    assert (answer.body.token_type, answer.body.expires_in) == ("Bearer", HOUR)
    assert answer.body.scope == "read_targets read_ven_objects write_reports write_subscriptions write_vens"
    bearer = await world.verifier.verify(answer.body.access_token)
    assert (bearer.client_id, bearer.role, bearer.scopes) == ("v", Role.VEN, SCOPES[Role.VEN])
    assert bearer.expires_at == NOW + timedelta(hours=1)


async def test_a_token_holds_of_what_is_asked_what_the_client_holds(world: World) -> None:
    secret = await world.add("v", Role.VEN, "read_targets", "read_ven_objects", "write_reports")
    bearer = await world.verifier.verify(await world.token("v", secret, scope="read_all write_events write_reports"))
    assert bearer.scopes == frozenset({"read_targets", "read_ven_objects", "write_reports"})
    answer = await world.ask("v", secret, scope="write_events")
    assert isinstance(answer.body, AuthError)
    assert (answer.status, answer.body.error) == (400, AuthFault.INVALID_SCOPE)


@pytest.mark.parametrize("client_id", ["v", "w", "revoked", "x" * 4000, "a\x00b", "é"])
async def test_a_wrong_secret_and_an_unknown_client_are_answered_alike(world: World, client_id: str) -> None:
    await world.add("v")
    secret = await world.add("revoked")
    await world.revoke("revoked")
    answer = await world.ask(client_id, secret)
    assert isinstance(answer.body, AuthError)
    assert (answer.status, answer.body.error) == (401, AuthFault.INVALID_CLIENT)
    assert answer.headers["www-authenticate"].startswith("Basic realm=")
    assert answer == await world.ask("nobody", "nobody")


async def test_whoever_guesses_waits_and_the_honest_client_does_not(world: World) -> None:
    secret = await world.add("v")
    for _ in range(5):
        assert (await world.ask("v", "guess")).status == 401
    began = world.clock.now()
    guess = asyncio.create_task(world.ask("v", "guess"))
    while not guess.done():
        await world.clock.advance(0.01)
    assert (await guess).status == 401
    assert (then := world.clock.now()) >= began + timedelta(seconds=0.1)
    assert (await world.ask("v", secret)).status == 200
    assert world.clock.now() == then


# --- knowing ----------------------------------------------------------------------------------------------------------


async def test_a_token_is_known_without_a_look_until_it_expires(world: World) -> None:
    token = await world.token("v", await world.add("v"))
    assert world.verifier.known(token) is None
    bearer = await world.verifier.verify(token)
    assert world.verifier.known(token) is bearer
    await world.clock.advance(HOUR - 1)
    assert await world.verifier.verify(token) is bearer
    await world.clock.advance(1)
    assert world.verifier.known(token) is None
    await world.clock.advance(5)
    assert await refuses(world, token)


async def test_the_tokens_that_are_remembered_are_bounded(world: World) -> None:
    few = Verifier(OwnTokens(world.rows, world.clock, world.keys), world.clock, at_most=2)
    secret = await world.add("v")
    tokens = [await world.token("v", secret) for _ in range(3)]
    for token in (tokens[0], tokens[1], tokens[0], tokens[2]):
        await few.verify(token)
    assert [few.known(token) is not None for token in tokens] == [True, False, True]


@pytest.mark.parametrize("end", ["revoke", "renew"])
async def test_a_client_s_tokens_end_with_it_within_a_second_everywhere(world: World, end: str) -> None:
    here, there = world, world.beside()
    token, untouched = [await world.token(name, await world.add(name)) for name in ("v", "w")]
    for process in (here, there):
        for one in (token, untouched):
            await process.verifier.verify(one)

    await getattr(there, end)("v")

    await world.clock.advance(1)
    for process in (here, there):
        assert process.verifier.known(token) is None
        assert await refuses(process, token)
        assert await refuses(process, token)
        assert not await refuses(process, untouched)


async def test_a_revoked_client_that_is_renewed_is_back_and_its_old_tokens_are_not(world: World) -> None:
    old = await world.token("v", await world.add("v"))
    await world.verifier.verify(old)
    await world.revoke("v")
    secret = await world.renew("v")
    await world.clock.advance(1)
    assert await refuses(world, old)
    assert not await refuses(world, await world.token("v", secret))


async def test_many_changes_at_once_are_all_heard_of(world: World) -> None:
    names = [f"v{n}" for n in range(8)]
    tokens = [await world.token(name, await world.add(name)) for name in names]
    for token in tokens:
        await world.verifier.verify(token)
    await asyncio.gather(*[world.revoke(name) for name in names[:6]])
    await world.clock.advance(1)
    assert [await refuses(world, token) for token in tokens] == [True] * 6 + [False] * 2
    revisions = [row.revision for row in await world.rows_of(client) if row.revoked_at]
    assert sorted(revisions) == [1, 2, 3, 4, 5, 6]


async def test_a_token_of_a_client_that_is_gone_is_refused(world: World) -> None:
    token = await world.token("v", await world.add("v"))
    await world.rows.transaction(lambda tx: tx.execute(client.delete()))
    assert await refuses(world, token)


# --- keys -------------------------------------------------------------------------------------------------------------


async def test_processes_that_race_for_the_first_key_agree(world: World) -> None:
    processes = [world.beside() for _ in range(4)]
    kids = {key.kid for key in await asyncio.gather(*[one.keys.signing() for one in processes for _ in range(3)])}
    assert len(kids) == 1
    assert len(await world.rows_of(signing_key)) == 1


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_the_key_set_verifies_the_tokens_and_holds_no_private_half(world: World, algorithm: str) -> None:
    process = world.beside(TokenPolicy(algorithm=algorithm))
    token = await process.token("v", await process.add("v"))
    found = await process.issuer.jwks()
    assert [(key["alg"], key["use"]) for key in found["keys"]] == [(algorithm, "sig")]
    assert not {"d", "p", "q", "dp", "dq", "qi"} & set(found["keys"][0])
    opened_ = jwt.decode(token, KeySet.import_key_set(found), algorithms=[algorithm])  # type: ignore[arg-type]
    assert opened_.claims["client_id"] == "v"
    assert opened_.header["typ"] == "at+jwt"


async def rotate(world: World) -> None:
    fresh = new_key(world.policy.algorithm, world.clock.now())
    await world.rows.transaction(lambda tx: actions.rotate_keys(tx, fresh, world.policy, world.clock.now()))


async def test_after_a_rotation_old_tokens_live_on_and_the_old_key_ends_with_the_last_of_them(world: World) -> None:
    secret = await world.add("v")
    old = await world.keys.signing()
    await world.clock.advance(1)
    await rotate(world)
    late = await world.token("v", secret)  # this process has not heard yet
    await world.clock.advance(61)
    other = world.beside()
    assert (await world.keys.signing()).kid == (await other.keys.signing()).kid != old.kid
    assert not await refuses(other, late)
    await world.clock.advance(HOUR - 70)
    assert not await refuses(world.beside(), late)
    assert len((await other.issuer.jwks())["keys"]) == 2
    await world.clock.advance(370)
    assert await other.keys.verifying(old.kid) is None
    assert len((await other.issuer.jwks())["keys"]) == 1
    await rotate(world)
    assert old.kid not in {row.kid for row in await world.rows_of(signing_key)}


async def test_a_key_is_replaced_when_it_is_old(world: World) -> None:
    secret = await world.add("v")
    old = await world.keys.signing()
    token = await world.token("v", secret)
    await world.clock.advance(world.policy.key_age.total_seconds() - 1)
    assert (await world.keys.signing()).kid == old.kid
    await world.clock.advance(1)
    processes = [world, world.beside()]
    fresh = {(await one.keys.signing()).kid for one in processes}
    assert len(fresh) == 1
    assert old.kid not in fresh
    assert await refuses(world, token)


async def test_a_process_hears_of_a_new_key_from_the_token_that_it_signed(world: World) -> None:
    secret = await world.add("v")
    await world.token("v", secret)
    await world.clock.advance(2)
    await rotate(world)
    assert not await refuses(world, await world.beside().token("v", secret))


async def test_a_key_that_was_retired_ends_where_no_newer_one_was_ever_seen_too(world: World) -> None:
    """Were it stolen, whoever has it could sign for ever new tokens, which name no other key."""
    old = await world.keys.signing()
    await rotate(world)
    await world.clock.advance(world.policy.lifetime.total_seconds() + 600)
    assert await world.keys.verifying(old.kid) is None


async def test_two_algorithms_side_by_side_each_keep_their_key(world: World) -> None:
    other = world.beside(TokenPolicy(algorithm="RS256"))
    secret = await world.add("v")
    for _ in range(2):
        for process in (world, other):
            token = await process.token("v", secret)
            await world.clock.advance(61)
            assert not await refuses(world, token)
            assert not await refuses(other, token)
    assert len(await world.rows_of(signing_key)) == 2


async def test_an_unknown_key_is_looked_for_once_a_second(world: World) -> None:
    token = await world.token("v", await world.add("v"))
    looks = 0
    read = world.rows.read

    async def counted(work: Any) -> Any:
        nonlocal looks
        looks += 1
        return await read(work)

    world.rows.read = counted  # type: ignore[method-assign]
    _, rest = token.split(".", 1)
    for n in range(20):
        head = base64.urlsafe_b64encode(b'{"alg":"ES256","kid":"k%d","typ":"at+jwt"}' % n).rstrip(b"=").decode()
        assert await refuses(world, f"{head}.{rest}")
    assert looks <= 3  # what changed of clients: twice; the keys: once at most
