"""ZIP archives and gzip files as operators publish them: opened in memory, checked for damage and against bombs."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from tieline.base.errors import Refused
from tieline.wires.sources.cells import printable

SIGNATURE = b"PK\x03\x04"
GZIP = b"\x1f\x8b"
MAX_DEPTH = 3  # AEMO's weekly archives hold a day's ZIPs, which hold CSVs
MAX_FILES = 20_000
MAX_BYTES = 2 << 30  # unpacked, of all files together; a month of unit SCADA is 0.25 GB
MAX_RATIO = 200  # CSV of telemetry packs 10 to 40 times; zeros 1000 times
RATIO_FREE = 1 << 20  # a small file may pack as well as it likes


class Member(NamedTuple):
    """A file that is not an archive itself. Its name is a label only: nothing is written to any path."""

    name: str
    data: bytes


def opened(data: bytes, name: str) -> Iterator[Member]:
    """The files of an archive, those of archives inside it included; a file that is none, itself, unpacked where it is
    gzip. Raises `Refused` for one that is damaged, encrypted, or unpacks to more than it should."""
    if data.startswith(SIGNATURE):
        yield from _open(data, name, 1, _Allowance())
    elif data.startswith(GZIP):
        yield Member(name.removesuffix(".gz"), _gunzipped(data, name))
    else:
        yield Member(name, data)


def _gunzipped(data: bytes, name: str) -> bytes:
    limit = min(MAX_BYTES, max(RATIO_FREE, len(data) * MAX_RATIO))
    try:
        with gzip.open(io.BytesIO(data)) as packed:
            content = packed.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Refused(f"{name} is not a whole gzip file: {error}") from None
    if len(content) > limit:
        raise Refused(f"{name} unpacks to too much: at most {MAX_BYTES} bytes and {MAX_RATIO} times the packed size")
    return content


class _Allowance:
    def __init__(self) -> None:
        self.bytes = MAX_BYTES
        self.files = MAX_FILES


def _open(data: bytes, name: str, depth: int, left: _Allowance) -> Iterator[Member]:
    if depth > MAX_DEPTH:
        raise Refused(f"{name}: archives nested more than {MAX_DEPTH} deep")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                if info.is_dir():
                    continue
                inner = f"{name}/{_label(info.filename)}"
                content = _unpacked(archive, info, inner, left)
                if content.startswith(SIGNATURE):
                    yield from _open(content, inner, depth + 1, left)
                else:
                    yield Member(inner, content)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise Refused(f"{name} is not a whole ZIP archive: {error}") from None


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, left: _Allowance) -> bytes:
    if info.flag_bits & 0x1:
        raise Refused(f"{name} is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused(f"{name} is packed with method {info.compress_type}, where stored or deflate belongs")
    left.files -= 1
    ratio_limit = max(RATIO_FREE, info.compress_size * MAX_RATIO)
    limit = min(left.bytes, ratio_limit)
    # What the directory says of sizes may be a lie: read one byte further than allowed, and no more.
    with archive.open(info) as packed:
        content = packed.read(limit + 1)
    if len(content) > limit or left.files < 0:
        raise Refused(
            f"{name} unpacks to too much: at most {MAX_FILES} files, {MAX_BYTES} bytes in all, "
            f"and {MAX_RATIO} times the packed size"
        )
    left.bytes -= len(content)
    return content


def _label(path: str) -> str:
    """The last part of a path, printable: `../../etc/passwd` is a strange name, not a place."""
    return printable(path.replace("\\", "/").rstrip("/").rpartition("/")[2])
