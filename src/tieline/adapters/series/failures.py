"""What goes wrong below the port, said in the house's three families."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import obstore.exceptions
import pyarrow as pa
from deltalake.exceptions import CommitFailedError, DeltaError

from tieline.base.errors import Broken, Refused, TielineError, Unready

_FRAMES = re.compile(r"\n\n|\n +0: ")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PASSES = re.compile(
    r"object store|Generic S3|LocalFileSystem|ermission denied|No space|Read-only|os error", re.IGNORECASE
)
_WOULD_HELP = {
    errno.ENOSPC: "the disk is full: make room",
    errno.EDQUOT: "the disk quota is used up: make room",
    errno.EROFS: "the file system is read-only: mount it for writing",
    errno.EACCES: "this user may not write there: give it the folder",
    errno.EPERM: "this user may not write there: give it the folder",
}


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Raises what goes wrong while `doing` it as `Unready` when it may pass, as `Broken` when a promise is broken."""
    try:
        yield
    except TielineError:
        raise
    except FileNotFoundError as error:
        raise Broken(f"{doing}: a file the table lists is not there: {_line(error)}") from error
    except (OSError, obstore.exceptions.BaseError) as error:
        help_ = _WOULD_HELP.get(getattr(error, "errno", None) or 0)
        raise Unready(f"{doing}: {help_ or _line(error)}") from error
    except CommitFailedError as error:
        raise Unready(f"{doing}: {_line(error)}") from error
    except DeltaError as error:
        family = Unready if _PASSES.search(str(error)) else Broken
        raise family(f"{doing}: {_line(error)}") from error
    except duckdb.InterruptException as error:
        raise Unready(f"{doing}: it took too long: ask for fewer series or a shorter span") from error
    except duckdb.OutOfMemoryException as error:
        raise Refused(f"{doing}: it needs too much memory: ask for fewer series or a shorter span") from error
    except (duckdb.Error, pa.ArrowException) as error:
        raise Broken(f"{doing}: {_line(error)}") from error


def _line(error: BaseException) -> str:
    """The first lines of a message, without colours and dumps of the library's insides."""
    text = _FRAMES.split(_COLOUR.sub("", str(error)))[0]
    lines = (line.strip(" ↳\t") for line in text.splitlines())
    return " ".join(line for line in lines if line)[:400]
