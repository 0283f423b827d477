"""Any file an operator publishes: unpacked, recognised by its first bytes, and read."""

from types import ModuleType

from tieline.base.errors import Refused
from tieline.wires.sources import aemo, ons_load, zips
from tieline.wires.sources.parsed import Draft, Parsed

VERSION = 1
"""Of the parsers together: raise it with any change in what they give, and files are read anew when loaded again."""

FORMATS: tuple[ModuleType, ...] = (ons_load, aemo)
EXPECTED = (
    "ONS hourly load (CURVA_CARGA_*.csv, with a column val_cargaenergiahomwmed), "
    "AEMO's C/I/D files (first line C,…), or a ZIP of either"
)


def parse(data: bytes, name: str) -> Parsed:
    """What is in a file. Raises `Refused` when nothing in it is known; unknown files beside known ones in an archive
    are quarantined whole."""
    draft = Draft()
    known = 0
    members = zips.members(data, name) if data.startswith(zips.SIGNATURE) else [zips.Member(name, data)]
    for member in members:
        draft.open(member.name)
        if (reader := _reader(member.data)) is None:
            draft.quarantine(0, f"not a file that can be read: expected {EXPECTED}")
        else:
            known += 1
            reader.read(member.data, draft)
    if not known:
        raise Refused(f"{name} is not a file that can be read: expected {EXPECTED}")
    return draft.settled()


def _reader(data: bytes) -> ModuleType | None:
    head = data[:4096]
    return next((one for one in FORMATS if one.recognises(head)), None)
