"""Where a member stands, for the service manager: ready for what it is there for, and one line for people.

Owns: what ready means for each role, and the words. Refuses: to tell it (``notify``). Pure.

A source is ready once it is admitted: its input has been open since it started. A peer and a relay are ready once a
record has come. A backup server is ready once it is admitted: it has work only where a forwarder fails, and where no
member has a place left for it, nobody feeds it until then.
"""

from __future__ import annotations

from typing import Final

from overlaycast.notify import Standing
from overlaycast.wire.messages import ReportState, Role

NOT_ADMITTED: Final = Standing(False, "waits for the coordinator to admit it")
_SOURCE: Final[dict[ReportState, str]] = {
    "waiting": "waits for the coordinator to begin",
    "ended": "has sent everything",
}
_RECEIVER: Final[dict[ReportState, str]] = {
    "waiting": "waits for the stream",
    "stalled": "gets nothing: its parent gets nothing either",
    "switching": "gets nothing, and looks for another parent",
    "ended": "has received everything",
}


def standing(
    role: Role, state: ReportState, feeder: str | None, children: int, connected: bool, standby: bool = False
) -> Standing:
    """Return where an admitted member stands.

    Args:
        state: as reports name it.
        feeder: the name of the member from which the last record came; None: none has come yet.
        children: how many it feeds.
        connected: is the coordinator reached?
        standby: does a source wait for another one to go?
    """
    words = _SOURCE.get(state, "sends") if role == "source" else _RECEIVER.get(state, f"fed by {feeder}")
    if standby and state == "waiting":
        words = "stands by for the source"
    if children:
        words += f"; feeds {children} {'child' if children == 1 else 'children'}"
    if not connected:
        words += "; does not reach the coordinator"
    ready = role in ("source", "backup") or feeder is not None or state == "ended"
    return Standing(ready, words)
