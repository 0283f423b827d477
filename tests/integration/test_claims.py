"""Claims over real rows: who enrols by one, once, and who does not."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
import pytest

from tests.servers.rows import AnyRows, rows_at
from tieline.base.access import Caller, Grant, Proof
from tieline.base.errors import Conflict, NotFound, TielineError, Unauthenticated
from tieline.base.time import VirtualClock
from tieline.identity import actions, admission, claims, model, reads
from tieline.identity.claims import Added, Enrolled
from tieline.identity.model import Denied
from tieline.identity.routes import NewClaims
from tieline.identity.store import claim as table

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)


class Office:
    """The operator's and the devices' side of it, over rows where VENs `home-1` and `home-2` are registered."""

    def __init__(self, rows: AnyRows, clock: VirtualClock) -> None:
        self.rows, self.clock = rows, clock

    async def register(self, ven_id: str) -> str:
        return await self.rows.transaction(lambda tx: actions.issue(tx, ven_id, self.clock.now()))

    async def add(self, ven_id: str = "home-1", uses: int = 1, valid_h: float = 24) -> Added:
        lasts = timedelta(hours=valid_h)
        return await self.rows.transaction(lambda tx: claims.add(tx, ven_id, uses, lasts, self.clock.now()))

    async def use(self, shown: str, key: str, ven_id: str = "home-1", *, by_secret: bool = False) -> Enrolled:
        now = self.clock.now()
        return await self.rows.transaction(lambda tx: claims.use(tx, shown, ven_id, key, now, by_secret=by_secret))

    async def revoke(self, ven_id: str = "home-1") -> None:
        await self.rows.transaction(lambda tx: actions.revoke(tx, ven_id, self.clock.now()))

    async def admitted(self, ven_id: str, secret: str, mqtt_id: str | None = None) -> Grant | Denied:
        return await admission.device(self.rows, self.clock, Caller(ven_id, secret, mqtt_id or ven_id))

    async def certified(self, ven_id: str, purpose: str) -> Grant | Denied:
        proof = Proof(ven_id, NOW + timedelta(days=1), purpose)
        return await admission.certified(self.rows, self.clock, Caller("", "", ven_id, proof))


@pytest.fixture
async def office(tables: str) -> AsyncIterator[Office]:
    clock = VirtualClock(NOW)
    async with rows_at(tables, clock) as rows:
        found = Office(rows, clock)
        for ven_id in ("home-1", "home-2"):
            await found.register(ven_id)
        yield found


async def test_of_devices_that_race_for_a_claim_exactly_one_enrols(office: Office) -> None:
    for _ in range(5):
        shown = (await office.add()).claim
        outcomes = await asyncio.gather(*[office.use(shown, f"key {n}") for n in range(8)], return_exceptions=True)
        won = [one for one in outcomes if isinstance(one, Enrolled)]
        lost = [one for one in outcomes if isinstance(one, TielineError)]
        assert (len(won), len(lost)) == (1, 7)
        assert all(isinstance(one, Conflict) for one in lost)
        assert isinstance(await office.admitted("home-1", won[0].secret), Grant)


async def test_who_enrols_takes_the_place_of_the_device_before(office: Office) -> None:
    before = await office.register("home-1")
    done = await office.use((await office.add()).claim, "key")
    assert await office.admitted("home-1", before) is Denied.WRONG_SECRET
    assert isinstance(await office.admitted("home-1", done.secret), Grant)
    assert await office.certified("home-1", model.device_purpose(done.generation - 1)) is Denied.OLD_CERTIFICATE
    assert isinstance(await office.certified("home-1", model.device_purpose(done.generation)), Grant)


async def test_an_answer_that_was_lost_may_be_asked_for_again_by_the_same_key_only(office: Office) -> None:
    shown = (await office.add()).claim
    first = await office.use(shown, "key")
    again = await office.use(shown, "key")
    assert (again.generation, again.secret) == (first.generation, "")
    assert isinstance(await office.admitted("home-1", first.secret), Grant)
    with pytest.raises(Conflict, match="another device"):
        await office.use(shown, "another key")
    with pytest.raises(Conflict):
        await office.use(shown, "")  # no key, no proof of being the same
    await office.register("home-1")
    with pytest.raises(Conflict):
        await office.use(shown, "key")  # the credential that it gave is another's now


async def test_where_a_secret_is_shown_the_same_key_is_given_another_and_the_claim_is_used_once(office: Office) -> None:
    shown = (await office.add()).claim
    lost = await office.use(shown, "key", by_secret=True)
    told = await office.use(shown, "key", by_secret=True)
    assert await office.admitted("home-1", lost.secret) is Denied.WRONG_SECRET
    assert isinstance(await office.admitted("home-1", told.secret), Grant)
    for key in ("", "another key"):
        with pytest.raises(Conflict, match="another device"):
            await office.use(shown, key, by_secret=True)
    assert [one.used for one in await reads.claims(office.rows, "home-1")] == [1]
    await office.register("home-1")
    with pytest.raises(Conflict):
        await office.use(shown, "key", by_secret=True)  # the credential that it gave is another's now


async def test_a_claim_of_several_uses_serves_so_many_keys(office: Office) -> None:
    shown = (await office.add(uses=2)).claim
    done = [await office.use(shown, key) for key in ("a", "b", "b")]
    assert [one.generation for one in done] == [2, 3, 3]
    with pytest.raises(Conflict):
        await office.use(shown, "c")


async def test_what_opens_nothing_says_not_why(office: Office) -> None:
    good, spare = await office.add(), await office.add("home-2")
    revoked, brief = await office.add(), await office.add(valid_h=1)
    await office.rows.transaction(lambda tx: claims.revoke(tx, revoked.claim_id, NOW))
    await office.clock.advance(3600)
    swapped = f"{good.claim_id}.{spare.claim.partition('.')[2]}"
    said = set()
    wrong = ["", ".", "x", "x.y", good.claim_id, good.claim + "x", swapped, spare.claim, revoked.claim, brief.claim]
    for shown in wrong:
        with pytest.raises(Unauthenticated) as told:
            await office.use(shown, "key")
        said.add(str(told.value))
    assert len(said) == 1
    assert (await office.use(good.claim, "key")).secret


async def test_only_digests_are_kept(office: Office) -> None:
    added = await office.add()
    kept = await office.rows.read(lambda reader: reader.execute(table.select()).one())
    secret = added.claim.partition(".")[2]
    assert secret not in str(tuple(kept))
    assert secret not in repr(added)
    assert kept.secret_digest == model.digest(secret)


async def test_revoking_a_device_ends_its_claims_too_and_a_new_one_lets_it_back(office: Office) -> None:
    secret, shown = await office.register("home-1"), (await office.add()).claim
    await office.revoke()
    await office.revoke()
    assert await office.admitted("home-1", secret) is Denied.REVOKED
    assert await office.admitted("home-1", "guess") is Denied.WRONG_SECRET
    assert await office.certified("home-1", model.device_purpose(2)) is Denied.REVOKED
    assert await office.certified("home-1", "") is Denied.REVOKED
    with pytest.raises(Unauthenticated):
        await office.use(shown, "key")
    done = await office.use((await office.add()).claim, "key")
    assert isinstance(await office.admitted("home-1", done.secret), Grant)
    assert await office.certified("home-1", model.device_purpose(2)) is Denied.OLD_CERTIFICATE


async def test_a_retired_ven_can_have_no_device_again(office: Office) -> None:
    secret, shown = await office.register("home-1"), (await office.add()).claim
    await office.rows.transaction(lambda tx: actions.retire(tx, "home-1", NOW))
    assert await office.admitted("home-1", secret) is Denied.UNKNOWN
    assert await office.certified("home-1", model.device_purpose(2)) is Denied.UNKNOWN
    with pytest.raises(Unauthenticated):
        await office.use(shown, "key")
    for work in (partial(claims.add, ven_id="home-1", uses=1, lasts=timedelta(hours=1), now=NOW),):
        with pytest.raises(NotFound):
            await office.rows.transaction(work)
    with pytest.raises(NotFound):
        await office.revoke()


async def test_a_pause_ends_by_itself(office: Office) -> None:
    secret = await office.register("home-1")
    until = NOW + timedelta(seconds=60)
    await office.rows.transaction(lambda tx: actions.pause(tx, "home-1", until, NOW))
    assert await office.admitted("home-1", secret) is Denied.FLOODING
    assert await office.rows.read(lambda reader: reads.admitted(reader, ["home-1", "home-2"], NOW)) == {"home-2": 1}
    await office.clock.advance(60)
    assert isinstance(await office.admitted("home-1", secret), Grant)
    assert len(await office.rows.read(lambda reader: reads.admitted(reader, ["home-1", "home-2"], until))) == 2


async def test_who_is_new_has_neither_device_nor_claim(office: Office) -> None:
    async def new() -> list[str]:
        return [one.ven_id for one in await reads.credentials(office.rows, new_at=office.clock.now())]

    assert await new() == ["home-1", "home-2"]
    shown = await office.add("home-2")
    assert await new() == ["home-1"]
    await office.rows.transaction(lambda tx: claims.revoke(tx, shown.claim_id, NOW))
    assert await new() == ["home-1", "home-2"]
    await office.use((await office.add()).claim, "key")
    assert await new() == ["home-2"]
    await office.revoke("home-2")
    assert await new() == []
    shown_all = await reads.credentials(office.rows, new_at=None)
    assert [(one.ven_id, one.generation, one.enrolled_at) for one in shown_all] == [
        ("home-1", 2, NOW),
        ("home-2", 1, None),
    ]


async def test_a_claim_that_has_expired_or_is_used_up_is_not_open(office: Office) -> None:
    async def new() -> list[str]:
        return [one.ven_id for one in await reads.credentials(office.rows, new_at=office.clock.now())]

    await office.use((await office.add("home-1")).claim, "key")
    await office.add("home-2", valid_h=1)
    assert await new() == []
    await office.register("home-1")  # renewed: its device is no more
    assert await new() == ["home-1"]
    await office.clock.advance(3600)
    assert await new() == ["home-1", "home-2"]


async def test_claims_are_forgotten_long_after_they_expired(office: Office) -> None:
    await office.add(valid_h=24)
    await office.clock.advance((claims.KEEP + timedelta(days=1)).total_seconds())
    kept = await office.add("home-2")
    for later, known in ((0, 2), (1, 1)):
        await office.clock.advance(later)
        await office.rows.transaction(lambda tx: claims.forget(tx, office.clock.now()))
        assert len(await reads.claims(office.rows, None)) == known
    assert (await reads.claims(office.rows, None))[0].claim_id == kept.claim_id


async def test_another_s_client_id_is_refused_with_its_reason(office: Office) -> None:
    secret = await office.register("home-1")
    assert await office.admitted("home-1", secret, "home-2") is Denied.OTHER_CLIENT_ID
    assert await office.admitted("nobody", secret) is Denied.UNKNOWN


@pytest.mark.parametrize("text", ["device ", "device x", "device -1", "device 1234567890", "client", "", "Device 1"])
def test_only_our_own_authority_s_words_name_a_credential(text: str) -> None:
    assert model.generation_of(text) is None


def test_a_label_is_read_as_it_was_written() -> None:
    assert model.labelled(model.device_label("home_-1", 12)) == ("home_-1", 12)
    for other in ("", "ven-a", "device:", "device::1", "device:x:", "device:x:y", "client:x:1"):
        assert model.labelled(other) is None


@pytest.mark.parametrize("wrong", [{"uses": 0}, {"uses": 101}, {"valid_h": 0}, {"valid_h": 9000}, {"ven_ids": ["a b"]}])
def test_terms_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"ven_ids": ["x"], **wrong}, NewClaims)
