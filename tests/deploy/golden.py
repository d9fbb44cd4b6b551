"""Events that ansible-runner told of real runs on machines, without what nobody reads: ``events/NAME.jsonl``.

``site`` made members of three bare hosts. In ``failed-units`` the source's file is missing, and the viewer's port is
taken; ``status`` looked at them then. In ``unreachable`` the viewer has another address.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from overlaycast.deploy.events import Event, event


def golden(name: str) -> Iterator[Event]:
    """Yield the events of a run."""
    for line in (Path(__file__).parent / "events" / f"{name}.jsonl").read_text().splitlines():
        if found := event(json.loads(line)):
            yield found
