"""The HTTP door of documents: a run or an account as JSON, CSV or PDF, their signatures, and the keys to check them."""

from collections.abc import Sequence
from typing import Annotated

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, Parameter

from tieline.doors import OPEN, WithRows
from tieline.settlement.documents import actions
from tieline.settlement.documents.keys import Keys
from tieline.settlement.documents.model import Wanted
from tieline.settlement.documents.verification import KeySet

Name = Annotated[
    str,
    Parameter(
        max_length=80,
        description="`all` or a VEN of the run, `.json`, `.csv` or `.pdf`; `.jws` after it: that document's signature",
    ),
]


def routes(keys: Keys) -> Sequence[HTTPRouteHandler]:
    @get("/v1/settlements/{run_id:str}/documents/{name:str}")
    async def show_document(run_id: FromPath[str], name: Name, rows: WithRows) -> Response[bytes]:
        """A document of a run, the same bytes whenever it is asked for, or its detached signature (RFC 7515)."""
        wanted = Wanted.parsed(name)
        content = await actions.made(rows, keys, run_id, wanted)
        media = "application/jose" if wanted.signature else wanted.form.media_type
        headers = {"content-disposition": f'attachment; filename="{wanted.filename(run_id)}"'}
        return Response(content, media_type=media, headers=headers)

    @get("/v1/settlements/keys", opt=OPEN)
    async def show_keys() -> KeySet:
        """The public keys of all that ever signed a document, as JWKS (RFC 7517); open to everybody."""
        return await keys.public()

    return [show_document, show_keys]
