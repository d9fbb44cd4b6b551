"""What is behind at a member, said once when it begins and once when it is over.

Owns: how long something has to be seen before it is said, and after it before it counts as over. Refuses: what is seen
(``signs``), words and clocks.

It neither flaps nor floods: it begins when most of the last seconds show it, it is over when nothing has been seen for
a while, and each time that it comes back soon that while is doubled. Meanwhile it is said again once a minute.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from overlaycast.wire.messages import Behind

SEEN_S: Final = 3.0
SHARE: Final = 0.8
"""Something begins, or takes another's place, when it was seen in this share of the last ``SEEN_S``."""
WELL_S: Final = 5.0
"""It is over when nothing has been seen for so long,"""
MOST_WELL_S: Final = 60.0
"""and up to this where it has come back each time within"""
SOON_S: Final = 300.0
"""so many seconds."""
AGAIN_S: Final = 60.0
"""While it goes on it is said again so often."""


@dataclass(frozen=True, slots=True)
class News:
    """Something to say: it ``begins`` (or another cause took its place), ``goes on``, or is ``over``.

    ``seconds``: since it was first seen. ``lost``: records lost in that time.
    """

    what: Literal["begins", "goes on", "over"]
    cause: Behind
    seconds: float
    lost: int


class Verdict:
    """The state: ``cause`` is what is behind, None if nothing is."""

    def __init__(self) -> None:
        self.cause: Behind | None = None
        self._seen: deque[tuple[float, Behind | None]] = deque()
        self._last: float | None = None
        self._since = 0.0
        self._lost_before = 0
        self._lost: deque[tuple[float, int]] = deque()
        self._seen_at = 0.0
        self._said_at = 0.0
        self._over_at = float("-inf")
        self._well_s = WELL_S

    def look(self, seen: Behind | None, lost: int, now: float) -> News | None:
        """Take what one look has shown and how many records are lost in all. Return what is to be said."""
        began = now if self._last is None else self._last
        self._seen.append((began, seen))
        self._lost.append((now, lost))
        self._last = now
        while len(self._seen) > 1 and now - self._seen[1][0] >= SEEN_S:
            self._seen.popleft()
        while len(self._lost) > 1 and now - self._lost[1][0] >= SEEN_S:
            self._lost.popleft()
        if seen is not None:
            self._seen_at = now
        cause = self._prevailing(now)
        if self.cause is None:
            return None if cause is None else self._begin(cause, now, lost)
        if cause is not None and cause != self.cause:
            self.cause = cause
            return self._say("begins", now, lost)
        if now - self._seen_at >= self._well_s:
            news = self._say("over", self._seen_at, lost)
            self.cause, self._over_at = None, now
            return news
        return self._say("goes on", now, lost) if now - self._said_at >= AGAIN_S else None

    def _prevailing(self, now: float) -> Behind | None:
        """Return what was seen nearly all of the last seconds."""
        first = now - SEEN_S
        if self._seen[0][0] > first:
            return None
        spans: dict[Behind | None, float] = {}
        edges = [*[began for began, _ in self._seen][1:], now]
        for (began, seen), end in zip(self._seen, edges, strict=True):
            spans[seen] = spans.get(seen, 0.0) + end - max(began, first)
        none = spans.pop(None, 0.0)
        if none > (1 - SHARE) * SEEN_S:
            return None
        most = max(spans, key=lambda cause: spans[cause])
        return most if self.cause is None or spans[most] >= SHARE * SEEN_S else None

    def _begin(self, cause: Behind, now: float, lost: int) -> News:
        again = now - self._over_at < SOON_S
        self._well_s = min(2 * self._well_s, MOST_WELL_S) if again else WELL_S
        self.cause = cause
        self._since, self._lost_before = now - SEEN_S, self._lost[0][1]
        return self._say("begins", now, lost)

    def _say(self, what: Literal["begins", "goes on", "over"], now: float, lost: int) -> News:
        assert self.cause is not None
        self._said_at = now
        return News(what, self.cause, now - self._since, lost - self._lost_before)
