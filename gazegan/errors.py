"""Faults a user can cure: one line that names what is wrong and how to mend it."""


class UserError(Exception):
    """A request that cannot be met as written; the command line shows it and exits with 2."""

    exit_code = 2


class DataError(UserError):
    """Data on disk that are missing, damaged or unreadable; the command line exits with 1."""

    exit_code = 1


def reason(fault: Exception) -> str:
    """Return what a fault of a compiler says, in at most 100 characters of one line.

    The compiler's own words where a process of its own failed; a line that only announces the
    next, such as "backend='inductor' raised:", goes with that one.
    """
    said = getattr(fault, "stderr", None) or str(fault)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    shown = 2 if lines and lines[0].endswith(":") else 1
    return " ".join(lines[:shown])[:100] or type(fault).__name__
