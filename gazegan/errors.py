"""Faults a user can cure: one line that names what is wrong and how to mend it."""


class UserError(Exception):
    """A request that cannot be met as written; the command line shows it and exits with 2."""

    exit_code = 2


class DataError(UserError):
    """Data on disk that are missing, damaged or unreadable; the command line exits with 1."""

    exit_code = 1
