"""What Ansible tells while it plays, as one small type: which host, which task, what became of it.

Owns: reading the events of ansible-runner's display callback. Refuses: to believe that a field is there, or of the type
it should be: Ansible's versions differ, and a host's own words are in there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

Kind: TypeAlias = Literal[
    "play", "task", "started", "ok", "skipped", "failed", "forgiven", "unreachable", "retry", "diff", "warning", "end"
]
KINDS: Final[Mapping[str, Kind]] = {
    "playbook_on_play_start": "play",
    "playbook_on_task_start": "task",
    "playbook_on_handler_task_start": "task",
    "runner_on_start": "started",
    "runner_on_ok": "ok",
    "runner_on_skipped": "skipped",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_retry": "retry",
    "runner_on_file_diff": "diff",
    "warning": "warning",
    "playbook_on_stats": "end",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        kind: ``play`` and ``task`` begin; ``started`` a host begins a task; ``ok``, ``skipped``, ``failed``,
            ``forgiven`` (it failed, and the playbook does not mind) and ``unreachable`` end a host's task; ``retry`` it
            is tried again; ``diff`` how a file changes; ``warning`` Ansible's own words; ``end`` of the playbook.
        play, task: their names; empty: none yet.
        host: the inventory's name; empty: it is about no host.
        changed: the host is not as it was before; unknown, and so false, where the result is hidden.
        result: what the module returned; empty where the playbook hides it (``no_log``). At the end: how many tasks of
            each host were ``ok``, ``changed`` and ``failures``, hidden ones too, and which hosts are ``dark``.
        text: of a warning or a diff.
    """

    kind: Kind
    play: str = ""
    task: str = ""
    host: str = ""
    changed: bool = False
    result: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""


def event(raw: Mapping[str, Any]) -> Event | None:
    """Return an event of ansible-runner as ours; None: nothing of it matters."""
    kind = KINDS.get(_text(raw.get("event")))
    data = raw.get("event_data")
    if kind is None or not isinstance(data, Mapping):
        return None
    result = data if kind == "end" else data.get("res")
    result = result if isinstance(result, Mapping) and "censored" not in result else {}
    if kind == "failed" and data.get("ignore_errors") is True:
        kind = "forgiven"
    return Event(
        kind,
        _text(data.get("play")),
        _text(data.get("task")),
        _text(data.get("host")),
        kind == "ok" and result.get("changed") is True,
        result,
        _text(raw.get("stdout")) if kind in ("warning", "diff") else "",
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
