"""The tail of a log file that another process writes and, now and then, puts aside for a new one."""

import os
from pathlib import Path
from typing import BinaryIO


class Tail:
    """`lines` gives the whole lines written since it was last asked; the first time, since the tail was made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rest = b""
        self._file = self._open()
        if self._file is not None:
            self._file.seek(0, 2)

    def lines(self) -> list[str]:
        read = self._read()
        if self._put_aside():
            self.close()
            self._file = self._open()
            read += self._read()
        *lines, self._rest = (self._rest + read).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> BinaryIO | None:
        try:
            return self._path.open("rb")
        except FileNotFoundError:
            return None

    def _read(self) -> bytes:
        return self._file.read() if self._file is not None else b""

    def _put_aside(self) -> bool:
        try:
            return self._file is None or self._path.stat().st_ino != os.fstat(self._file.fileno()).st_ino
        except FileNotFoundError:
            return False
