"""Where each host stands while a playbook is played, from its events: for a live table, for lines, and for the end.

Owns: counts and states of hosts. Refuses: to print (``screen``), and to know any playbook.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from overlaycast.deploy.events import Event
from overlaycast.deploy.failures import Failure, failure
from overlaycast.streams import printable

State: TypeAlias = Literal["works", "waits", "done", "failed", "not reached"]


@dataclass(slots=True)
class Standing:
    """One host.

    Attributes:
        task: what it does, or did last.
        tasks: how many it has done; ``changed``: how many of them changed something.
    """

    state: State = "waits"
    task: str = ""
    tasks: int = 0
    changed: int = 0
    tries: int = 0


@dataclass(slots=True)
class Progress:
    """All hosts of a run, in the order in which they were first heard of.

    Attributes:
        check: nothing is changed; it is said what would be.
        play: what is done now.
        warned: what Ansible said beside it.
    """

    check: bool = False
    play: str = ""
    hosts: dict[str, Standing] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    ended: bool = False

    def hear(self, event: Event) -> Iterator[str]:
        """Take an event in, and yield the lines that it is worth; those of bad news begin with ``!``."""
        if event.play and event.play != self.play and event.kind != "play":  # one that has no hosts begins, too
            self.play = event.play
            yield event.play
        if event.kind == "warning":
            self.warned.append(event.text)
        elif event.kind == "diff":
            yield from (f"    {printable(line)}" for line in event.text.splitlines() if line.strip())
        elif event.kind == "end":
            self._end(event)
        elif event.host:
            yield from self._host(event, self.hosts.setdefault(event.host, Standing()))

    def _host(self, event: Event, standing: Standing) -> Iterator[str]:
        if event.kind == "started":
            standing.state, standing.task, standing.tries = "works", event.task, 0
            return
        if event.kind == "retry":
            standing.tries += 1
            return
        standing.state = "waits"
        standing.tasks += event.kind in ("ok", "forgiven")
        if event.kind in ("failed", "unreachable"):
            why = failure(event)
            self.failures.append(why)
            standing.state, standing.task = "failed" if why.reached else "not reached", event.task
            yield f"! {event.host}: {event.task}: {why.why}"
        elif event.changed:
            standing.changed += 1
            yield f"  {event.host}: {'would: ' if self.check else ''}{event.task}"

    def _end(self, event: Event) -> None:
        """The recap counts what was hidden, too."""
        self.ended = True
        failed = {one.host for one in self.failures}
        for host, standing in self.hosts.items():
            standing.tasks = _count(event, "ok", host, standing.tasks)
            standing.changed = _count(event, "changed", host, 0)
            standing.state = standing.state if host in failed else "done"

    @property
    def good(self) -> bool:
        """Did every host do all of it?"""
        return self.ended and not self.failures

    def table(self) -> list[tuple[str, str, str, str]]:
        """Return a row for each host: its name, tasks, changes, and how it ended.

        A host's failure may end the run for others: only where there was none, all is done.
        """
        ends = {one.host: one for one in self.failures}
        otherwise = "stopped" if not self.ended else "no failure" if ends else "done"
        return [
            (
                host,
                str(standing.tasks),
                str(standing.changed),
                f"{standing.state}: {ends[host].task}" if host in ends else otherwise,
            )
            for host, standing in self.hosts.items()
        ]


def _count(event: Event, what: str, host: str, otherwise: int) -> int:
    counts = event.result.get(what)
    found = counts.get(host) if isinstance(counts, dict) else None
    return found if isinstance(found, int) else otherwise
