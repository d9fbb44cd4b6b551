"""Journals of hosts at the terminal, once or until Ctrl-C.

Owns: asking again where the last answer ended. Refuses: what a line means (``journal``).
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any, Final

from overlaycast.deploy.events import Event
from overlaycast.deploy.interrupt import Interrupt
from overlaycast.deploy.journal import Journal
from overlaycast.deploy.playing import Play, must_have_played
from overlaycast.deploy.progress import Progress

EVERY_S: Final = 2.0
"""Seconds between two questions, beside what Ansible itself takes."""


def follow(what: Play, *, again: bool) -> int:
    """Print lines as they are told, each behind its host; return the exit code.

    Raises:
        ConfigError: the inventory cannot be used.
    """
    journal = Journal()
    extra: dict[str, Any] = dict(what.extra)
    with Interrupt() as interrupt:
        while True:
            progress = Progress()

            def heard(event: Event, progress: Progress = progress) -> None:
                list(progress.hear(event))
                for host, line in journal.hear(event):
                    print(f"{host}  {line}", flush=True)

            outcome = replace(what, extra=extra).run(heard, interrupt)
            if outcome.stopped:
                return interrupt.code
            must_have_played(what, outcome, progress)
            for one in progress.failures:
                print(f"overlaycast: {one.host}: {one.why}", file=sys.stderr)
            if not again:
                return 0 if progress.good else 1
            extra["overlaycast_logs_after"] = dict(journal.cursors)
            until = time.monotonic() + EVERY_S
            while time.monotonic() < until:
                if interrupt():
                    return interrupt.code
                time.sleep(0.1)
