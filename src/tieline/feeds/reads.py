"""What others may ask of feeds."""

import msgspec
import sqlalchemy as sa

from tieline.base.errors import NotFound
from tieline.base.time import parse_instant
from tieline.feeds.model import FileSummary, LoadedFile
from tieline.feeds.store import loaded_file
from tieline.ports import Reader, Rows

_SUMMARY = [loaded_file.c[name] for name in FileSummary.__struct_fields__]


def find_file(reader: Reader, digest: str) -> LoadedFile | None:
    found = reader.execute(sa.select(loaded_file).where(loaded_file.c.digest == digest)).first()
    return None if found is None else msgspec.convert(found, LoadedFile, from_attributes=True)


def the_file(reader: Reader, digest: str) -> LoadedFile:
    """Raises `NotFound`."""
    if (found := find_file(reader, digest)) is None:
        raise NotFound(f"no file of digest {digest!r} was loaded")
    return found


async def files(rows: Rows, *, q: str | None = None, after: str = "", limit: int = 100) -> list[FileSummary]:
    """Newest first, after a `cursor`; `q` is text in the name or dataset."""
    query = sa.select(*_SUMMARY).order_by(loaded_file.c.loaded_at.desc(), loaded_file.c.digest.desc()).limit(limit)
    if q:
        columns = (loaded_file.c.name, loaded_file.c.dataset)
        query = query.where(sa.or_(*[column.icontains(q, autoescape=True) for column in columns]))
    if after:
        at, _, digest = after.partition(" ")
        time = sa.literal(parse_instant(at, "cursor"), loaded_file.c.loaded_at.type)
        query = query.where(sa.tuple_(loaded_file.c.loaded_at, loaded_file.c.digest) < sa.tuple_(time, digest))
    found = await rows.read(lambda reader: reader.execute(query).all())
    return msgspec.convert(found, list[FileSummary], from_attributes=True)


def cursor(file: FileSummary) -> str:
    return f"{file.loaded_at.isoformat()} {file.digest}"
