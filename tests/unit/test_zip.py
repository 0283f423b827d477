"""ZIP archives: nested ones are opened, damaged and hostile ones refused."""

import io
import struct
import zipfile

import pytest

from tieline.base.errors import Refused
from tieline.wires.sources import zips
from tieline.wires.sources.files import parse

SCADA = (
    "C,NEMP.WORLD,DISPATCHSCADA,AEMO,PUBLIC,2021/09/02\n"
    "I,DISPATCH,UNIT_SCADA,1,SETTLEMENTDATE,DUID,SCADAVALUE\n"
    'D,DISPATCH,UNIT_SCADA,1,"2021/09/02 12:{minute:02}:00",{unit},{value}\n'
    'C,"END OF REPORT",4\n'
)


def csv(minute: int = 55, unit: str = "U", value: float = 5) -> bytes:
    return SCADA.format(minute=minute, unit=unit, value=value).encode()


def archive(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as new:
        for name, data in files:
            new.writestr(name, data)
    return out.getvalue()


def opened(data: bytes) -> list[zips.Member]:
    return list(zips.opened(data, "a.zip"))


def test_files_of_an_archive_and_of_archives_in_it_are_read_as_one() -> None:
    inner = archive(("b.CSV", csv(50, value=1)))
    data = archive(("days/", b""), ("PUBLIC%23A.CSV", csv(55, value=2)), ("PUBLIC_B.zip", inner))
    assert [one.name for one in opened(data)] == ["a.zip/PUBLIC%23A.CSV", "a.zip/PUBLIC_B.zip/b.CSV"]
    parsed = parse(data, "a.zip")
    assert parsed.rows["value"].to_pylist() == [1.0, 2.0]
    assert (parsed.refused, parsed.findings) == (0, ())


def test_when_two_files_of_an_archive_differ_the_later_counts_and_the_other_is_named() -> None:
    parsed = parse(archive(("a.CSV", csv(value=1)), ("b.CSV", csv(value=2)), ("c.CSV", csv(value=2))), "z.zip")
    assert parsed.rows["value"].to_pylist() == [2.0]
    assert [(one.file, one.line) for one in parsed.quarantined] == [("z.zip/a.CSV", 3)]
    assert [one.kind for one in parsed.findings] == ["repeated"]


def test_an_unknown_file_beside_a_known_one_is_quarantined_whole() -> None:
    parsed = parse(archive(("a.CSV", csv()), ("README.txt", b"hello")), "z.zip")
    assert [(one.file, one.line) for one in parsed.quarantined] == [("z.zip/README.txt", 0)]
    assert parsed.rows.num_rows == 1
    with pytest.raises(Refused, match="expected ONS hourly load"):
        parse(archive(("README.txt", b"hello")), "z.zip")


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("../../etc/passwd", "passwd"),
        ("/abs/x.csv", "x.csv"),
        ("C:\\dir\\x.csv", "x.csv"),
        ("a\x07b.csv", "a?b.csv"),
    ],
)
def test_a_path_in_an_archive_is_a_label_only(path: str, label: str) -> None:
    assert [one.name for one in opened(archive((path, b"x")))] == [f"a.zip/{label}"]


def test_nothing_is_opened_deeper_than_three() -> None:
    data = csv()
    for _ in range(3):
        data = archive(("x", data))
    assert len(opened(data)) == 1
    with pytest.raises(Refused, match="nested more than 3 deep"):
        opened(archive(("x", data)))


def test_bombs_are_refused_before_they_unpack() -> None:
    with pytest.raises(Refused, match="unpacks to too much"):
        opened(archive(("zeros.csv", bytes(8 << 20))))


def test_a_size_that_lies_does_not_matter() -> None:
    data = bytearray(archive(("zeros.csv", bytes(8 << 20))))
    at = data.index(b"PK\x01\x02")
    struct.pack_into("<L", data, at + 24, 10)  # the directory promises ten bytes
    with pytest.raises(Refused):
        opened(bytes(data))


def test_all_files_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "MAX_BYTES", 250)
    monkeypatch.setattr(zips, "MAX_FILES", 3)
    assert len(opened(archive(*[(f"{n}", b"x" * 80) for n in range(3)]))) == 3
    with pytest.raises(Refused, match="unpacks to too much"):
        opened(archive(*[(f"{n}", b"x" * 100) for n in range(3)]))
    with pytest.raises(Refused, match="at most 3 files"):
        opened(archive(*[(f"{n}", b"x") for n in range(4)]))


def test_a_damaged_archive_is_refused() -> None:
    whole = archive(("a.csv", csv() * 20), method=zipfile.ZIP_STORED)
    flipped = bytearray(whole)
    flipped[60] ^= 1
    for data in (bytes(flipped), whole[:-30], whole[: len(whole) // 2]):
        with pytest.raises(Refused, match="not a whole ZIP archive"):
            opened(data)


def test_an_encrypted_file_and_a_strange_packing_are_refused() -> None:
    data = bytearray(archive(("a.csv", b"x")))
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    with pytest.raises(Refused, match="is encrypted"):
        opened(bytes(data))
    with pytest.raises(Refused, match="packed with method 14"):
        opened(archive(("a.csv", b"x"), method=zipfile.ZIP_LZMA))
