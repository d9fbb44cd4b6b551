"""How long a member whose stream is over stays for its children. In virtual time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import looptime
import pytest

from overlaycast.agent.departure import FILE_LINGER_S, LINGER_S, LIVE_LINGER_S, Departure
from overlaycast.agent.parts import Parts
from overlaycast.agent.records.ring import Ring
from overlaycast.wire.frames import End


class Children:
    """Children that never have it all; ``gets_on``: they claim progress whenever they are asked."""

    def __init__(self, gets_on: bool, archive: object, bytes_out: int = 1) -> None:
        self.gets_on = gets_on
        self.archive = archive
        self.bytes_out = bytes_out
        self.told = 0
        self._claimed = 0

    def all_have(self, next_seq: int) -> bool:
        return not self.bytes_out

    def progress(self) -> int:
        self._claimed += self.gets_on
        return self._claimed

    def tell_state(self) -> None:
        self.told += 1


class Told:
    """The program, the delivery and the figures around a departure, as far as it asks for them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.code: int | None = None
        self.incomplete = False

    def say(self, line: str) -> None:
        self.lines.append(line)

    def finish(self, code: int, line: str | None = None) -> None:
        self.code = code

    async def drained(self) -> bool:
        return True

    async def keep(self) -> None:
        return None

    def sha256(self) -> None:
        return None

    def verdict(self) -> bool:
        return True

    def quiet(self, *_: object) -> str:
        return ""

    complaint = look_at_file = report = tell_all = journal = quiet


def stays(children: Children, source: bool = True) -> tuple[float, Told]:
    """Play the end of a stream; return how many seconds the member stayed for its children, and what it said."""
    loop = looptime.new_event_loop()
    told, ring = Told(), Ring(2)
    ring.anchor(0)
    ring.append_end(End(0, 0, 0, b"d" * 32))

    async def play() -> float:
        parts = Parts(ring, cast(Any, children), cast(Any, SimpleNamespace(sends=source)), cast(Any, told))
        departure = Departure(parts, cast(Any, told), cast(Any, told), cast(Any, told), lambda: "x")
        begin = loop.time()
        await departure.end_of_stream()
        return loop.time() - begin

    try:
        return loop.run_until_complete(play()), told
    finally:
        loop.close()


@pytest.mark.parametrize(("archive", "longest"), [(None, LIVE_LINGER_S), (object(), FILE_LINGER_S)])
def test_children_that_claim_progress_for_ever_are_left_at_last(archive: object, longest: float) -> None:
    seconds, told = stays(Children(gets_on=True, archive=archive))
    assert seconds == pytest.approx(longest, abs=0.01)
    assert told.code == 0
    assert told.lines == [f"exiting, although not all children have the end after {longest:.0f} s"]


def test_children_that_get_no_further_are_left_soon() -> None:
    children = Children(gets_on=False, archive=None)
    seconds, told = stays(children)
    assert seconds == pytest.approx(LINGER_S, abs=0.01)
    assert told.lines == ["exiting, because the children make no progress"]
    assert children.told == 1


@pytest.mark.parametrize("archive", [None, object()])
def test_a_source_that_nobody_heard_says_so(archive: object) -> None:
    seconds, told = stays(Children(gets_on=False, archive=archive, bytes_out=0))
    assert (seconds, told.code) == (0, 0)
    [line] = told.lines
    assert "no receiver" in line
    assert "start_members" in line


def test_a_receiver_without_children_says_nothing_of_them() -> None:
    assert stays(Children(gets_on=False, archive=None, bytes_out=0), source=False)[1].lines == []
