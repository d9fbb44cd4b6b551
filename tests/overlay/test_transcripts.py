"""Golden transcripts: Figures 4, 5, 7, 8 and 9 (docs/background.md) as messages.

Each text file in ``transcripts/`` is one scene: ``#`` tells what happens and which step it is, ``->`` is said to the
coordinator, ``<-`` by it. After a wanted change: ``OVERLAYCAST_REWRITE=1 pytest tests/overlay/test_transcripts.py``,
and read the difference.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from overlaycast.wire.messages import (
    Accept,
    Assign,
    Begin,
    CoordinatorMessage,
    Leaving,
    MemberMessage,
    NotReceiving,
    Ping,
    Pong,
    Report,
    Revoke,
)
from tests.overlay.scene import Actor, Scene

FOLDER = Path(__file__).parent / "transcripts"


class Story(Scene):
    """A scene that writes down what is said."""

    def __init__(self, title: str, **settings: Any) -> None:
        self.lines = [title]
        self.quiet = True
        super().__init__(**settings)

    def tell(self, text: str) -> None:
        """Write down what happens."""
        self.quiet = False
        self.lines += ["", *(f"# {line}" for line in textwrap.wrap(text, 110))]

    def name(self, member: int | None) -> str:
        return self.actors[member].name if member else "nobody"

    def say(self, actor: Actor, message: MemberMessage) -> None:
        if not self.quiet:
            self.lines.append(f"{actor.name:>7} -> {self.heard_as(message)}")
        super().say(actor, message)

    def _obey(self, actor: Actor, message: CoordinatorMessage) -> None:
        quiet, self.quiet = self.quiet, self.quiet or isinstance(message, Assign)
        super()._obey(actor, message)
        self.quiet = quiet

    def deliver(self, obey: bool = True) -> list[tuple[int, CoordinatorMessage]]:
        everything = []
        while batch := self.overlay.messages_to_send():
            everything += batch
            for member, message in batch:
                if not self.quiet:
                    self.lines.append(f"{self.name(member):>7} <- {self.told(message)}")
            self.sent += batch
            for member, message in batch:
                if obey and self.actors[member].answers:
                    self._obey(self.actors[member], message)
        self._drain()
        return everything

    def _drain(self) -> None:
        fresh = self.overlay.events()
        self.events += fresh
        if not self.quiet:
            self.lines += [f"         = {event.kind} {self.name(event.member)}" for event in fresh]
        self.overlay.measurements_wanted()

    def heard_as(self, message: MemberMessage) -> str:
        if isinstance(message, Report):
            rate = message.bytes * 8 / 1000 / message.interval_ms
            return f"report: from {self.name(message.parent)}, {message.state}, {rate:.1f} Mbit/s"
        if isinstance(message, NotReceiving):
            went = f", now from {self.name(message.now_from)}" if message.now_from else ""
            return f"not receiving: from {self.name(message.parent)}, {message.reason}{went}"
        if isinstance(message, Pong):
            return f"pong: next record {message.next_seq}"
        return "leaving" if isinstance(message, Leaving) else message.kind

    def told(self, message: CoordinatorMessage) -> str:
        if isinstance(message, Assign):
            standbys = ", ".join(peer.name for peer in message.standbys) or "none"
            parent = message.parent.name if message.parent else "nobody"
            kind = "primary" if message.primary else f"depth {message.depth}"
            return f"assign (epoch {message.epoch}): {kind}, parent {parent}, standby {standbys}"
        if isinstance(message, Accept):
            return f"accept: {message.name} will come{', to stand by' if message.standby else ''}"
        if isinstance(message, Revoke):
            return f"revoke: forget {self.name(message.child)}"
        if isinstance(message, Begin):
            return f"begin: incarnation {message.incarnation} from record {message.next_seq}"
        return "ping" if isinstance(message, Ping) else message.kind

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines) + "\n"


def _site(number: int) -> tuple[str, ...]:
    return ("server", "core", f"site {number}")


def _running(title: str, backup: bool = False) -> Story:
    story = Story(title, rate_mbit=8, default_out_degree=3, start_members=6)
    story.join("source", ("server",), "source", rtt_ms=0.2)
    if backup:
        story.join("backup", ("server", "core"), "backup", rtt_ms=4)
    for number, name in ((1, "ann"), (1, "bob"), (1, "cat"), (1, "dan"), (2, "eve"), (2, "fay")):
        story.join(name, _site(number), rtt_ms=14, rate_mbit=20)
    return story


def fig4() -> Story:
    story = Story("Figure 4: one at a time", rate_mbit=8, default_out_degree=2)
    story.join("source", ("server",), "source", rtt_ms=0.2)
    story.tell(
        "402, 404: ann has subscribed and is authenticated. 406: traced; nothing is known of her links, so she waits "
        "until her train of echoes has shown a rate."
    )
    ann = story.join("ann", measure=False)
    story.locate(ann, _site(1), rtt_ms=14)
    story.tell(
        "406: measured. 408: nobody else is at her site, so she is to be a primary. 416: the source is told to feed "
        "her."
    )
    story.measure(ann, _site(1), rtt_ms=14, rate_mbit=20)
    story.tell(
        "bob comes to the same site, whose links are known, and does not wait for his own rate. 408: no primary, for a "
        "second copy would cross the uplink. 410: ann transmits to him. 412: both are told."
    )
    bob = story.join("bob", measure=False)
    story.locate(bob, _site(1), rtt_ms=14)
    story.tell("His rate is as expected.")
    story.measure(bob, _site(1), rtt_ms=14, rate_mbit=19)
    story.tell("cat comes too: ann has room for one more. Bob is ann's heir, so he is cat's standby.")
    story.join("cat", _site(1), rtt_ms=14, rate_mbit=20)
    story.tell("dan comes: ann is full, bob keeps a slot for cat, so bob feeds dan by his other one. Nobody is moved.")
    story.join("dan", _site(1), rtt_ms=14, rate_mbit=20)
    story.tell("eve comes to another site: a primary.")
    story.join("eve", _site(2), rtt_ms=14, rate_mbit=20)
    return story


def fig5() -> Story:
    story = Story("Figure 5: beginning with many", rate_mbit=8, default_out_degree=3, start_members=6)
    story.tell("The source and a backup server are there, and five of six members; nobody has a place yet.")
    story.join("source", ("server",), "source", rtt_ms=0.2)
    story.join("backup", ("server", "core"), "backup", rtt_ms=4)
    for number, name, rtt in ((1, "ann", 30), (1, "bob", 14), (1, "cat", 14), (1, "dan", 14), (2, "eve", 14)):
        story.locate(story.join(name, measure=False), _site(number), rtt_ms=rtt)
    story.tell("502: all are traced. One of each site has its train of echoes before the others: at first bob.")
    story.locate(story.join("fay", measure=False), _site(2), rtt_ms=14)
    story.measure(story["bob"], _site(1), rtt_ms=14, rate_mbit=20)
    story.tell("502: now eve.")
    story.measure(story["eve"], _site(2), rtt_ms=14, rate_mbit=20)
    for number, name, rtt in ((1, "ann", 30), (1, "cat", 14), (2, "fay", 14)):
        story.measure(story[name], _site(number), rtt_ms=rtt, rate_mbit=20)
    story.tell(
        "502: dan is the last. 504: two sites are found by their routers. 506: the best of each is its primary; ann "
        "answers late and is not. 508, 510: the others below them. All are told in one epoch."
    )
    story.measure(story["dan"], _site(1), rtt_ms=14, rate_mbit=20)
    return story


def fig7() -> Story:
    story = _running("Figure 7: a receiver that gets too little")
    slow, parent = story["cat"], story["bob"]
    story.tell(
        f"700: reports come. 702: they count as {story.name(slow.parent)}'s transmit performance. 710: all is well."
    )
    story.report(slow)
    story.tell("704: cat receives below the threshold. Once is not enough; the source itself sends at full rate.")
    story.report(story["source"])
    for _ in range(4):
        story.now += 1
        story.report(slow, mbit=3)
    story.tell("706: after three seconds cat, and nobody else, is given another transmitting client.")
    story.deliver()
    assert story.parents()["cat"] != parent.name
    return story


def fig8() -> Story:
    story = _running("Figure 8: a transmitting client fails", backup=True)
    top = story.name(story["source"].id and story["bob"].parent)
    kids = sorted(story.children(top), key=lambda name: story[name].order.rank)  # type: ignore[union-attr]
    story.tell(f"{top} falls silent; its children are {', '.join(kids)}. Its process hangs: the control link stands.")
    story[top].answers = False
    story.tell(
        f"802: {kids[0]}, the heir, reports. It has turned to its standby by itself. 804: it is not flagged. "
        "806: its branch is flagged. The plan follows the fact. 808: both are pinged."
    )
    story.complain(story[kids[0]], story["backup"])
    story.deliver()
    story.tell(f"{kids[1]} has turned to the heir.")
    story.complain(story[kids[1]], story[kids[0]])
    story.deliver()
    story.tell(
        f"A second has passed; {top} has not answered. 810: it has failed, and the rest of its children follow the "
        "plan, their branches in one piece; all get new standbys. It keeps no place until it is heard again."
    )
    story.now += 1.1
    story.overlay.tick(story.now)
    story.deliver()
    story.tell(f"{top} is heard again: it gets a place like a newcomer.")
    story[top].answers = True
    story.report(story[top], mbit=0, state="stalled")
    story.deliver()
    return story


def fig8_alive() -> Story:
    story = _running("Figure 8: the transmitting client lives, the way between the two does not")
    child = story["cat"]
    story.tell(
        f"802: cat receives nothing from {story.name(child.parent)}, and has found nobody else. 808: both are pinged."
    )
    story.complain(child)
    story.deliver()
    story.tell("Both have answered. 814: cat, alone, was given a new sender.")
    return story


def fig9() -> Story:
    story = _running("Figure 9: what a member does, seen from the coordinator")
    story.tell("9C, 920 and 922: a newcomer is announced to whom will feed it, then told where to go.")
    story.join("gus", _site(2), rtt_ms=14, rate_mbit=20)
    story.tell("9B, 912 and 914: it gathers statistics and sends them.")
    story.report(story["gus"])
    story.tell(
        "9A, 902 and 904: it detects that it no longer receives, and says so; then again, for it was not answered."
    )
    feeder = story.name(story["gus"].parent)
    story[feeder].answers = False
    story.complain(story["gus"])
    story.overlay.messages_to_send()
    story.complain(story["gus"])
    story.tell(f"{feeder} does not answer the ping: its children go elsewhere.")
    story.now += 1.1
    story.overlay.tick(story.now)
    story.deliver()
    return story


STORIES: dict[str, Callable[[], Story]] = {
    "figure-4": fig4,
    "figure-5": fig5,
    "figure-7": fig7,
    "figure-8": fig8,
    "figure-8-alive": fig8_alive,
    "figure-9": fig9,
}


@pytest.mark.parametrize("name", STORIES)
def test_the_story_is_told_as_written(name: str) -> None:
    text = STORIES[name]().text()
    path = FOLDER / f"{name}.txt"
    if os.environ.get("OVERLAYCAST_REWRITE"):
        path.write_text(text)
    assert path.read_text() == text
