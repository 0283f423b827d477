"""The three families of error: the caller's fault, nobody's fault, our fault.

Doors translate them and nobody else does: HTTP to a status, the Log to a dead letter or a retry, the shell to an
exit code. The message says what was wrong, where, and what would be right.
"""


class TielineError(Exception):
    """The root of the three families; never raised itself."""

    status = 500
    exit_code = 1
    title = "Something broke"


class Refused(TielineError):  # noqa: N818  the families are named by what happened, not by "Error"
    """What was asked cannot be done as asked: HTTP 4xx, a dead letter, exit code 2. Trying again changes nothing."""

    status = 422
    exit_code = 2
    title = "Refused"


class NotFound(Refused):
    """What was named does not exist: HTTP 404."""

    status = 404
    title = "Not found"


class Conflict(Refused):
    """What was asked contradicts what is already there: HTTP 409."""

    status = 409
    title = "Conflict"


class Forbidden(Refused):
    """The caller may not do this: HTTP 403."""

    status = 403
    title = "Forbidden"


class Unauthenticated(Refused):
    """The caller has not shown who it is: HTTP 401."""

    status = 401
    title = "Not signed in"


class Unready(TielineError):  # noqa: N818
    """Not now, but later: HTTP 503, a retry, exit code 75 (EX_TEMPFAIL of sysexits.h)."""

    status = 503
    exit_code = 75
    title = "Not ready"


class Broken(TielineError):  # noqa: N818
    """A promise of ours does not hold: HTTP 500, an alert, exit code 1."""
