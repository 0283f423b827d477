"""Documents of a settlement at their door: signed by a key that is kept, checked without us, checked after rotation."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from litestar import Litestar
from litestar.di import Provide

from tests.servers.rows import AnyRows, rows_at
from tests.unit.settlement_run import small_run
from tieline import doors
from tieline.base.errors import Refused
from tieline.base.time import VirtualClock
from tieline.cli import document
from tieline.identity import sealing
from tieline.settlement.documents.keys import Keys
from tieline.settlement.documents.part import part
from tieline.settlement.documents.store import key_in_use
from tieline.settlement.documents.verification import keys_of, verified
from tieline.settlement.model import canonical
from tieline.settlement.runs.store import add_run, packed

CLOCK = VirtualClock(datetime(2026, 7, 4, tzinfo=UTC))
RUN = small_run()
AT = f"/v1/settlements/{RUN.run_id}/documents"


@pytest.fixture(autouse=True)
def _quickly_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes guessing dear is not tried here."""
    monkeypatch.setattr(sealing, "_COST", 2**4)


@pytest.fixture
async def rows(tables: str) -> AsyncIterator[AnyRows]:
    async with rows_at(tables, CLOCK) as rows:
        accounts: list[dict[str, object]] = [
            {"run_id": RUN.run_id, "ven_id": one.ven_id, "total": one.total, "packed": packed(one)}
            for one in RUN.accounts
        ]
        await rows.transaction(lambda tx: add_run(tx, RUN, accounts, CLOCK.now()))
        yield rows


def keys(rows: AnyRows, passphrase: str = "kept elsewhere") -> Keys:
    return Keys(rows, CLOCK, lambda: passphrase)


def door(rows: AnyRows) -> httpx.AsyncClient:
    provided = {"rows": Provide(lambda: rows, sync_to_thread=False)}
    routes: Any = part(rows, CLOCK, lambda: "kept elsewhere").routes
    app: Any = Litestar(routes, dependencies=provided, exception_handlers=doors.PROBLEMS)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tieline")


async def test_each_document_comes_with_its_type_its_name_and_a_signature_that_holds(rows: AnyRows) -> None:
    async with door(rows) as client:
        known = keys_of((await client.get("/v1/settlements/keys")).content)
        for name, media in [
            ("all.json", "application/json"),
            ("home-2.csv", "text/csv"),
            ("home-2.pdf", "application/pdf"),
        ]:
            answer = await client.get(f"{AT}/{name}")
            assert answer.headers["content-type"].partition(";")[0] == media
            assert RUN.run_id in answer.headers["content-disposition"]
            signature = await client.get(f"{AT}/{name}.jws")
            assert signature.headers["content-type"].partition(";")[0] == "application/jose"
            assert verified(answer.content, signature.text, known).run_id == RUN.run_id
        assert (await client.get(f"{AT}/all.json")).content == canonical(RUN)
        refusals = {"home-9.pdf": 404, "all.xlsx": 422}
        assert {name: (await client.get(f"{AT}/{name}")).status_code for name in refusals} == refusals
        assert (await client.get("/v1/settlements/none-2026-01-01-1/documents/all.pdf")).status_code == 404


async def test_processes_share_a_key_that_only_its_passphrase_opens(rows: AnyRows) -> None:
    kid, private = await keys(rows).signing()
    again, same = await keys(rows).signing()
    assert (kid, private.private_bytes_raw()) == (again, same.private_bytes_raw())
    kept = await rows.read(key_in_use)
    assert kept is not None
    assert private.private_bytes_raw() not in kept[1]
    with pytest.raises(Refused, match="TIELINE_CA_KEY"):
        await keys(rows, "another").signing()


async def test_after_rotation_another_key_signs_and_what_was_signed_still_holds(rows: AnyRows, tmp_path: Path) -> None:
    running = keys(rows)
    async with door(rows) as client:
        for name in ("home-2.json", "home-2.json.jws"):
            (tmp_path / name).write_bytes((await client.get(f"{AT}/{name}")).content)
        before, _ = await running.signing()
        after = await keys(rows).rotate()
        assert (await running.signing())[0] == after != before  # though it had the old one in memory
        published = await client.get("/v1/settlements/keys")
    assert {one["kid"] for one in published.json()["keys"]} == {before, after}
    (tmp_path / "keys.json").write_bytes(published.content)
    _verified_by_command(tmp_path)


def _verified_by_command(folder: Path) -> None:
    """Without a platform, by three files."""
    command = [str(folder / "home-2.json"), "--keys", str(folder / "keys.json"), "--json"]
    held = CliRunner().invoke(document.verify, command, catch_exceptions=False)
    assert held.exit_code == 0
    assert '"ven_id": "home-2"' in held.output
    signed = folder / "home-2.json"
    signed.write_bytes(signed.read_bytes().replace(b"2039.18", b"9039.18"))
    with pytest.raises(Refused, match="was changed"):
        CliRunner().invoke(document.verify, command, catch_exceptions=False)
