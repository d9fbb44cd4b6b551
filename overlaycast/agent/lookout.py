"""Watches whether this member keeps up with a live stream, and tells people, journal, coordinator and children.

Owns: reading the figures a few times a second, and the lines about them. Refuses: to judge (``rates.signs``,
``rates.behind``). A file has no rate to keep up with; of it only losses are told.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from overlaycast.agent.figures import Figures
from overlaycast.agent.hops.mishap import mishap
from overlaycast.agent.parts import Parts, Program
from overlaycast.agent.rates.behind import News, Verdict
from overlaycast.agent.rates.losses import Losses
from overlaycast.agent.rates.signs import Look, Signs
from overlaycast.agent.rates.stats import Reception
from overlaycast.wire.journal import CaughtUp, FellBehind
from overlaycast.wire.messages import Behind

LOOK_S: Final = 0.2


class Lookout:
    """The watch of one member. ``run`` never ends; ``tell_all`` tells what still waits to be told."""

    def __init__(self, parts: Parts, figures: Figures, reception: Reception, program: Program, live: bool) -> None:
        self._parts = parts
        self._figures = figures
        self._reception = reception
        self._program = program
        self._live = live
        self._signs = Signs()
        self._verdict = Verdict()
        self._never_came = Losses()
        self._not_written = Losses()
        self._output_lost = 0
        self._blamed = ""

    async def run(self) -> None:
        """Look again and again."""
        while True:
            due = time.monotonic() + LOOK_S
            await asyncio.sleep(LOOK_S)
            try:
                self._look(time.monotonic(), due)
            except Exception as error:  # words for people: nothing that a stream could not do without
                mishap(error)

    def _look(self, now: float, due: float) -> None:
        self._count_output()
        self._tell_losses(
            self._never_came.due(self._reception.lost, now), self._not_written.due(self._output_lost, now)
        )
        self._figures.failed()
        if self._live and self._parts.ring.end is None:
            self._judge(now, now - due)

    def _count_output(self) -> None:
        """What the output lacks, and what never came, are counted at different times: the difference only grows."""
        self._output_lost = max(self._output_lost, self._parts.delivery.lost - self._reception.lost)

    def _tell_losses(self, never_came: int, not_written: int) -> None:
        in_all = f"{self._figures.lost} in all"
        if never_came:
            self._program.say(f"lost {never_came} records ({in_all}): they never came")
        if not_written:
            self._program.say(f"lost {not_written} records ({in_all}): the output was too slow for them")

    def _judge(self, now: float, delay_s: float) -> None:
        feed, ring, reception = self._parts.feed, self._parts.ring, self._reception
        look = Look(
            now,
            position=ring.position,
            written=self._parts.delivery.written,
            latency_ms=reception.newest_ms,
            arrived_at=reception.last_arrival,
            lost=reception.lost,
            output_lost=self._output_lost,
            unread=feed.unread,
            parent_late=feed.parent_late,
            stalled=feed.state == "stalled",
            delay_s=delay_s,
            cpu_s=time.thread_time(),
        )
        seen = self._signs.cause(look)
        self._parts.downstream.set_late(self._signs.late)
        if news := self._verdict.look(seen, self._figures.lost, now):
            self._tell(news)

    def _tell(self, news: News) -> None:
        seconds, lost = round(news.seconds, 1), news.lost
        so_far = f"{seconds:g} s, {lost} records lost"
        if news.what == "over":
            self._program.say(f"keeps up again: {self._blamed} was behind for {so_far}")
            self._program.journal(CaughtUp(what=news.cause, seconds=seconds, lost=lost))
        elif news.what == "goes on":
            self._program.say(f"still behind for {so_far}: {self._words(news.cause)}")
        else:
            self._blamed = self._named(news.cause)
            self._program.say(f"behind: {self._words(news.cause)}")
            late_ms = round(self._signs.late_s * 1000, 3)
            self._program.journal(FellBehind(what=news.cause, parent=self._parts.feed.parent, late_ms=late_ms))
        if self._figures.behind != self._verdict.cause:
            self._figures.behind = self._verdict.cause
            self._figures.report()

    def _named(self, cause: Behind) -> str:
        parent = self._parts.feed.parent
        if cause == "link":
            return "the link" if parent is None else f"the link from {self._figures.named(parent)}"
        if cause == "parent":
            return "the parent" if parent is None else self._figures.named(parent)
        return "the output" if cause == "output" else "this program"

    def _words(self, cause: Behind) -> str:
        named, late = self._named(cause), f"data comes {self._signs.late_s:.1f} s late"
        match cause:
            case "output":
                return f"{named} is too slow, {self._signs.waiting_s:.1f} s of the stream wait for it"
            case "link":
                return f"{named} is too slow, {late}"
            case "parent":
                return f"{named} is itself behind, {late}"
            case _:
                return f"{named} gets too little processor time"

    def tell_all(self) -> None:
        """Tell the losses that still wait to be told."""
        self._count_output()
        now = time.monotonic()
        self._tell_losses(
            self._never_came.rest(self._reception.lost, now), self._not_written.rest(self._output_lost, now)
        )
