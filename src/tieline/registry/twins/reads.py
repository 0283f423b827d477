"""What others may ask of twins."""

from collections.abc import AsyncIterator

import msgspec

from tieline.base.errors import NotFound
from tieline.base.names import is_id
from tieline.ports import Document, Documents
from tieline.registry.twins.model import Twin, TwinLine, TwinView, delta

_PREFIX = "twin"
_DECODER: msgspec.json.Decoder[Twin] = msgspec.json.Decoder(Twin)


def key(ven_id: str, name: str) -> str:
    return f"{_PREFIX}.{ven_id}.{name}"


def decoded(document: Document) -> Twin:
    return _DECODER.decode(document.data)


def view(ven_id: str, name: str, twin: Twin) -> TwinView:
    differs = delta(twin.desired, twin.reported)
    return TwinView(
        ven_id, name, twin.version, twin.at, twin.desired, twin.reported, differs, twin.metadata, twin.deleted
    )


async def find_twin(documents: Documents, ven_id: str, name: str) -> Twin | None:
    """None too for one that was deleted."""
    document = await documents.get(key(ven_id, name)) if is_id(name) else None
    twin = None if document is None else decoded(document)
    return None if twin is None or twin.deleted else twin


async def the_twin(documents: Documents, ven_id: str, name: str) -> TwinView:
    """Raises `NotFound`."""
    twin = await find_twin(documents, ven_id, name)
    if twin is None:
        raise NotFound(f"VEN {ven_id} has no twin {name!r}")
    return view(ven_id, name, twin)


async def names(documents: Documents, ven_id: str) -> list[str]:
    """Of the twins of a VEN, in order; those that were deleted too."""
    return [one.rpartition(".")[2] for one in await documents.keys(f"{_PREFIX}.{ven_id}")]


async def twins(documents: Documents, ven_id: str, *, after: str = "", limit: int) -> list[TwinLine]:
    """In order of name, after a name."""
    lines: list[TwinLine] = []
    for name in await names(documents, ven_id):
        if name > after and len(lines) < limit and (twin := await find_twin(documents, ven_id, name)):
            differs = bool(delta(twin.desired, twin.reported))
            lines.append(TwinLine(ven_id, name, twin.version, twin.at, differs))
    return lines


async def history(documents: Documents, ven_id: str, name: str) -> list[TwinView]:
    """The last versions, the oldest first. Raises `NotFound` when there never was one."""
    kept = await documents.history(key(ven_id, name)) if is_id(name) else []
    found = [view(ven_id, name, decoded(one)) for one in kept]
    if not found:
        raise NotFound(f"VEN {ven_id} has no twin {name!r}")
    return found


async def follow(documents: Documents) -> AsyncIterator[tuple[str, str, Twin]]:
    """For ever: VEN, name and twin; all there are, then each that changes."""
    async for document in documents.follow(_PREFIX):
        _, ven_id, name = document.key.split(".")
        yield ven_id, name, decoded(document)
