"""The HTTP door of feeds."""

from litestar import get
from litestar.params import FromPath

from tieline.doors import Cursor, Limit, Page, Search, WithRows, after, page
from tieline.feeds import reads
from tieline.feeds.model import FileSummary, LoadedFile


@get("/v1/files")
async def list_files(rows: WithRows, limit: Limit = 100, cursor: Cursor = None, q: Search = None) -> Page[FileSummary]:
    found = await reads.files(rows, q=q, after=after(cursor), limit=limit + 1)
    return page(found, limit, reads.cursor)


@get("/v1/files/{digest:str}")
async def show_file(digest: FromPath[str], rows: WithRows) -> LoadedFile:
    """A file with its first quarantined rows and its findings."""
    return await rows.read(lambda reader: reads.the_file(reader, digest))


ROUTES = [list_files, show_file]
