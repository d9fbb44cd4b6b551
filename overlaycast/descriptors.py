"""How many files and connections this process may have open (``ulimit -n``), and what is said when they are too few.

Owns: the limit and its words. Refuses: to know what needs them.
"""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from overlaycast.errors import MissingError

HOW: Final = "raise it with 'ulimit -n 1024', or LimitNOFILE= of the service"


def most_descriptors(least: int, who: str) -> int:
    """Return how many descriptors there may be; the soft limit is raised to the hard one.

    Raises:
        MissingError: they are fewer than ``least``, with which ``who`` can work.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:  # the usual soft limit was not chosen for this program
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < least:
        raise MissingError(f"too few open files: the limit is {hard}, and {who} needs {least}; {HOW}")
    return hard


@contextmanager
def out_of_descriptors_is_one_line() -> Iterator[None]:
    """Within, having no descriptor left is an error that says which limit that is."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        raise MissingError(f"too many open files: the limit is {limit}; {HOW}") from None
