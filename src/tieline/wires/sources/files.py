"""Any file an operator publishes: unpacked, recognised by its first bytes, and read."""

from types import ModuleType

from tieline.base.errors import Refused
from tieline.wires.sources import aemo, mapped, nem12, ons_load, zips
from tieline.wires.sources.mapped import Mapping
from tieline.wires.sources.parsed import Draft, Parsed

VERSION = 2
"""Of the parsers together: raise it with any change in what they give, and files are read anew when loaded again."""

FORMATS: tuple[ModuleType, ...] = (ons_load, aemo, nem12)
EXPECTED = (
    "ONS hourly load (CURVA_CARGA_*.csv, with a column val_cargaenergiahomwmed), "
    "AEMO's C/I/D files (first line C,…), NEM12 or NEM13 meter files (first line 100,NEM12,…), or a ZIP of these"
)


def parse(data: bytes, name: str, mapping: Mapping | None = None) -> Parsed:
    """What is in a file, as a mapping says where one is given. Raises `Refused` when nothing in it is known; unknown
    files beside known ones in an archive are quarantined whole."""
    draft = Draft()
    known = 0
    for member in zips.opened(data, name):
        draft.open(member.name)
        if mapping is not None:
            known += 1
            mapped.read(member.data, mapping, draft)
        elif (reader := _reader(member.data)) is None:
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
