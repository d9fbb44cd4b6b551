"""One playbook played for a user: progress while it goes on, a table at the end, and the journals of what failed.

Owns: what is printed of it, and the exit code. Refuses: what the playbooks do, and which are played (``command``).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from overlaycast.deploy.books import playbook
from overlaycast.deploy.events import Event
from overlaycast.deploy.failures import Failure, not_played
from overlaycast.deploy.interrupt import Interrupt
from overlaycast.deploy.journal import EVERY, Journal
from overlaycast.deploy.progress import Progress
from overlaycast.deploy.runner import Outcome, run
from overlaycast.deploy.screen import screen, style, table
from overlaycast.errors import ConfigError

GROUPS: Final = "coordinator, sources, relays, backups, peers"
JOURNAL_LINES: Final = 12
"""Lines of a failed unit's journal that are shown."""
QUESTION: Final = r"(?i)password[^\n]*:\s*$"
"""How Ansible asks for a password of sudo."""
_UNKNOWN: Final = re.compile(r"Could not match supplied host pattern, ignoring: (\S+)")


@dataclass(frozen=True, slots=True)
class Play:
    """What is to be played.

    Attributes:
        book: its name, without the suffix.
        extra: variables that count before the inventory's.
        hosts: hosts or groups that it is limited to; empty: all.
        named: those that the user named; each must be there.
        words: further options of ``ansible-playbook``.
        folder: the private data folder; None: the usual one.
        sudo_password: what sudo asks for on the hosts; None: it asks for nothing.
    """

    book: str
    inventory: Path
    extra: Mapping[str, Any] = field(default_factory=dict)
    hosts: Sequence[str] = ()
    named: Sequence[str] = ()
    words: Sequence[str] = ()
    folder: Path | None = None
    sudo_password: str | None = field(default=None, repr=False)

    def run(self, on_event: Callable[[Event], None], interrupt: Interrupt) -> Outcome:
        """Play it."""
        limit = ["--limit", ",".join(self.hosts)] if self.hosts else []
        asked = [] if self.sudo_password is None else ["--ask-become-pass"]
        return run(
            playbook(self.book),
            self.inventory,
            on_event=on_event,
            extra=self.extra,
            words=[*self.words, *limit, *asked],
            answers={} if self.sudo_password is None else {QUESTION: self.sudo_password},
            folder=self.folder,
            kind=self.book,  # logs that are followed do not push out others
            stop=interrupt,
        )


def play(what: Play) -> int:
    """Play it, tell what becomes of it, and return the exit code.

    Raises:
        ConfigError: Ansible did not play it: the inventory cannot be read, or none of its hosts takes part.
    """
    progress = Progress(check="--check" in what.words)
    with Interrupt() as interrupt:
        with screen(progress) as shown:

            def heard(event: Event) -> None:
                for line in progress.hear(event):
                    shown.line(line, style(line))

            outcome = what.run(heard, interrupt)
        must_have_played(what, outcome, progress)
        print(table(("HOST", "TASKS", "WOULD CHANGE" if progress.check else "CHANGED", "ENDED"), progress.table()))
        if outcome.stopped:
            print("overlaycast: stopped; hosts are as far as they got, and another run goes on there", file=sys.stderr)
            return interrupt.code
        tell_failures(what, progress.failures, interrupt)
    return interrupt.code or (0 if progress.good and outcome.good else 1)


def must_have_played(what: Play, outcome: Outcome, progress: Progress) -> None:
    """Raise for what is wrong with the inventory or the hosts that were named.

    Raises:
        ConfigError: one line says what.
    """
    if outcome.stopped:
        return
    unknown = [name for text in (*progress.warned, outcome.words) for name in _UNKNOWN.findall(text)]
    if unknown := [name for name in unknown if name in what.named]:
        raise ConfigError(f"{unknown[0]}: {what.inventory} has no such host or group")
    if progress.hosts:
        return
    if outcome.code != 0:
        raise ConfigError(f"{what.inventory}: {not_played(outcome.words)}")
    raise ConfigError(f"{what.inventory}: no host is in a group that takes part; accepted: {GROUPS}")


def tell_failures(what: Play, failures: Sequence[Failure], interrupt: Interrupt) -> None:
    """Print why each host failed, and what its units said last."""
    for one in failures:
        print(f"\n{one.host}: {one.task}: {one.why}")
        units = [unit for unit in one.units if one.reached]
        if units and not interrupt():
            for line in last_lines(what, one.host, units, interrupt):
                print(f"    {line}")


def last_lines(what: Play, host: str, units: Sequence[str], interrupt: Interrupt) -> list[str]:
    """Return the last lines of the journals of a host's units; none if it does not answer any more."""
    journal = Journal()
    found: list[str] = []

    def heard(event: Event) -> None:
        found.extend(line for _, line in journal.hear(event))

    extra = {**what.extra, "overlaycast_logs_units": list(units) or [EVERY], "overlaycast_logs_lines": JOURNAL_LINES}
    replace(what, book="logs", extra=extra, hosts=[host], words=()).run(heard, interrupt)
    return found
