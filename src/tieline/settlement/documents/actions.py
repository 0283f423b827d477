"""Making a document of a run, and signing it."""

import asyncio

from tieline.ports import Reader, Rows
from tieline.settlement.documents import model
from tieline.settlement.documents.content import content_of
from tieline.settlement.documents.keys import Keys
from tieline.settlement.documents.model import AccountDocument, Wanted
from tieline.settlement.documents.verification import TYPE, Header, signature
from tieline.settlement.runs import reads
from tieline.settlement.runs.model import Run


async def made(rows: Rows, keys: Keys, run_id: str, wanted: Wanted) -> bytes:
    """The document, or its signature. Raises `NotFound`."""
    shown = await _read(rows, run_id, wanted.ven_id)
    content = await asyncio.to_thread(content_of, shown, wanted.form)
    return await _signed(content, shown, wanted, keys) if wanted.signature else content


async def _read(rows: Rows, run_id: str, ven_id: str) -> Run | AccountDocument:
    def of_one(reader: Reader) -> AccountDocument:
        return model.of_account(reads.the_head(reader, run_id), reads.the_account(reader, run_id, ven_id))

    return await rows.read(of_one) if ven_id else await reads.the_run(rows, run_id)


async def _signed(content: bytes, shown: Run | AccountDocument, wanted: Wanted, keys: Keys) -> bytes:
    kid, private = await keys.signing()
    header = Header(
        alg="Ed25519",
        kid=kid,
        typ=TYPE,
        cty=wanted.form.media_type.partition(";")[0],
        run_id=shown.run_id,
        ven_id=wanted.ven_id,
        json_sha256=await asyncio.to_thread(model.json_digest, shown),
    )
    return (await asyncio.to_thread(signature, content, header, private)).encode()
