"""A file that is whole or not there, whoever pulls the plug.

write a new file ▶ fsync ▶ rename over the old one ▶ fsync the folder          readable by its owner only
"""

import os
from pathlib import Path

from tieline.base.errors import Unready

HALF = ".new"
"""How the name of a file ends that is not yet whole."""


def write_durably(path: Path, data: bytes) -> None:
    """All of it under this name, or what was there before. Raises `Unready`."""
    new = path.with_name(path.name + HALF)
    try:
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise Unready(f"{path} cannot be written: {error.strerror}") from None


def sync_folder(folder: Path) -> None:
    """Names that came, changed or went in it are on disk when this returns."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
