"""What all tests share."""

from __future__ import annotations

import asyncio
import atexit
import sys
import warnings

import pytest
from hypothesis import settings

# Without this pytest-asyncio asks for "the" event loop where there is none yet, which makes one that no code ever
# closes; the garbage collector then finds it in the middle of some test, and blames that.
asyncio.set_event_loop(None)

# No test passes or fails by the clock of a busy machine.
settings.register_profile("overlaycast", deadline=None)
settings.load_profile("overlaycast")

_FAILED = pytest.StashKey[bool]()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Note whether anything failed."""
    session.config.stash[_FAILED] = session.testsfailed > 0


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Let a run that failed end with its summary.

    What failed left sockets and processes open, which are found when all is over. Told then, as errors by our settings,
    they would bury the summary under pytest's own tracebacks. A run without failures is still held to them.
    """
    if config.stash.get(_FAILED, False):
        warnings.simplefilter("ignore", ResourceWarning)
        warnings.simplefilter("ignore", pytest.PytestUnraisableExceptionWarning)
        # Python 3.13 finds some only while the interpreter ends, when no filter holds any more
        atexit.register(setattr, sys, "unraisablehook", lambda _: None)
