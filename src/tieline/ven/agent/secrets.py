"""Secrets of the agent: each in a file of its own, named in the configuration and never written there."""

from pathlib import Path

from tieline.base.errors import Refused


def read_secret(folder: Path, name: str) -> str:
    """What stands in the file, relative to the configuration's folder. Raises `Refused` when it cannot be read."""
    file = folder / name
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        what = getattr(error, "strerror", None) or "it is no text"
        raise Refused(f"{file}: {what}: a secret stands in a file that the agent can read") from None
